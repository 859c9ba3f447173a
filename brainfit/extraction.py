"""Show images to a model, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch.nn import functional as F

from brainfit.errors import ContractError
from brainfit.memory import check_memory
from brainfit.model_contract import full_precision, image_of, same, unroll
from brainfit.presentation import Presentation
from brainfit.protocols import Model
from brainfit.trajectory import Trajectory

_ROUNDING = 1e-6  # by how much pixels that somebody resized may leave [0, 1]


@dataclass(frozen=True)
class Batch:
    """A few images and what a layer did for them.

    Attributes
    ----------
    images
        Positions of the images in the stimuli.
    pixels
        As stored, shape (image, height, width, 3).
    trajectory
        Of the one layer asked for.
    """

    images: np.ndarray
    pixels: np.ndarray
    trajectory: Trajectory


def extract(
    model: Model,
    layer: str,
    stimuli: xr.DataArray,
    images: np.ndarray,
    presentation: Presentation,
    *,
    batch_size: int,
    device: str = "cpu",
) -> Iterator[Batch]:
    """Yield what `layer` does for each batch of the images at positions `images`.

    Parameters
    ----------
    stimuli
        Dims ``("image", "height", "width", "channel")``, uint8 or float in [0, 1]; may be lazy.

    Raises
    ------
    ContractError
        If the model returns something that is not a trajectory of these images or not finite, or its
        answer to an image of the first batch is another one when that is shown alone.
    PluginError, ResourceError
        If the model's code fails, or runs out of memory.
    """
    for start in range(0, len(images), batch_size):
        some = images[start : start + batch_size]
        pixels = stimuli.isel(image=some).values
        shown = to_model_input(pixels, model.image_size).to(device)
        # Copied, and before the batch: a model may use the memory of its answer again.
        check = start == 0 and len(some) > 1
        alone = image_of(unroll(model, shown[-1:], presentation, [layer])[layer], 0) if check else None
        trajectory = unroll(model, shown, presentation, [layer])[layer]
        if alone is not None and not same(image_of(trajectory, -1), alone):
            raise ContractError(
                f"model {model.name!r}, layer {layer!r}: answers to an image depend on the other images of "
                "its batch, or change from call to call; `brainfit check` says which"
            )
        yield Batch(some, pixels, full_precision(trajectory))


def to_model_input(pixels: np.ndarray, size: int) -> torch.Tensor:
    """Pixels as a model takes them: float32 in [0, 1], shape (image, 3, size, size).

    Images of another size are resized bilinearly, with antialiasing where they shrink.

    Raises
    ------
    ContractError
        If they are not RGB images, uint8 or float in [0, 1].
    ResourceError
        If they do not fit into memory at that size.
    """
    if pixels.ndim != 4 or pixels.shape[-1] != 3 or 0 in pixels.shape or size < 1:
        raise ContractError(
            f"images have shape {pixels.shape}, to be shown at {size} px; "
            "wanted (image, height, width, 3) of at least one pixel"
        )
    if pixels.dtype != np.uint8 and pixels.dtype.kind != "f":
        raise ContractError(f"images are {pixels.dtype}; wanted uint8 in [0, 255] or float in [0, 1]")
    if pixels.dtype != np.uint8 and not -_ROUNDING <= pixels.min() <= pixels.max() <= 1 + _ROUNDING:
        raise ContractError(
            f"float images have pixels from {pixels.min():g} to {pixels.max():g}; wanted [0, 1] and no NaN: "
            "divide 8-bit pixels by 255, or store them as uint8"
        )
    scale = 255.0 if pixels.dtype == np.uint8 else 1.0
    images = torch.from_numpy(np.ascontiguousarray(pixels, np.float32)).permute(0, 3, 1, 2) / scale
    if images.shape[-2:] != (size, size):
        check_memory(
            {"images at the model's size": 4.0 * len(images) * 3 * size * size},
            "lower the batch size or the model's image_size",
        )
        images = F.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
    return images.contiguous().clamp_(0, 1)  # a weighted mean may round to just above 1
