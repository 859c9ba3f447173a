"""A feedforward network by its submodules: each layer responds in a square wave.

Layer k responds to a frame k steps after it appears, for as long as it lasts, and is silent before. The
network therefore runs once for each of the two distinct frames, the image and gray.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from brainfit.contracts.presentation import Presentation
from brainfit.errors import ContractError
from brainfit.support.arguments import whole_number

from ..engine.inputs import IMAGENET_MEAN, IMAGENET_STD, names_of, normalizer
from .common import Adapter, outputs_by_call, submodules


def from_module(
    module: nn.Module,
    layers: Sequence[str],
    image_size: int,
    *,
    name: str = "custom",
    latencies: Mapping[str, int] | None = None,
    region_layers: Mapping[str, str] | None = None,
    readout_layers: Sequence[str] = (),
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    weights: str | None = None,
    step_ms: int = 10,
) -> ModuleModel:
    """Make a model of a feedforward network.

    Parameters
    ----------
    module
        Any network that maps images (image, 3, image_size, image_size) to something. It is run in
        evaluation mode, and then put back into the mode it was in.
    layers
        Names of submodules, as in ``module.named_modules()``, from the input up. Each must give one tensor
        (image, ...) and run once in a forward pass.
    image_size
        Height and width of its images in pixels.
    name
        Name in results.
    latencies
        Latency of each layer's response to a frame, in steps. Default: its position in `layers`, so that the
        first responds in the step in which the image appears.
    region_layers
        The layer for each region, such as ``{"pIT": "layer3"}``.
    readout_layers
        The layers that name classes (logits): a choice of layers for a region leaves them out.
    mean, std
        Channel statistics of pixels in [0, 1], for their normalisation. Default: ImageNet's.
    weights
        Origin of the weights, for results; it holds as long as their values stay the same. Default: results
        call them unknown, with the sha256 of their values.
    step_ms
        Milliseconds of one step.

    Returns
    -------
    ModuleModel
        Each layer has at most three distinct blocks: zeros while nothing has arrived, its
        response to the image, and its response to gray.

    Raises
    ------
    UnknownNameError
        If the module has no such layer.
    ContractError
        If an argument is not as described here, or a name occurs twice.
    """
    names = submodules(module, layers)
    return ModuleModel(
        name,
        names,
        {} if region_layers is None else region_layers,
        image_size,
        step_ms,
        weights,
        normalizer(mean, std),
        names_of(readout_layers),
        module,
        {layer: k for k, layer in enumerate(names)} if latencies is None else _checked(latencies, names),
    )


@dataclass(frozen=True, eq=False)
class ModuleModel(Adapter):
    """A feedforward network as a model: see `from_module`."""

    module: nn.Module
    latencies: Mapping[str, int]

    @property
    def network(self) -> nn.Module:
        """The module itself."""
        return self.module

    def _steps(
        self, images: Tensor, presentation: Presentation, layers: Sequence[str]
    ) -> dict[str, list[Tensor]]:
        steps: dict[str, list[Tensor]] = {layer: [] for layer in layers}
        for frame, length in self._frames(images, presentation):
            for layer, calls in outputs_by_call(self.module, frame, layers).items():
                block = _only(layer, calls)
                if not steps[layer]:
                    steps[layer] += [torch.zeros_like(block[:1])] * self.latencies[layer]
                steps[layer] += [block] * length
        return {layer: blocks[: presentation.n_steps] for layer, blocks in steps.items()}


def _checked(latencies: Mapping[str, int], layers: Sequence[str]) -> dict[str, int]:
    given = list(latencies) if isinstance(latencies, Mapping) else []
    if set(given) != set(layers):
        raise ContractError(
            f"latencies is a dict with a number of steps for each of {list(layers)}, got one for {given}"
        )
    return {layer: whole_number(f"the latency of {layer!r}", latencies[layer]) for layer in layers}


def _only(layer: str, calls: list[Tensor]) -> Tensor:
    if len(calls) != 1:
        raise ContractError(
            f"layer {layer!r} ran {len(calls)} times in one forward pass, wanted once; name a submodule that "
            "runs once, or use from_sequence with each_call if each time is a step"
        )
    return calls[0]
