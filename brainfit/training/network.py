"""Ask any network for its logits over steps, with gradients."""

from __future__ import annotations

from typing import Protocol, cast, runtime_checkable

from torch import Tensor, nn

from brainfit.contracts.model import readout_layers
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ContractError


@runtime_checkable
class Unrolled(Protocol):
    """A network that is unrolled in time with gradients, such as those of the model zoo."""

    presentation: Presentation

    def unroll_training(
        self, images: Tensor, presentation: Presentation, layers: list[str]
    ) -> dict[str, Trajectory]:
        """Return the trajectories of layers, with gradients."""
        ...


def logits_over_steps(network: nn.Module, images: Tensor, presentation: Presentation | None) -> list[Tensor]:
    """Return the logits of each step, each of shape (image, class); equal steps share a tensor.

    Parameters
    ----------
    network
        One that unrolls itself (`Unrolled`), or any module from images to logits of shape (image, class), or
        (step, image, class) if it answers with all its steps.
    images
        Pixels in [0, 1], shape (image, 3, height, width).
    presentation
        The presentation of a network that unrolls itself.

    Raises
    ------
    ContractError
        If what comes back are no logits.
    """
    if isinstance(network, Unrolled):
        readout = readout_layer(network)
        assert presentation is not None
        seen = network.unroll_training(images, presentation, [readout])[readout]
        blocks = [block.expand(len(images), *block.shape[1:]) for block in seen.blocks]
        return [blocks[k] for k in seen.index]
    logits = cast(object, network(images))
    if not isinstance(logits, Tensor) or logits.ndim not in (2, 3) or logits.shape[-2] != len(images):
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ContractError(
            f"network {type(network).__name__} returned {got} for {len(images)} images; wanted logits of "
            "shape (image, class) or (step, image, class)"
        )
    return [logits] if logits.ndim == 2 else list(logits.unbind(0))


def readout_layer(network: object) -> str:
    """Return the layer of a network whose outputs are logits.

    Raises
    ------
    ContractError
        If it names none.
    """
    names = readout_layers(network)  # pyright: ignore[reportArgumentType]
    if not names:
        raise ContractError(
            f"network {type(network).__name__} names no readout layer, whose logits are trained"
        )
    return names[-1]


def pixels_to_input(images: Tensor, device: str) -> Tensor:
    """Return uint8 pixels as the network takes them: float32 in [0, 1], three channels, on the device."""
    moved = images.to(device, non_blocking=True).float().div_(255)
    return moved.expand(-1, 3, -1, -1) if moved.shape[1] == 1 else moved
