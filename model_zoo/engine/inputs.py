"""Check the request to a model, and normalise its pixels."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, MappingView, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from brainfit.contracts.model import Model
from brainfit.contracts.presentation import Presentation
from brainfit.errors import ContractError
from brainfit.support.arguments import number
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
        """Normalise images; the shape is kept."""
        shift, scale = (_constant(values, images.dtype, images.device) for values in (self.mean, self.std))
        return (images - shift) / scale


@functools.lru_cache(maxsize=64)  # a copy to a GPU makes the processor wait
@torch.inference_mode(False)
def _constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return the values by channel, (3, 1, 1)."""
    return torch.tensor(values, dtype=dtype, device=device).view(3, 1, 1)


def normalizer(mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> Normalizer:
    """Return the `Normalizer` of channel statistics of pixels in [0, 1], by default ImageNet's.

    Raises
    ------
    ContractError
        If they are not three numbers each in the order red, green, blue; or if they are those of pixels in
        [0, 255], which would make all images look alike.

    Examples
    --------
    >>> normalizer(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
    Traceback (most recent call last):
    brainfit.errors.ContractError: mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375) are not of ...
    """
    means, stds = _channels("mean", mean, -1e6), _channels("std", std, 1e-6)
    if min(means) < 0:
        raise ContractError(f"mean is 0 to 1, as pixels are, got {means}")
    if max(*means, *stds) > 1:
        # With a mean of 8-bit pixels, a standard deviation of 1 (no division) is one of 8-bit pixels too.
        wide = ["mean"] * (max(means) > 1) + ["std"] * (max(stds) > 1 or max(stds) == 1 < max(means))
        raise ContractError(
            f"mean={means}, std={stds} are not of pixels in [0, 1], which images have here; divide "
            f"{' and '.join(wide)} by 255 if they are of 8-bit pixels"
        )
    return Normalizer(means, stds)


def _channels(name: str, values: Sequence[float], low: float) -> tuple[float, ...]:
    numbers = ordered(name, values) if np.iterable(values) else (values,)
    if len(numbers) != 3:
        raise ContractError(f"{name} is three numbers, of red, green and blue, got {len(numbers)}")
    return tuple(number(name, value, low, 1e6) for value in numbers)


def ordered(name: str, values: Iterable[Any]) -> tuple[Any, ...]:
    """Return the values; raise ContractError for a set, whose order is lost."""
    if isinstance(values, Set) and not isinstance(values, MappingView):
        raise ContractError(
            f"{name} must be in order, got a {type(values).__name__}, which has none; give a list"
        )
    return tuple(values)


def check_request(
    model: Model,
    images: torch.Tensor,
    presentation: Presentation,
    layers: Iterable[str],
    *,
    check_pixels: bool = True,
) -> tuple[str, ...]:
    """Check a request to `unroll`.

    Parameters
    ----------
    model, images, presentation, layers
        As for `brainfit.contracts.model.Model.unroll`.
    check_pixels
        True to check the range of the pixels, which waits for a GPU to finish its queue.

    Returns
    -------
    tuple
        The names in `layers`, each once.

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
    if check_pixels:
        _check_pixels(model, images)
    if not isinstance(presentation, Presentation):
        raise ContractError(f"{model.name} takes a brainfit.Presentation, got {type(presentation).__name__}")
    if presentation.step_ms != model.step_ms:
        raise ContractError(
            f"{model.name} has steps of {model.step_ms} ms, got a presentation with "
            f"step_ms={presentation.step_ms}; use the model's"
        )
    return tuple(dict.fromkeys(names))


def names_of(layers: Iterable[str]) -> tuple[str, ...]:
    """Return the names as a tuple; raise ContractError for one string, or for names without an order."""
    if isinstance(layers, str):
        raise ContractError(f"layers must be a list of names, got the string {layers!r}; write [{layers!r}]")
    if not isinstance(layers, Iterable):
        raise ContractError(f"layers must be a list of names, got {layers!r}")
    return ordered("layers", layers)


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


def _check_pixels(model: Model, images: torch.Tensor) -> None:
    low, high = map(float, images.detach().aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ContractError(
            f"{model.name} takes pixels in [0, 1], got NaN or infinite ones; check how they were made"
        )
    if low < 0 or high > 1:
        raise ContractError(
            f"{model.name} takes pixels in [0, 1], got {low} to {high}; "
            "divide 8-bit pixels by 255, or clip values that resizing put outside"
        )
