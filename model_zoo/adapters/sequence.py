"""A network that returns all its steps at once: a tensor (image, step, ...) for each layer.

It takes either every frame of the presentation, as a video network does, or one image that it holds for all
its steps, as most published recurrent networks do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from brainfit.contracts.presentation import Presentation
from brainfit.errors import ContractError
from brainfit.support.arguments import one_of

from ..engine.inputs import IMAGENET_MEAN, IMAGENET_STD, names_of, normalizer
from .common import (
    Adapter,
    checked_outputs,
    checked_tensor,
    network_of,
    outputs_by_call,
    submodules,
)

Run = Callable[[Tensor], Mapping[str, Tensor]]
Takes = Literal["frames", "image"]


def from_sequence(
    run: Run,
    layers: Sequence[str],
    image_size: int,
    *,
    takes: Takes = "frames",
    name: str = "custom",
    region_layers: Mapping[str, str] | None = None,
    readout_layers: Sequence[str] = (),
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    weights: str | None = None,
    step_ms: int = 10,
) -> SequenceModel:
    """Make a model of a network that returns all its steps at once.

    Parameters
    ----------
    run
        ``run(shown) -> outputs``: a function, a method, a module that is called so, or what `each_call`
        makes. `outputs` maps at least `layers` to tensors (image, step, ...). If there is a module, it is
        run in evaluation mode, and then put back.
    layers
        Names of the outputs, from the input up.
    takes
        The normalised input of `run`.

        ``"frames"``: the whole presentation, (image, step, 3, image_size, image_size). It must return as
        many steps.

        ``"image"``: the images, (image, 3, image_size, image_size), which it holds for all its steps. It
        answers with at least as many steps as the presentation has; later ones are cut. Such a network
        is never shown gray. So that no score says otherwise, a presentation with gray is refused: the
        one that tells the truth, and goes into the score, is ``Presentation(on_ms=250, off_ms=0)``.
    image_size, name, region_layers, readout_layers, mean, std, weights, step_ms
        As for `from_module`.

    Returns
    -------
    SequenceModel
        Each layer has one block a step.

    Raises
    ------
    ContractError
        If an argument is not as described here, or a name occurs twice.
    """
    one_of("takes", takes, ("frames", "image"))
    return SequenceModel(
        name,
        names_of(layers),
        {} if region_layers is None else region_layers,
        image_size,
        step_ms,
        weights,
        normalizer(mean, std),
        names_of(readout_layers),
        run,
        takes,
    )


def each_call(module: nn.Module, layers: Sequence[str]) -> EachCall:
    """Make a function for `from_sequence` of a module that runs all its steps in one forward pass.

    Parameters
    ----------
    module
        Calls each of its submodules `layers` once a step: the k-th call is step k.
    layers
        Names of submodules, as in ``module.named_modules()``. Each must give one tensor (image, ...), of
        the same shape in every step, and all must run equally often. One that runs *twice* a step
        would pass for one with twice the steps if it were the only one: name it together with others.

    Raises
    ------
    UnknownNameError
        If the module has no such layer.
    ContractError
        If it is no module, or `layers` one string.

    References
    ----------
    CORnet-RT is such a network: Kubilius et al. (2018), bioRxiv 408385.
    """
    return EachCall(module, submodules(module, layers))


@dataclass(frozen=True, eq=False)
class EachCall:
    """A module as a function from what is shown to its layers in all steps: see `each_call`."""

    module: nn.Module
    layers: Sequence[str]

    def __call__(self, shown: Tensor) -> dict[str, Tensor]:
        """Run the module, and return tensors (image, step, ...)."""
        outputs = outputs_by_call(self.module, shown, self.layers)
        counts = {layer: len(calls) for layer, calls in outputs.items()}
        if len(set(counts.values())) > 1:
            times = ", ".join(f"{layer!r} {count}" for layer, count in counts.items())
            raise ContractError(
                f"layers ran different numbers of times in one forward pass: {times}; "
                "name submodules that run once a step"
            )
        for layer, calls in outputs.items():
            if len(shapes := dict.fromkeys(tuple(call.shape) for call in calls)) > 1:
                raise ContractError(
                    f"layer {layer!r} gives shapes {' and '.join(map(str, shapes))} in one forward pass, "
                    "wanted one for all steps; name another one"
                )
        return {layer: torch.stack(calls, dim=1) for layer, calls in outputs.items()}


@dataclass(frozen=True, eq=False)
class SequenceModel(Adapter):
    """A network that answers with all its steps at once, as a model: see `from_sequence`."""

    run: Run
    takes: Takes

    @property
    def network(self) -> nn.Module | None:
        """The module that runs, if it is known."""
        return _network(self.run)

    @property
    def holds_image(self) -> bool:
        """True if it holds the image for all its steps, so that it can never see gray."""
        return self.takes == "image"

    def _steps(
        self, images: Tensor, presentation: Presentation, layers: Sequence[str]
    ) -> dict[str, list[Tensor]]:
        if self.holds_image and presentation.off_ms:
            raise ContractError(
                f"{self.name} holds the image for all its steps and is never shown gray, got a presentation "
                f"with off_ms={presentation.off_ms}; give one that says so: "
                f"Presentation(on_ms={presentation.on_ms + presentation.off_ms}, off_ms=0, "
                f"step_ms={presentation.step_ms})"
            )
        outputs = checked_outputs("run", _mapping(self.run(self._shown(images, presentation))), layers)
        steps = {}
        for layer in layers:
            answer = checked_tensor(layer, outputs[layer], len(images), steps=True)
            self._check_steps(layer, answer.shape[1], presentation.n_steps)
            steps[layer] = list(answer[:, : presentation.n_steps].unbind(1))
        return steps

    def _shown(self, images: Tensor, presentation: Presentation) -> Tensor:
        frames = self._frames(images, presentation)
        if self.holds_image:
            return next(frames)[0]
        held = (
            frame.expand(len(images), -1, -1, -1).unsqueeze(1).expand(-1, length, -1, -1, -1)
            for frame, length in frames
        )
        return torch.cat(tuple(held), dim=1)

    def _check_steps(self, layer: str, got: int, wanted: int) -> None:
        if self.holds_image and got < wanted:
            raise ContractError(
                f"layer {layer!r} has {got} steps, the presentation {wanted}; "
                "let the network run for more, or show the image for less long"
            )
        if not self.holds_image and got != wanted:
            raise ContractError(f"layer {layer!r} gives {got} steps for {wanted} frames, wanted one for each")


def _network(run: Run) -> nn.Module | None:
    return run.module if isinstance(run, EachCall) else network_of(run)


def _mapping(result: Any) -> Mapping[str, Any]:
    if not isinstance(result, Mapping):
        raise ContractError(
            f"run must return a dict of tensors (image, step, ...), got {type(result).__name__}; "
            "each_call makes such a function of a module"
        )
    return result
