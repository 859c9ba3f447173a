"""Extract the features of one batch of images from a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch.nn import functional as F

from brainfit.contracts.model import Model
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ContractError
from brainfit.features.model_contract import image_of, same, unroll
from brainfit.support.memory import check_memory

_ROUNDING = 1e-6  # pixels that were resized may leave [0, 1] by as much


def extract(
    model: Model,
    layers: Sequence[str],
    pixels: np.ndarray,
    presentation: Presentation,
    *,
    device: str = "cpu",
    precision: str = "float32",
    alone: Mapping[str, Trajectory] | None = None,
) -> dict[str, Trajectory]:
    """Return the features of each of `layers` for a batch of images, in the precision they were computed in.

    Parameters
    ----------
    pixels
        Shape (image, height, width, 3), uint8 or float in [0, 1].
    precision
        Precision of the model, as for `brainfit.Execution`.
    alone
        Features of the last image extracted alone (`extract_last`), with which those of the batch must
        agree; None for no such check.

    Raises
    ------
    ContractError
        If the model does not return finite trajectories of these images, or its features of the last image
        differ from those in `alone`.
    PluginError, ResourceError
        If the model's code fails, or runs out of memory.
    """
    images = _on_device(to_model_input(pixels, model.image_size), device)
    seen = unroll(model, images, presentation, layers, precision)
    rounding = None if precision == "float32" else 4 * torch.finfo(torch.bfloat16).eps
    for layer in layers:
        if alone and layer in alone and not same(image_of(seen[layer], -1), alone[layer], rounding):
            raise ContractError(
                f"model {model.name!r}, layer {layer!r}: answers to an image depend on the other images of "
                "its batch, change from call to call, or grow until rounding decides them; `brainfit check` "
                "says which"
            )
    return seen


def extract_last(
    model: Model,
    layers: Sequence[str],
    pixels: np.ndarray,
    presentation: Presentation,
    *,
    device: str = "cpu",
    precision: str = "float32",
) -> dict[str, Trajectory]:
    """Return the features of the last image of a batch, extracted alone; raises as `extract`."""
    seen = extract(model, layers, pixels[-1:], presentation, device=device, precision=precision)
    # Copied: a model may use the memory of its answer again.
    return {layer: image_of(trajectory, 0) for layer, trajectory in seen.items()}


def _on_device(images: torch.Tensor, device: str) -> torch.Tensor:
    """Copy images to the device; to a GPU from pinned memory, queued with its other work.

    Reading a result on the CPU (`Tensor.cpu`, `float`) waits until it has been computed.
    """
    if torch.device(device).type != "cuda":
        return images.to(device)
    return images.pin_memory().to(device, non_blocking=True)


def select_rows(seen: Trajectory, rows: np.ndarray) -> Trajectory:
    """Return the trajectory of the images at these increasing positions of their batch."""
    at = torch.from_numpy(np.asarray(rows))
    blocks = (b if len(b) in (1, len(at)) else b[at.to(b.device)] for b in seen.blocks)
    return Trajectory(tuple(blocks), seen.index)


def to_model_input(pixels: np.ndarray, size: int) -> torch.Tensor:
    """Convert pixels to a model's input: float32 in [0, 1], shape (image, 3, size, size).

    Images of another size are resized bilinearly, with antialiasing if they shrink.

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
