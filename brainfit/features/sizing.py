"""Plan the batches before any is computed: their size, the bytes of their features, and the memory they take.

Features that are cached already tell their size. For other layers one image is extracted alone; the memory
that this takes gives the number of images that fit through the model together.
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
from brainfit.features.extraction import extract_last
from brainfit.features.image_batches import ImageBatches
from brainfit.features.keys import batch_key, layer_key
from brainfit.features.plan import FeaturePlan
from brainfit.features.store import FeatureStore
from brainfit.support.memory import PeakMemory, available_bytes
from brainfit.support.messages import format_bytes

DEFAULT_BATCH_SIZE = 16
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UnrollMemory:
    """Memory that showing images to a model takes.

    Attributes
    ----------
    fixed
        Bytes for any number of images.
    each
        Bytes for each image that goes through the model together with others.
    """

    fixed: float = 0
    each: float = 0

    @classmethod
    def from_peak(cls, peak: float, n_images: int, fixed: float) -> UnrollMemory:
        """Divide the peak of `n_images` images; `fixed` is at most half of it."""
        fixed = min(fixed, peak / 2)
        return cls(fixed, (peak - fixed) / n_images)

    def bytes(self, n_images: int) -> float:
        """Return the bytes that `n_images` images take together."""
        return self.fixed + self.each * n_images


@dataclass(frozen=True)
class BatchPlan:
    """The cut of the images into batches, and the costs of a batch.

    Attributes
    ----------
    images
        All images, cut into batches.
    needed
        Positions of the batches that hold an image that will be asked for.
    batch_bytes
        Bytes of all layers' features of the first batch that is needed.
    alone
        Features of that batch's last image, extracted alone, for each layer that is not cached.
    unroll
        Memory that showing images takes; 0 if everything is cached.
    """

    images: ImageBatches
    needed: tuple[int, ...]
    batch_bytes: int
    alone: dict[str, Trajectory]
    unroll: UnrollMemory

    @property
    def first(self) -> int:
        """Position of the first batch that is needed."""
        return self.needed[0]

    @property
    def total_bytes(self) -> int:
        """Bytes of all layers' features of the batches that are needed."""
        return self.batch_bytes * len(self.needed)

    @property
    def n_images(self) -> int:
        """Number of images in the batches that are needed."""
        return sum(len(self.images.batches[number]) for number in self.needed)


def plan_batches(
    plan: FeaturePlan, execution: Execution, used: np.ndarray, store: FeatureStore | None
) -> BatchPlan:
    """Cut the images into batches that memory can hold.

    Parameters
    ----------
    plan, execution
        The features, and where they are computed.
    used
        Positions of the images that will be asked for.
    store
        Cache in which features may be found; None if there is none.

    Raises
    ------
    ContractError, PluginError
        If the model does not answer as it must (`brainfit.features.extraction.extract`).
    ResourceError
        If memory cannot hold a batch of the size that was asked for.
    """
    images = ImageBatches(plan.stimuli, execution.batch_size or DEFAULT_BATCH_SIZE)
    planned = _measure(plan, execution, images, used, store)
    if (size := _batch_size(execution, images, planned.unroll)) != images.batch_size:
        planned = _measure(plan, execution, ImageBatches(plan.stimuli, size), used, store)
    return planned


def extract_alone(
    plan: FeaturePlan, layers: Sequence[str], execution: Execution, images: ImageBatches, number: int
) -> dict[str, Trajectory]:
    """Return the features of `layers` for the last image of a batch, extracted alone."""
    return extract_last(
        plan.model,
        layers,
        images.pixels(number),
        plan.presentation,
        device=execution.device,
        precision=execution.precision,
    )


def _measure(
    plan: FeaturePlan,
    execution: Execution,
    images: ImageBatches,
    used: np.ndarray,
    store: FeatureStore | None,
) -> BatchPlan:
    """Measure the first batch that is needed by its cached features, or by one of its images."""
    needed = tuple(number for number, batch in enumerate(images.batches) if np.isin(batch, used).any())
    number = needed[0]
    cached: dict[str, int] = {}
    if store is not None:
        pixels, rows = images.batch_hash(number), range(len(images.batches[number]))
        for layer in plan.layers:
            if (
                size := store.size_of(batch_key(layer_key(plan, layer, execution), pixels, rows))
            ) is not None:
                cached[layer] = size
    missing = [layer for layer in plan.layers if layer not in cached]
    if not missing:
        return BatchPlan(images, needed, sum(cached.values()), {}, UnrollMemory())
    with PeakMemory() as memory:
        alone = extract_alone(plan, missing, execution, images, number)
    image_bytes = sum(block.nbytes for seen in alone.values() for block in seen.blocks)
    # Memory that libraries take at their first use and keep does not grow with the images.
    peak = memory.peak - max(memory.kept - image_bytes, 0)
    unroll = UnrollMemory.from_peak(peak, 1, _largest_weights(plan.model))
    batch_bytes = sum(cached.values()) + image_bytes * len(images.batches[number])
    return BatchPlan(images, needed, batch_bytes, alone, unroll)


def _largest_weights(model: Model) -> int:
    """Return the bytes of the largest parameter, of which convolutions make a copy at every call."""
    each = model.parameters() if isinstance(model, torch.nn.Module) else ()
    return max((parameter.nbytes for parameter in each), default=0)


def _batch_size(execution: Execution, images: ImageBatches, unroll: UnrollMemory) -> int:
    """Return the planned batch size, halved until a batch fits into memory."""
    planned = size = images.batch_size
    if execution.device != "cpu":
        return size
    room = available_bytes()
    while size > 1 and unroll.bytes(min(size, images.n_images)) > room:
        size //= 2
    if size == planned:
        return size
    needed = format_bytes(unroll.bytes(min(planned, images.n_images)))
    why = f"a batch of {planned} images takes about {needed}, and {format_bytes(room)} are available"
    if execution.batch_size is not None:
        raise ResourceError(f"{why}; a batch size of {size} would fit (--batch-size {size})")
    _log.warning("%s: the batch size is %d, which changes the result by rounding only", why, size)
    return size
