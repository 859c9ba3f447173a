"""Ask any network for its logits over steps, with gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, cast, runtime_checkable

from torch import Tensor, nn

from brainfit.contracts.model import readout_layers
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ContractError

_STEPS = 10
"""Steps that a recurrent network of the user's own is shown an image, unless the recipe states a time."""


@runtime_checkable
class Unrolled(Protocol):
    """A network that is unrolled in time with gradients, such as those of the model zoo."""

    presentation: Presentation

    def unroll_training(
        self, images: Tensor, presentation: Presentation, layers: list[str], *, recompute: bool = False
    ) -> dict[str, Trajectory]:
        """Return the trajectories of layers, with gradients."""
        ...


class AdaptedNetwork(nn.Module):
    """The network in a model that an adapter made (`model_zoo.adapters`), to be trained as that model.

    Its weights are those of the module inside, with their own names. It is shown the image until the end: a
    feedforward network for as many steps as the readout needs to answer, a recurrent one for ten steps unless
    the recipe states a time.

    Parameters
    ----------
    model
        A model with a ``network`` and ``unroll_training``.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.module: nn.Module = model.network
        self.model = model
        self.name, self.image_size = model.name, model.image_size
        self.readout_layers = model.readout_layers
        latencies: Mapping[str, int] | None = getattr(model, "latencies", None)
        steps = _STEPS if latencies is None else 1 + latencies[readout_layer(self)]
        self.presentation = Presentation(on_ms=steps * model.step_ms, off_ms=0, step_ms=model.step_ms)

    def unroll_training(
        self, images: Tensor, presentation: Presentation, layers: list[str], *, recompute: bool = False
    ) -> dict[str, Trajectory]:
        """Return the trajectories of layers, with gradients; `recompute` is for networks of the zoo."""
        if recompute:
            raise ContractError(
                f"only networks of the zoo can compute steps again in the backward pass, and {self.name} is "
                "not one; train it without recompute"
            )
        return self.model.unroll_training(images, presentation, layers)

    def state_dict(self, *args: Any, **options: Any) -> Any:
        """Return the weights of the module inside."""
        return self.module.state_dict(*args, **options)

    def load_state_dict(self, *args: Any, **options: Any) -> Any:
        """Set the weights of the module inside."""
        return self.module.load_state_dict(*args, **options)


def as_network(name: str, found: object) -> nn.Module:
    """Return the torch module to train, given what the factory of a model returned.

    Raises
    ------
    ContractError
        If it is neither a module nor a model around one.
    """
    if isinstance(found, nn.Module):
        return found
    if isinstance(getattr(found, "network", None), nn.Module) and hasattr(found, "unroll_training"):
        return AdaptedNetwork(found)
    raise ContractError(
        f"model {name!r} is a {type(found).__name__} that holds no torch module; only a torch module, or a "
        "model that model_zoo.adapters made from one, can be trained"
    )


def logits_over_steps(
    network: nn.Module, images: Tensor, presentation: Presentation | None, *, recompute: bool = False
) -> list[Tensor]:
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
    recompute
        Compute the intermediate results of a network that unrolls itself again in the backward pass.

    Raises
    ------
    ContractError
        If the outputs are not logits.
    """
    if isinstance(network, Unrolled):
        readout = readout_layer(network)
        assert presentation is not None
        seen = network.unroll_training(images, presentation, [readout], recompute=recompute)[readout]
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
            f"network {type(network).__name__} names no readout layer, whose logits are trained; give its "
            "adapter readout_layers=[...]"
        )
    return names[-1]


def name_weights(network: nn.Module, name: str, source: str) -> None:
    """Name the weights that a network has now, if it names them, as models of the zoo do."""
    named: Any = network
    if hasattr(named, "weights") and hasattr(named, "weights_source"):
        named.weights = name
        named.weights_source = source


def pixels_to_input(images: Tensor, device: str) -> Tensor:
    """Return uint8 pixels as the network takes them: float32 in [0, 1], three channels, on the device."""
    moved = images.to(device, non_blocking=True).float().div_(255)
    return moved.expand(-1, 3, -1, -1) if moved.shape[1] == 1 else moved
