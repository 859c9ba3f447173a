"""Describe where and how work runs, apart from what is computed."""

from __future__ import annotations

from dataclasses import dataclass

from brainfit.contracts.vocabulary import DEVICES, PRECISIONS
from brainfit.errors import ContractError
from brainfit.support.arguments import one_of, whole_number


@dataclass(frozen=True)
class Execution:
    """Settings of where and how work runs; only `precision` moves a score by more than rounding.

    Attributes
    ----------
    device
        Device of the model and of the fit, ``"cpu"`` or ``"cuda"``.
    precision
        Precision of the model, ``"float32"`` or ``"bfloat16"``; everything after the model is computed in
        float32 or more.
    batch_size
        Number of images that go through the model together. None stands for 16, or fewer where memory is
        short. Cached features are found again only for the same batch size and the same images.
    cache
        True to keep the model's features on disk, so that an interrupted score continues and another region
        or mapping reuses them. Cached and computed features agree bit by bit.
    progress
        True to show progress bars on stderr.

    Raises
    ------
    ContractError
        If a value is not one of those above, or torch finds no GPU for ``"cuda"``.

    Examples
    --------
    >>> Execution(batch_size=8, progress=True)
    Execution(device='cpu', precision='float32', batch_size=8, cache=True, progress=True)
    """

    device: str = "cpu"
    precision: str = "float32"
    batch_size: int | None = None
    cache: bool = True
    progress: bool = False

    def __post_init__(self) -> None:
        one_of("device", self.device, DEVICES)
        one_of("precision", self.precision, PRECISIONS)
        if self.batch_size is not None:
            object.__setattr__(self, "batch_size", whole_number("batch_size", self.batch_size, least=1))
        for name in ("cache", "progress"):
            if not isinstance(getattr(self, name), bool):
                raise ContractError(f"{name} is True or False, got {getattr(self, name)!r:.60}")
        if self.device == "cuda":
            _require_gpu()


def or_default(execution: Execution | None) -> Execution:
    """Return `execution`, or the default one for None; every public function calls this first.

    Raises
    ------
    ContractError
        If it is anything else, or the caller runs within ``torch.autocast``.
    """
    import torch  # not at the top: commands that compute nothing start at once

    if any(torch.is_autocast_enabled(device) for device in DEVICES):
        raise ContractError(
            "brainfit was called inside torch.autocast, which would round its statistics as well; leave that "
            "block, and use precision 'bfloat16' for a model in 16 bits"
        )
    if execution is None:
        return Execution()
    if not isinstance(execution, Execution):
        raise ContractError(f"execution is a brainfit.Execution, got {type(execution).__name__}")
    return execution


def _require_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        raise ContractError("device 'cuda' was asked for, but torch sees no GPU; use device 'cpu'")
