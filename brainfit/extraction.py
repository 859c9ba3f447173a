"""Show images to a model, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch.nn import functional as F

from brainfit.errors import ContractError
from brainfit.presentation import Presentation
from brainfit.protocols import Model
from brainfit.trajectory import Trajectory


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
        If the model returns something that is not a trajectory of these images, or a value that
        is not finite.
    """
    for start in range(0, len(images), batch_size):
        some = images[start : start + batch_size]
        pixels = stimuli.isel(image=some).values
        shown = to_model_input(pixels, model.image_size).to(device)
        unrolled = model.unroll(shown, presentation, [layer])
        yield Batch(some, pixels, _checked(model, layer, unrolled, len(some), presentation.n_steps))


def to_model_input(pixels: np.ndarray, size: int) -> torch.Tensor:
    """Pixels as a model takes them: float32 in [0, 1], shape (image, 3, size, size).

    Images of another size are resized bilinearly, with antialiasing where they shrink.
    """
    scale = 255.0 if pixels.dtype == np.uint8 else 1.0
    images = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / scale
    if images.shape[-1] != size:
        images = F.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
    return images.contiguous()


def _checked(model: Model, layer: str, unrolled: object, n_images: int, n_steps: int) -> Trajectory:
    where = f"model {model.name!r}, layer {layer!r}"
    trajectory = unrolled.get(layer) if isinstance(unrolled, dict) else None
    if not isinstance(trajectory, Trajectory):
        raise ContractError(f"{where}: unroll must return a dict with a Trajectory for it")
    if trajectory.n_steps != n_steps:
        raise ContractError(f"{where}: {trajectory.n_steps} steps, wanted {n_steps}")
    for k, block in enumerate(trajectory.blocks):
        if block.ndim < 2 or block.shape[0] not in (1, n_images):
            raise ContractError(
                f"{where}: a block has shape {tuple(block.shape)}, wanted ({n_images} or 1, features…)"
            )
        if not torch.isfinite(block).all():
            raise ContractError(
                f"{where}: features are not finite (NaN or infinite) from step "
                f"{trajectory.index.index(k)} on; check its weights and normalisation"
            )
    return trajectory
