"""A look at the first batch that is needed, before any is computed: what features and batches will take.

Answers that are kept already tell their size. For other layers one image is shown alone; the memory that
this takes says how many images can be shown together.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from brainfit.contracts.model import Model
from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ResourceError
from brainfit.execution import Execution
from brainfit.features.extraction import show_last
from brainfit.features.keys import Stimuli, batch_key, layer_key
from brainfit.features.plan import FeaturePlan
from brainfit.features.store import FeatureStore
from brainfit.support.memory import PeakMemory, available_bytes
from brainfit.support.messages import format_bytes

DEFAULT_BATCH_SIZE = 16
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unroll:
    """Memory that showing images to a model takes.

    Attributes
    ----------
    fixed
        Bytes whatever the number of images.
    each
        Bytes for each image that goes through the model together with others.
    """

    fixed: float = 0
    each: float = 0

    @classmethod
    def of(cls, peak: float, n_images: int, fixed: float) -> Unroll:
        """Divide the peak of some images; `fixed` is at most half of it."""
        fixed = min(fixed, peak / 2)
        return cls(fixed, (peak - fixed) / n_images)

    def bytes(self, n_images: int) -> float:
        """Return the bytes that a number of images takes together."""
        return self.fixed + self.each * n_images


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
    plan: FeaturePlan, execution: Execution, used: np.ndarray, store: FeatureStore | None
) -> tuple[Stimuli, FirstBatch]:
    """Cut the images into batches that memory can hold, and look at the first that is needed.

    Parameters
    ----------
    plan, execution
        What is computed, and where.
    used
        Positions of the images that will be asked for.
    store
        Where features may be kept already, if anywhere.

    Raises
    ------
    ContractError, PluginError
        If the model does not answer as it must (`brainfit.features.extraction.show`).
    ResourceError
        If memory cannot hold a batch of the size that was asked for.
    """
    stimuli = Stimuli(plan.stimuli, execution.batch_size or DEFAULT_BATCH_SIZE)
    first = _look(plan, execution, stimuli, used, store)
    if (size := _batch_size(execution, stimuli, first.unroll)) != stimuli.batch_size:
        stimuli = Stimuli(plan.stimuli, size)
        first = _look(plan, execution, stimuli, used, store)
    return stimuli, first


def shown_alone(
    plan: FeaturePlan, layers: Sequence[str], execution: Execution, stimuli: Stimuli, number: int
) -> dict[str, Trajectory]:
    """Return the features of `layers` for the last image of a batch when that is shown alone."""
    return show_last(
        plan.model,
        layers,
        stimuli.pixels(number),
        plan.presentation,
        device=execution.device,
        precision=execution.precision,
    )


def _look(
    plan: FeaturePlan, execution: Execution, stimuli: Stimuli, used: np.ndarray, store: FeatureStore | None
) -> FirstBatch:
    """Look at the first batch that is needed: what is kept of it, or one image of it shown alone."""
    number = next(k for k, batch in enumerate(stimuli.batches) if np.isin(batch, used).any())
    kept: dict[str, int] = {}
    if store is not None:
        rows = range(len(stimuli.batches[number]))
        keys = {
            layer: batch_key(layer_key(plan, layer, execution), stimuli.hash(number), rows)
            for layer in plan.layers
        }
        found = {layer: store.size_of(key) for layer, key in keys.items()}
        kept = {layer: size for layer, size in found.items() if size is not None}
    missing = [layer for layer in plan.layers if layer not in kept]
    if not missing:
        return FirstBatch(number, sum(kept.values()), {}, Unroll())
    with PeakMemory() as watch:
        alone = shown_alone(plan, missing, execution, stimuli, number)
    image_bytes = sum(block.nbytes for seen in alone.values() for block in seen.blocks)
    # What libraries take at their first use, and keep, is no image's.
    took = watch.peak - max(watch.kept - image_bytes, 0)
    unroll = Unroll.of(took, 1, _largest_weights(plan.model))
    n_bytes = sum(kept.values()) + image_bytes * len(stimuli.batches[number])
    return FirstBatch(number, n_bytes, alone, unroll)


def _largest_weights(model: Model) -> int:
    """Return the bytes of the largest parameter: convolutions lay theirs out anew at every call."""
    each = model.parameters() if isinstance(model, torch.nn.Module) else ()
    return max((parameter.nbytes for parameter in each), default=0)


def _batch_size(execution: Execution, stimuli: Stimuli, unroll: Unroll) -> int:
    """Return the batch size asked for, or the half of it, and so on, that memory can hold."""
    asked = size = stimuli.batch_size
    if execution.device != "cpu":
        return size
    room, n_images = available_bytes(), stimuli.n_images
    while size > 1 and unroll.bytes(min(size, n_images)) > room:
        size //= 2
    if size == asked:
        return size
    needed = format_bytes(unroll.bytes(min(asked, n_images)))
    why = f"a batch of {asked} images takes about {needed}, and {format_bytes(room)} are available"
    if execution.batch_size is not None:
        raise ResourceError(f"{why}; a batch size of {size} would fit (--batch-size {size})")
    _log.warning("%s: the batch size is %d, from which the result differs by rounding only", why, size)
    return size
