"""What every model does first: refuse a wrong request, normalise the pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from brainfit.contracts.model import Model
from brainfit.contracts.presentation import Presentation
from brainfit.errors import ContractError
from brainfit.support.suggestions import unknown_name

# Channel statistics of the ImageNet training images in [0, 1] RGB, as every published network uses them.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Normalizer:
    """The function ``(pixels - mean) / std`` of images (image, 3, height, width), by channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Normalise; the shape stays."""
        shift, scale = (images.new_tensor(values).view(3, 1, 1) for values in (self.mean, self.std))
        return (images - shift) / scale


def normalizer(mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> Normalizer:
    """Return the `Normalizer` of these channel statistics, by default ImageNet's."""
    return Normalizer(tuple(map(float, mean)), tuple(map(float, std)))


def check_request(
    model: Model, images: torch.Tensor, presentation: Presentation, layers: Iterable[str]
) -> tuple[str, ...]:
    """Raise unless `model` can be asked for this.

    Returns
    -------
    tuple
        `layers`, which may be a generator, each once.

    Raises
    ------
    UnknownNameError
        If one of `layers` is not a layer of `model`.
    ContractError
        If `images` are not float pixels in [0, 1] of shape (image, 3, image_size, image_size), or the
        presentation has another step than the model.
    """
    names = names_of(layers)
    for layer in names:
        if layer not in model.layers:
            raise unknown_name(f"layer of {model.name}", layer, model.layers)
    _check_images(model, images)
    if not isinstance(presentation, Presentation):
        raise ContractError(
            f"{model.name} is shown images as a brainfit.Presentation says, got {type(presentation).__name__}"
        )
    if presentation.step_ms != model.step_ms:
        raise ContractError(
            f"{model.name} has steps of {model.step_ms} ms, got a presentation with "
            f"step_ms={presentation.step_ms}; use the model's"
        )
    return tuple(dict.fromkeys(names))


def names_of(layers: Iterable[str]) -> tuple[str, ...]:
    """Return the names; one string, which Python takes for its letters, raises ContractError."""
    if isinstance(layers, str):
        raise ContractError(f"layers must be a list of names, got the string {layers!r}; write [{layers!r}]")
    if not isinstance(layers, Iterable):
        raise ContractError(f"layers must be a list of names, got {layers!r}")
    return tuple(layers)


def _check_images(model: Model, images: torch.Tensor) -> None:
    if not isinstance(images, torch.Tensor):
        raise ContractError(
            f"{model.name} takes images as a torch.Tensor, got {type(images).__name__}; "
            "torch.from_numpy makes one of an array"
        )
    wanted = (3, model.image_size, model.image_size)
    if images.ndim != 4 or tuple(images.shape[1:]) != wanted or len(images) == 0:
        raise ContractError(
            f"{model.name} takes images of shape (image, {', '.join(map(str, wanted))}), "
            f"got {tuple(images.shape)}; resize them or build the model with another image_size"
        )
    if not images.is_floating_point():
        raise ContractError(
            f"{model.name} takes float pixels in [0, 1], got {images.dtype}; divide 8-bit pixels by 255"
        )
    low, high = map(float, images.detach().aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ContractError(
            f"{model.name} takes pixels in [0, 1], got some that are NaN or infinite; look at what made them"
        )
    if low < 0 or high > 1:
        raise ContractError(
            f"{model.name} takes pixels in [0, 1], got {low} to {high}; "
            "divide 8-bit pixels by 255, or clip what resizing put outside"
        )
