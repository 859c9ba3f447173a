"""Replace the parameters and buffers of a network, once every tensor is known to fit."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from brainfit.errors import ContractError
from brainfit.support.messages import printable


def load_tensors(
    module: nn.Module, tensors: Mapping[str, Tensor], label: str, image_size: int | None = None
) -> None:
    """Replace all parameters and buffers of `module`, once every tensor is known to fit.

    Parameters
    ----------
    module
        Unchanged, if anything does not fit.
    tensors
        By their names in ``module.state_dict()``; counters of batches may be missing. They are cast.
    label
        Name of the weights in error messages.
    image_size
        Size in pixels of the images that they were trained on, if known: some weights fit no other.

    Raises
    ------
    ContractError
        If one is missing, is one too many, or has another shape, another kind of numbers, or one that is not
        finite.
    """
    wanted = module.state_dict()
    missing = {name for name in wanted.keys() - tensors.keys() if not name.endswith("num_batches_tracked")}
    _refuse(label, "lacks", missing)
    _refuse(label, "has unknown", tensors.keys() - wanted.keys())
    shapes = {name: (tuple(values.shape), tuple(wanted[name].shape)) for name, values in tensors.items()}
    misshapen = {
        f"{printable(n)} {got} instead of {ours}" for n, (got, ours) in shapes.items() if got != ours
    }
    resized = image_size is not None and image_size != getattr(module, "image_size", image_size)
    _refuse(label, "has misshapen", misshapen, f"; use image_size={image_size}" * resized)
    kinds = {n for n, values in tensors.items() if _kind(values) != _kind(wanted[n])}
    _refuse(label, "has no real numbers, or whole ones where others are wanted, in", kinds)
    cast = {name: values.to(wanted[name].dtype) for name, values in tensors.items()}
    _refuse(
        label, "has numbers that are not finite in", {n for n, v in cast.items() if not v.isfinite().all()}
    )
    module.load_state_dict(cast, strict=False)


def _refuse(label: str, what: str, names: set[str], advice: str = "") -> None:
    if names:
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        first = ", ".join(printable(name, 160) for name in sorted(names)[:4])
        raise ContractError(
            f"{label} does not fit: it {what} {first}{more}; "
            f"wanted the weights of the same model, built with the same options{advice}"
        )


def _kind(values: Tensor) -> tuple[bool, bool]:
    return values.is_floating_point(), values.is_complex()
