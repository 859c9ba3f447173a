"""Stream the features of layers batch by batch: computed once, kept, and read again.

Images are cut into consecutive batches, which are always computed whole, whichever of their images are asked
for: so features are the same, bit by bit, for every split, region and mapping. Where they can be kept
(`brainfit.features.store`), a batch of a layer is one file, under a key of everything that its bits depend on
(`brainfit.features.keys`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

import numpy as np

from brainfit.contracts.trajectory import Trajectory
from brainfit.execution import Execution
from brainfit.features.extraction import extract, select_rows
from brainfit.features.keys import batch_key, layer_key
from brainfit.features.model_contract import full_precision, image_of
from brainfit.features.plan import FeaturePlan, cache_content
from brainfit.features.sizing import BatchPlan, UnrollMemory, extract_alone, plan_batches
from brainfit.features.store import FeatureStore, open_store, temporary_store
from brainfit.storage.size_limit import VARIABLE
from brainfit.support.memory import available_bytes
from brainfit.support.messages import format_bytes

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """A few images and a layer's features of them.

    Attributes
    ----------
    images
        Positions of the images among those of the plan.
    trajectory
        Features in float32, or in float64 if the model computes in it.
    """

    images: np.ndarray
    trajectory: Trajectory


class Features:
    """Features of batches of images; `open_features` makes it and decides where they are kept.

    Parameters
    ----------
    plan, execution, batches
        The features, where they are computed, and in which batches.
    store
        Store in which features are kept; None if they are not.
    kept
        Positions of the images whose features are kept; None for all.
    together
        True to compute all layers of a batch in one pass.

    Attributes
    ----------
    n_computed
        Number of batches computed so far.
    """

    def __init__(
        self,
        plan: FeaturePlan,
        execution: Execution,
        batches: BatchPlan,
        store: FeatureStore | None = None,
        kept: np.ndarray | None = None,
        *,
        together: bool = True,
    ) -> None:
        self.together = together
        self.n_computed = 0
        self._plan, self._execution, self._batches = plan, execution, batches
        self._images, self._samples = batches.images, dict(batches.alone)
        self._store, self._kept = store, kept
        self._checked: set[str] = set()
        self._keys = {layer: layer_key(plan, layer, execution) for layer in plan.layers}

    @property
    def unroll(self) -> UnrollMemory:
        """Memory that showing images to the model takes."""
        return self._batches.unroll

    @property
    def batch_size(self) -> int:
        """Number of images that go through the model together."""
        return self._images.batch_size

    def sample(self, layer: str) -> Trajectory:
        """Return a layer's features of one image, on the CPU, without computing a batch."""
        if layer not in self._samples:
            number = self._batches.first
            held = self._find(number, layer)
            self._samples[layer] = (
                extract_alone(self._plan, [layer], self._execution, self._images, number)[layer]
                if held is None
                else image_of(held, -1)
            )
        return full_precision(self._samples[layer])

    def batches(self, layer: str, images: np.ndarray) -> Iterator[Batch]:
        """Yield a layer's features of the images at these increasing positions, batch by batch."""
        for number, batch in enumerate(self._images.batches):
            wanted = batch[np.isin(batch, images)]
            if len(wanted):
                seen = full_precision(self._rows(number, layer, wanted))
                # In one memory layout, kept or not, so that sums run in one order.
                blocks = (block.to(self._execution.device).contiguous() for block in seen.blocks)
                yield Batch(wanted, Trajectory(tuple(blocks), seen.index))

    def pixel_hashes(self, images: np.ndarray) -> np.ndarray:
        """Return the sha256 of each of these images as it is stored, shape (image, 32)."""
        return self._images.image_hashes(images)

    def _rows(self, number: int, layer: str, wanted: np.ndarray) -> Trajectory:
        """Return a layer's features for some images of a batch, from the store if it has them."""
        first, kept = self._images.batches[number][0], self._kept_of(number)
        if self._store is None or not len(kept):
            return select_rows(self._compute(number, [layer])[layer], wanted - first)
        if np.isin(wanted, kept).all() and (held := self._find(number, layer)) is not None:
            return select_rows(held, np.searchsorted(kept, wanted))
        others = [name for name in self._plan.layers if name != layer] if self.together else []
        missing = [name for name in others if self._store.size_of(self._key(number, name)) is None]
        seen = self._compute(number, [layer, *missing])
        if self._is_unchanged("computed"):
            for name, trajectory in seen.items():
                self._store.put(self._key(number, name), select_rows(trajectory, kept - first))
        return select_rows(seen[layer], wanted - first)

    def _find(self, number: int, layer: str) -> Trajectory | None:
        """Return the kept features of a batch; None if there are none for that many images."""
        if self._store is None or not self._is_unchanged("found"):
            return None
        held = self._store.get(self._key(number, layer))
        if held is None or any(len(block) not in (1, len(self._kept_of(number))) for block in held.blocks):
            return None
        return held

    def _kept_of(self, number: int) -> np.ndarray:
        """Return the images of a batch whose features are kept."""
        batch = self._images.batches[number]
        return batch if self._kept is None else batch[np.isin(batch, self._kept)]

    def _key(self, number: int, layer: str) -> str:
        rows = self._kept_of(number) - self._images.batches[number][0]
        return batch_key(self._keys[layer], self._images.batch_hash(number), rows.tolist())

    def _is_unchanged(self, event: str) -> bool:
        """Return True if the model is still the one that the keys name; otherwise stop using the cache.

        A model may read weights or settings only once it is asked, so its content is hashed again when the
        first batch is found and after the first is computed. Features that are kept for this run alone need
        no such check.
        """
        if self._kept is None and event not in self._checked and self._store is not None:
            self._checked.add(event)
            if cache_content(self._plan.model) != self._plan.content:
                _log.warning(
                    "model %r has changed since the score began, as one does that reads its weights only "
                    "when it is asked, or notes what it saw: its features are not kept (a method "
                    "cache_token() can return text for everything that they depend on)",
                    self._plan.model.name,
                )
                self._store = None
        return self._store is not None

    def _compute(self, number: int, layers: Sequence[str]) -> dict[str, Trajectory]:
        self.n_computed += 1
        return extract(
            self._plan.model,
            layers,
            self._images.pixels(number),
            self._plan.presentation,
            device=self._execution.device,
            precision=self._execution.precision,
            alone=self._batches.alone if number == self._batches.first else None,
        )


