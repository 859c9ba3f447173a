"""Your own network as a model: a feedforward module by its layers, or one that has steps of its own.

`from_module` takes any `torch.nn.Module` and the names of submodules. It is shown a frame as long as the
frame lasts: layer k answers k steps later and for as long (a square wave), and is silent before.
`from_step` takes a recurrent network as a function ``step(frame, state) -> (outputs, state)``.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from brainfit.errors import ContractError
from brainfit.names import unknown_name
from brainfit.presentation import Presentation
from brainfit.provenance import weights_sha256
from brainfit.trajectory import Trajectory

from .inputs import IMAGENET_MEAN, IMAGENET_STD, check_request, normalizer

Step = Callable[[Tensor, Any], tuple[Mapping[str, Tensor], Any]]


def from_module(
    module: nn.Module,
    layers: Sequence[str],
    image_size: int,
    *,
    name: str = "custom",
    latencies: Mapping[str, int] | None = None,
    region_layers: Mapping[str, str] | None = None,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    weights: str | None = None,
    step_ms: int = 10,
) -> ModuleModel:
    """Make a feedforward network a model.

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
        How it is called in results.
    latencies
        For each layer, how many steps after a frame it answers to it. Default: its position in `layers`,
        so that the first answers in the step in which the image appears.
    region_layers
        The layer for each region, such as ``{"pIT": "layer3"}``.
    mean, std
        Channel statistics by which pixels in [0, 1] are normalised. Default: ImageNet's.
    weights
        Where they came from, for results. Default: the sha256 of the module's parameters and buffers.
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
        If `latencies` are not those of `layers`.
    """
    known = [layer for layer, _ in module.named_modules() if layer]
    for layer in layers:
        if layer not in known:
            raise unknown_name(f"submodule of {type(module).__name__}", layer, known)
    delay = dict(latencies) if latencies is not None else {layer: k for k, layer in enumerate(layers)}
    if set(delay) != set(layers) or min(delay.values(), default=0) < 0:
        raise ContractError(
            f"latencies must give a number of steps, 0 or more, for each of {list(layers)}, got {delay}"
        )
    return ModuleModel(
        name,
        tuple(layers),
        region_layers or {},
        image_size,
        step_ms,
        weights or _fingerprint(module),
        normalizer(mean, std),
        module,
        delay,
    )


def from_step(
    step: Step,
    layers: Sequence[str],
    image_size: int,
    *,
    name: str = "custom",
    region_layers: Mapping[str, str] | None = None,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    weights: str | None = None,
    step_ms: int = 10,
) -> StepModel:
    """Make a recurrent network a model.

    Parameters
    ----------
    step
        ``step(frame, state) -> (outputs, state)``: a function, a method, or a module that is called so.
        `frame` is a normalised batch (image, 3, image_size, image_size); `state` is ``None`` at first and
        then what the step before returned; `outputs` maps at least `layers` to tensors (image, ...). If it
        is a module or a method of one, that is run in evaluation mode, and then put back.
    layers
        Names of the outputs, from the input up.
    image_size, name, region_layers, mean, std, weights, step_ms
        As for `from_module`.

    Returns
    -------
    StepModel
        Each layer has one block a step.
    """
    return StepModel(
        name,
        tuple(layers),
        region_layers or {},
        image_size,
        step_ms,
        weights or _fingerprint(_module_of(step)),
        normalizer(mean, std),
        step,
    )


@dataclass(frozen=True, eq=False)
class ModuleModel:
    """A feedforward network as a model: see `from_module`."""

    name: str
    layers: Sequence[str]
    region_layers: Mapping[str, str]
    image_size: int
    step_ms: int
    weights: str
    normalize: Callable[[Tensor], Tensor]
    module: nn.Module
    latencies: Mapping[str, int]

    @torch.inference_mode()
    def unroll(
        self, images: Tensor, presentation: Presentation, layers: Sequence[str]
    ) -> dict[str, Trajectory]:
        """Run the module once for each distinct frame; see `brainfit.protocols.Model.unroll`."""
        check_request(self, images, presentation, layers)
        steps: dict[str, list[Tensor]] = {layer: [] for layer in layers}
        with _evaluating(self.module):
            for frame, length in presentation.frames(_moved(images, self.module), self.normalize):
                for layer, block in _responses(self.module, frame, layers).items():
                    if not steps[layer]:
                        steps[layer] += [torch.zeros_like(block[:1])] * self.latencies[layer]
                    steps[layer] += [block] * length
        n = presentation.n_steps
        return {layer: Trajectory.from_steps(blocks[:n]) for layer, blocks in steps.items()}


@dataclass(frozen=True, eq=False)
class StepModel:
    """A recurrent network as a model: see `from_step`."""

    name: str
    layers: Sequence[str]
    region_layers: Mapping[str, str]
    image_size: int
    step_ms: int
    weights: str
    normalize: Callable[[Tensor], Tensor]
    step: Step

    @torch.inference_mode()
    def unroll(
        self, images: Tensor, presentation: Presentation, layers: Sequence[str]
    ) -> dict[str, Trajectory]:
        """Step through the presentation; see `brainfit.protocols.Model.unroll`."""
        check_request(self, images, presentation, layers)
        module = _module_of(self.step)
        state: Any = None
        steps: dict[str, list[Tensor]] = {layer: [] for layer in layers}
        with _evaluating(module):
            for frame, length in presentation.frames(_moved(images, module), self.normalize):
                frame = frame.expand(len(images), -1, -1, -1)  # gray comes as a batch of one
                for _ in range(length):
                    outputs, state = _checked(self.step(frame, state), layers)
                    for layer in layers:
                        # A copy: the step may go on to write into its own tensors.
                        steps[layer].append(_tensor(layer, outputs[layer], len(images)).clone())
        return {layer: Trajectory.from_steps(blocks) for layer, blocks in steps.items()}


def _module_of(step: Step) -> nn.Module | None:
    """Return the module that a step function is, or is a method of."""
    owner = step.__self__ if inspect.ismethod(step) else step
    return owner if isinstance(owner, nn.Module) else None


def _fingerprint(module: nn.Module | None) -> str:
    return f"sha256:{weights_sha256(module)}" if module is not None else "unknown"


def _responses(module: nn.Module, frame: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """Return the outputs of the submodules `layers` in one forward pass."""
    outputs: dict[str, Tensor] = {}
    calls: Counter[str] = Counter()

    def keep(layer: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            calls[layer] += 1
            # A copy: an in-place activation may follow.
            outputs[layer] = _tensor(layer, output, len(frame)).clone()

        return hook

    with ExitStack() as hooks:
        for layer in layers:
            hooks.callback(module.get_submodule(layer).register_forward_hook(keep(layer)).remove)
        module(frame)
    for layer in layers:
        if calls[layer] != 1:
            raise ContractError(
                f"layer {layer!r} ran {calls[layer]} times in one forward pass, wanted once; "
                "name a submodule that runs once"
            )
    return outputs


def _tensor(layer: str, output: Any, n_images: int) -> Tensor:
    if not isinstance(output, Tensor):
        raise ContractError(
            f"layer {layer!r} gives a {type(output).__name__}, wanted one tensor; name another one"
        )
    if output.ndim < 2 or len(output) != n_images:
        raise ContractError(
            f"layer {layer!r} gives shape {tuple(output.shape)} for {n_images} images, wanted (image, ...)"
        )
    return output


def _checked(result: Any, layers: Sequence[str]) -> tuple[Mapping[str, Any], Any]:
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], Mapping)):
        raise ContractError(
            "step(frame, state) must return a dict of outputs and the next state, "
            f"got {type(result).__name__}"
        )
    if missing := [layer for layer in layers if layer not in result[0]]:
        raise ContractError(
            f"step gives outputs {', '.join(map(repr, result[0]))}, but not {', '.join(map(repr, missing))}; "
            "name the layers as the step does"
        )
    return result


def _moved(images: Tensor, module: nn.Module | None) -> Tensor:
    """Return images where the module's parameters are."""
    reference = next(module.parameters(), images) if module is not None else images
    return images.to(reference.device)


@contextmanager
def _evaluating(module: nn.Module | None) -> Iterator[None]:
    """Use evaluation mode (no dropout, stored batch statistics) for a while."""
    modes = [] if module is None else [(part, part.training) for part in module.modules()]
    if module is not None:
        module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
