"""What every model does first: refuse a wrong request, normalise the pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from brainfit.errors import ContractError
from brainfit.names import unknown_name
from brainfit.presentation import Presentation
from brainfit.protocols import Model

# Channel statistics of the ImageNet training images in [0, 1] RGB, as every published network uses them.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalizer(
    mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the function ``(pixels - mean) / std`` of images (image, 3, height, width), by channel."""

    def normalize(images: torch.Tensor) -> torch.Tensor:
        shift, scale = (images.new_tensor(values).view(3, 1, 1) for values in (mean, std))
        return (images - shift) / scale

    return normalize


def check_request(
    model: Model, images: torch.Tensor, presentation: Presentation, layers: Sequence[str]
) -> None:
    """Raise unless `model` can be asked for this.

    Raises
    ------
    UnknownNameError
        If one of `layers` is not a layer of `model`.
    ContractError
        If `images` are not float pixels in [0, 1] of shape (image, 3, image_size, image_size), or the
        presentation has another step than the model.
    """
    if isinstance(layers, str):
        raise ContractError(f"layers must be a list of names, got the string {layers!r}; write [{layers!r}]")
    for layer in layers:
        if layer not in model.layers:
            raise unknown_name(f"layer of {model.name}", layer, model.layers)
    wanted = (3, model.image_size, model.image_size)
    if images.ndim != 4 or tuple(images.shape[1:]) != wanted or len(images) == 0:
        raise ContractError(
            f"{model.name} takes images of shape (image, {', '.join(map(str, wanted))}), "
            f"got {tuple(images.shape)}; resize them or build the model with another image_size"
        )
    if not images.is_floating_point() or not 0 <= images.min() <= images.max() <= 1:
        raise ContractError(
            f"{model.name} takes float pixels in [0, 1], got {images.dtype} "
            f"from {images.min():g} to {images.max():g}; divide 8-bit pixels by 255"
        )
    if presentation.step_ms != model.step_ms:
        raise ContractError(
            f"{model.name} has steps of {model.step_ms} ms, got a presentation with "
            f"step_ms={presentation.step_ms}; use the model's"
        )