@contextmanager
def open_features(
    plan: FeaturePlan, execution: Execution, *, used: np.ndarray, again: np.ndarray
) -> Iterator[Features]:
    """Open the features of a plan, and decide where they are kept.

    They are kept in the cache if `plan.content` is known and they fit; otherwise those that are needed again
    are kept in a temporary folder, which is removed after the block; if not even these fit, none are.

    Parameters
    ----------
    plan, execution
        The features, and where they are computed.
    used
        Positions of the images that will be asked for.
    again
        Positions of the images that will be asked for more than once.

    Raises
    ------
    ContractError, PluginError, ResourceError
        If the model does not answer as it must (`brainfit.features.extraction.extract`).
    IntegrityError
        If the cache cannot be written.
    """
    store = None
    if plan.content is not None:
        store = open_store()
        store.prepare([layer_key(plan, layer, execution) for layer in plan.layers])
    batches = plan_batches(plan, execution, used, store)
    # Memory holds all layers of a batch twice: as they are computed, and as they are written.
    together = len(plan.layers) == 1 or 2 * batches.batch_bytes <= available_bytes()
    if store and together:
        if batches.total_bytes <= (room := store.room()):
            with closing(store):
                features = Features(plan, execution, batches, store)
                yield features
                computed = features.n_computed
                found = max(len(batches.needed) - computed, 0)
                _log.info("features: %d batches computed, %d found in the cache", computed, found)
            return
        _log.warning(
            "features of %s take about %s, and %s can be kept: they are computed anew for each score "
            "(free the disk, or raise %s)",
            ", ".join(plan.layers),
            format_bytes(batches.total_bytes),
            format_bytes(room),
            VARIABLE,
        )
    part = batches.total_bytes * len(again) / batches.n_images
    with temporary_store() as spool:
        if together and 0 < part <= spool.room():
            yield Features(plan, execution, batches, spool, again)
        else:
            yield Features(plan, execution, batches, together=len(plan.layers) == 1)


def each_layer(
    plan: FeaturePlan, execution: Execution, *, used: np.ndarray, again: np.ndarray
) -> Iterator[tuple[str, Features]]:
    """Yield each layer with its features: from one pass for all layers if they can be kept, or from its own.

    Parameters
    ----------
    plan, execution, used
        As for `open_features`.
    again
        Positions of the images that will be asked for more than once for the same layer.
    """
    again_together = again if len(plan.layers) == 1 else used
    with open_features(plan, execution, used=used, again=again_together) as features:
        if features.together:
            for layer in plan.layers:
                yield layer, features
            return
    for layer in plan.layers:
        one = replace(plan, layers=(layer,))
        with open_features(one, execution, used=used, again=again) as features:
            yield layer, features
