"""The common part of all adapters: run a network in evaluation mode, and check its outputs."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import RLock
from typing import Any

import torch
from torch import Tensor, nn

from brainfit.contracts.model import check_attributes
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ContractError
from brainfit.support.suggestions import unknown_name

from ..engine.inputs import check_request, names_of
from ..engine.weights_name import WeightsName

# Modes and hooks belong to the module: networks run one at a time.
_running = RLock()


@dataclass(frozen=True, eq=False)
class Adapter(ABC):
    """A network of the user's own as a model; the attributes are those of `brainfit.contracts.model.Model`.

    Raises
    ------
    ContractError
        If one of them is not what it must be.
    """

    name: str
    layers: Sequence[str]
    region_layers: Mapping[str, str]
    image_size: int
    step_ms: int
    weights_text: str | None
    normalize: Callable[[Tensor], Tensor]
    readout_layers: Sequence[str]
    _weights_name: WeightsName = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_weights_name", WeightsName.of(self.network, self.weights_text))
        check_attributes(self)
        object.__setattr__(self, "region_layers", dict(self.region_layers))  # the caller may change theirs

    @property
    def weights(self) -> str:
        """Name of the weights that it has now; see `brainfit.contracts.model.Model`."""
        return self._weights_name.current(self.network)

    @property
    @abstractmethod
    def network(self) -> nn.Module | None:
        """The module that holds the parameters, if it is known."""

    @abstractmethod
    def _steps(
        self, images: Tensor, presentation: Presentation, layers: Sequence[str]
    ) -> dict[str, list[Tensor]]:
        """Return one tensor per step for each layer; equal steps may share one object."""

    @torch.no_grad()  # not inference mode, in which autocast keeps no weights that it has cast
    def unroll(
        self, images: Tensor, presentation: Presentation, layers: Sequence[str]
    ) -> dict[str, Trajectory]:
        """Show `images` and return the activity of `layers`: see `brainfit.contracts.model.Model.unroll`."""
        layers = check_request(self, images, presentation, layers)
        with _running, evaluating(self.network):
            steps = self._steps(images, presentation, layers)
        return {layer: Trajectory.from_steps(blocks) for layer, blocks in steps.items()}

    def unroll_training(
        self, images: Tensor, presentation: Presentation, layers: Sequence[str]
    ) -> dict[str, Trajectory]:
        """Do as `unroll`, with gradients, in the mode that the network is in, and for any pixels."""
        layers = check_request(self, images, presentation, layers, check_pixels=False)
        steps = self._steps(images, presentation, layers)
        return {layer: Trajectory.from_steps(blocks) for layer, blocks in steps.items()}

    def _frames(self, images: Tensor, presentation: Presentation) -> Iterator[tuple[Tensor, int]]:
        """Yield the normalised frames and their lengths, with the device and dtype of the parameters."""
        parameters = self.network.parameters() if self.network is not None else ()
        reference = next((weight for weight in parameters if weight.is_floating_point()), images)
        for frame, length in presentation.frames(images.to(reference.device), self.normalize):
            yield frame.to(reference.dtype), length


def network_of(function: Callable[..., Any]) -> nn.Module | None:
    """Return the module that a function is or belongs to, or None."""
    if not callable(function):
        raise ContractError(f"wanted a function, a method or a module, got {type(function).__name__}")
    owner = function.__self__ if inspect.ismethod(function) else function
    return owner if isinstance(owner, nn.Module) else None


@contextmanager
def evaluating(module: nn.Module | None) -> Iterator[None]:
    """Put `module` into evaluation mode (no dropout, stored batch statistics) for the length of a block."""
    modes = [] if module is None else [(part, part.training) for part in module.modules()]
    try:
        if module is not None:
            module.eval()
        yield
    finally:
        for part, training in modes:
            part.training = training


def submodules(module: nn.Module, layers: Iterable[str]) -> tuple[str, ...]:
    """Return the names of submodules; raise if `module` is not a module or has no submodule of that name."""
    if not isinstance(module, nn.Module):
        raise ContractError(
            f"module is a torch.nn.Module, got {type(module).__name__}; "
            "give what a class or function makes, or a function to from_step or from_sequence"
        )
    names = names_of(layers)
    known = {layer: part for layer, part in module.named_modules(remove_duplicate=False) if layer}
    for layer in names:
        if layer not in known:
            raise unknown_name(f"submodule of {type(module).__name__}", layer, known)
        if isinstance(known[layer], torch.jit.ScriptModule):
            raise ContractError(
                f"layer {layer!r} is part of a traced or scripted module, which does not let anyone see its "
                "layers; wrap the module that it was made from"
            )
    return names


def outputs_by_call(module: nn.Module, shown: Tensor, layers: Iterable[str]) -> dict[str, list[Tensor]]:
    """Run one forward pass, and return a tensor (image, ...) for each call of each submodule in `layers`."""
    outputs: dict[str, list[Tensor]] = {layer: [] for layer in layers}

    def keep(layer: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            # A copy: an in-place activation may follow.
            outputs[layer].append(checked_tensor(layer, output, len(shown)).clone())

        return hook

    with ExitStack() as hooks:
        for layer in outputs:
            hooks.callback(module.get_submodule(layer).register_forward_hook(keep(layer)).remove)
        module(shown)
    if silent := [layer for layer, calls in outputs.items() if not calls]:
        raise ContractError(
            f"layer {silent[0]!r} did not run in the forward pass: the network does not call it in "
            "evaluation mode, or runs a compiled copy of it; name a layer that runs, of the "
            "network before torch.compile"
        )
    return outputs


def checked_outputs(what: str, outputs: Mapping[str, Any], layers: Iterable[str]) -> Mapping[str, Any]:
    """Return the outputs of the user's function `what`; raise if one of `layers` is missing."""
    if missing := [layer for layer in layers if layer not in outputs]:
        raise ContractError(
            f"{what} gives outputs {', '.join(map(repr, outputs))}, but not "
            f"{', '.join(map(repr, missing))}; name the layers as the {what} does"
        )
    return outputs


def checked_tensor(layer: str, output: Any, n_images: int, *, steps: bool = False) -> Tensor:
    """Return a layer's output; raise if it is no tensor (image, ...), or (image, step, ...) with `steps`."""
    if not isinstance(output, Tensor):
        raise ContractError(
            f"layer {layer!r} gives a {type(output).__name__}, wanted one tensor; name another layer"
        )
    if output.ndim < 2 + steps or len(output) != n_images:
        raise ContractError(
            f"layer {layer!r} gives shape {tuple(output.shape)} for {n_images} images, "
            f"wanted (image, {'step, ' * steps}...)"
        )
    return output
