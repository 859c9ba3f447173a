"""A look at the first batch that is needed, before any is computed: what features and batches will take.

Answers that are kept already tell their size. For other layers one image is shown alone; the memory that
this takes says how many images can be shown together.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from brainfit.contracts.model import Model
from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ResourceError
from brainfit.features.extraction import show_last
from brainfit.features.keys import Stimuli, batch_key, layer_key
from brainfit.features.store import FeatureStore
from brainfit.scoring.memory_plan import Unroll
from brainfit.scoring.request import Request
from brainfit.support.memory import PeakMemory, available_bytes
from brainfit.support.messages import format_bytes

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FirstBatch:
    """What is known of the first batch that is needed, before it is computed.

    Attributes
    ----------
    number
        Its position among the batches.
    n_bytes
        Of all layers' answers to it.
    alone
        For each layer whose answer is not kept: what it did for the batch's last image, shown alone.
    unroll
        What memory that took; nothing if all is kept.
    """

    number: int
    n_bytes: int
    alone: dict[str, Trajectory]
    unroll: Unroll


def look_ahead(
    request: Request, layers: Sequence[str], used: np.ndarray, store: FeatureStore | None
) -> tuple[Request, Stimuli, FirstBatch]:
    """Return the request in batches that memory can hold, its images cut into these, and the first of them.

    Parameters
    ----------
    request
        Says which model, images, presentation, precision and batch size.
    layers
        Names of the layers that will be asked for.
    used
        Positions of the images that will be asked for.
    store
        Where answers may be kept already, if anywhere.

    Raises
    ------
    ContractError, PluginError
        If the model does not answer as it must (`brainfit.features.extraction.show`).
    ResourceError
        If memory cannot hold a batch of a size that may not be made smaller.
    """
    stimuli, first = _look(request, layers, used, store)
    if (size := _batch_size(request, first.unroll)) != request.batch_size:
        request = replace(request, batch_size=size)
        stimuli, first = _look(request, layers, used, store)
    return request, stimuli, first


def shown_alone(
    request: Request, layers: Sequence[str], stimuli: Stimuli, number: int
) -> dict[str, Trajectory]:
    """Return what each of `layers` does for the last image of a batch when that is shown alone."""
    return show_last(
        request.model,
        layers,
        stimuli.pixels(number),
        request.presentation,
        device=request.device,
        precision=request.precision,
    )


def _look(
    request: Request, layers: Sequence[str], used: np.ndarray, store: FeatureStore | None
) -> tuple[Stimuli, FirstBatch]:
    """Cut the images into batches, and look at the first that is needed: what is kept, or one image of it."""
    stimuli = Stimuli(request.recording.stimuli, request.batch_size)
    number = next(k for k, batch in enumerate(stimuli.batches) if np.isin(batch, used).any())
    kept: dict[str, int] = {}
    if store is not None:
        keys = {layer: batch_key(layer_key(request, layer), stimuli.hash(number)) for layer in layers}
        found = {layer: store.size_of(key) for layer, key in keys.items()}
        kept = {layer: size for layer, size in found.items() if size is not None}
    missing = [layer for layer in layers if layer not in kept]
    if not missing:
        return stimuli, FirstBatch(number, sum(kept.values()), {}, Unroll())
    with PeakMemory() as watch:
        alone = shown_alone(request, missing, stimuli, number)
    image_bytes = sum(block.nbytes for seen in alone.values() for block in seen.blocks)
    # What libraries take at their first use, and keep, is no image's.
    took = watch.peak - max(watch.kept - image_bytes, 0)
    unroll = Unroll.of(took, 1, _largest_weights(request.model))
    n_bytes = sum(kept.values()) + image_bytes * len(stimuli.batches[number])
    return stimuli, FirstBatch(number, n_bytes, alone, unroll)


def _largest_weights(model: Model) -> int:
    """Return the bytes of the largest parameter: convolutions lay theirs out anew at every call."""
    each = model.parameters() if isinstance(model, torch.nn.Module) else ()
    return max((parameter.nbytes for parameter in each), default=0)


def _batch_size(request: Request, unroll: Unroll) -> int:
    """Return the batch size asked for, or the half of it, and so on, that memory can hold."""
    if request.device != "cpu":
        return request.batch_size
    room, size = available_bytes(), request.batch_size
    n_images = request.recording.n_images
    while size > 1 and unroll.bytes(min(size, n_images)) > room:
        size //= 2
    if size == request.batch_size:
        return size
    needed = format_bytes(unroll.bytes(min(request.batch_size, n_images)))
    why = (
        f"a batch of {request.batch_size} images takes about {needed}, and {format_bytes(room)} are available"
    )
    if not request.may_shrink:
        raise ResourceError(f"{why}; a batch size of {size} would fit (--batch-size {size})")
    _log.warning("%s: the batch size is %d, from which the result differs by rounding only", why, size)
    return size
