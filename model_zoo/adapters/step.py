"""A recurrent network as a function ``step(frame, state) -> (outputs, state)``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from brainfit.contracts.presentation import Presentation
from brainfit.errors import ContractError

from ..engine.inputs import IMAGENET_MEAN, IMAGENET_STD, names_of, normalizer
from .common import Adapter, checked_outputs, checked_tensor, network_of

Step = Callable[[Tensor, Any], tuple[Mapping[str, Tensor], Any]]


def from_step(
    step: Step,
    layers: Sequence[str],
    image_size: int,
    *,
    name: str = "custom",
    region_layers: Mapping[str, str] | None = None,
    readout_layers: Sequence[str] = (),
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    weights: str | None = None,
    step_ms: int = 10,
) -> StepModel:
    """Make a model of a recurrent network.

    Parameters
    ----------
    step
        ``step(frame, state) -> (outputs, state)``: a function, a method, or a module that is called so.
        `frame` is a normalised batch (image, 3, image_size, image_size); `state` is ``None`` at first and
        then what the step before returned; `outputs` maps at least `layers` to tensors (image, ...). If it
        is a module or a method of one, that is run in evaluation mode, and then put back.
    layers
        Names of the outputs, from the input up.
    image_size, name, region_layers, readout_layers, mean, std, weights, step_ms
        As for `from_module`.

    Returns
    -------
    StepModel
        Each layer has one block a step.

    Raises
    ------
    ContractError
        If an argument is not as described here, or a name occurs twice.
    """
    return StepModel(
        name,
        names_of(layers),
        {} if region_layers is None else region_layers,
        image_size,
        step_ms,
        weights,
        normalizer(mean, std),
        names_of(readout_layers),
        step,
    )


@dataclass(frozen=True, eq=False)
class StepModel(Adapter):
    """A recurrent network as a model: see `from_step`."""

    step: Step

    @property
    def network(self) -> nn.Module | None:
        """The module that the step is, or is a method of."""
        return network_of(self.step)

    def _steps(
        self, images: Tensor, presentation: Presentation, layers: Sequence[str]
    ) -> dict[str, list[Tensor]]:
        state: Any = None
        steps: dict[str, list[Tensor]] = {layer: [] for layer in layers}
        for frame, length in self._frames(images, presentation):
            for _ in range(length):
                # A frame of its own for each step, which may write into it; gray comes as a batch of one.
                own = frame.expand(len(images), -1, -1, -1).clone()
                outputs, state = _checked(self.step(own, state))
                checked_outputs("step", outputs, layers)
                for layer in layers:
                    # A copy: the step may go on to write into its own tensors.
                    steps[layer].append(checked_tensor(layer, outputs[layer], len(images)).clone())
        return steps


def _checked(result: Any) -> tuple[Mapping[str, Any], Any]:
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], Mapping)):
        raise ContractError(
            "step(frame, state) must return a dict of outputs and the next state, "
            f"got {type(result).__name__}"
        )
    return result
