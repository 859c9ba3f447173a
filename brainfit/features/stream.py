"""What layers do for the images of a plan: computed once, kept, and read again.

Images are cut into consecutive batches, which are always computed whole, whoever asks for which of their
images: so features are the same, bit by bit, for every split, region and map. Where they can be kept
(`brainfit.features.store`), a batch of a layer is one file, under a key that says all that its bits depend on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace

import numpy as np

from brainfit.contracts.trajectory import Trajectory
from brainfit.execution import Execution
from brainfit.features.extraction import rows_of, show
from brainfit.features.keys import Stimuli, batch_key, layer_key
from brainfit.features.model_contract import full_precision, image_of
from brainfit.features.plan import FeaturePlan, cache_content
from brainfit.features.sizing import FirstBatch, Unroll, look_ahead, shown_alone
from brainfit.features.store import FeatureStore, open_store, temporary_store
from brainfit.storage.size_limit import VARIABLE
from brainfit.support.memory import PeakMemory, available_bytes
from brainfit.support.messages import format_bytes

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """A few images and what a layer did for them.

    Attributes
    ----------
    images
        Positions of the images among those of the plan.
    trajectory
        Of the one layer asked for, in float32, or in float64 if the model computes in it.
    """

    images: np.ndarray
    trajectory: Trajectory


class Features:
    """What layers do for batches of images; `open_features` makes it, and says where it is kept.

    Parameters
    ----------
    plan, execution
        What is computed, and where.
    stimuli
        The images, cut into batches.
    store
        Where answers are kept, if anywhere.
    kept
        Positions of the images whose answers are kept; None for all.
    together
        Whether all layers are computed in one unroll.
    first
        What is known of the first batch that is needed.

    Attributes
    ----------
    n_computed
        Batches so far.
    batch_size
        Images that go through the model together.
    unroll
        What memory showing images takes: as one image alone took it, then as the first batch did.
    """

    def __init__(
        self,
        plan: FeaturePlan,
        execution: Execution,
        stimuli: Stimuli,
        store: FeatureStore | None,
        kept: np.ndarray | None,
        together: bool,
        first: FirstBatch,
    ) -> None:
        self.together = together
        self.n_computed = 0
        self.batch_size, self.unroll = stimuli.batch_size, first.unroll
        self._first, self._samples = first, dict(first.alone)
        self._plan, self._execution, self._stimuli = plan, execution, stimuli
        self._store, self._kept = store, kept
        self._checked: set[str] = set()
        self._keys = {layer: layer_key(plan, layer, execution) for layer in plan.layers}

    def sample(self, layer: str) -> Trajectory:
        """Return what a layer does for one of the images, on the CPU, without computing a batch."""
        if layer not in self._samples:
            number = self._first.number
            held = self._held(number, layer)
            self._samples[layer] = (
                shown_alone(self._plan, [layer], self._execution, self._stimuli, number)[layer]
                if held is None
                else image_of(held, -1)
            )
        return full_precision(self._samples[layer])

    def batches(self, layer: str, images: np.ndarray) -> Iterator[Batch]:
        """Yield what `layer` does for the images at these increasing positions, batch by batch."""
        for number, batch in enumerate(self._stimuli.batches):
            wanted = batch[np.isin(batch, images)]
            if len(wanted):
                seen = full_precision(self._rows(number, layer, wanted))
                # In one layout, kept or not: what sums them must not go another way.
                blocks = (block.to(self._execution.device).contiguous() for block in seen.blocks)
                yield Batch(wanted, Trajectory(tuple(blocks), seen.index))

    def pixel_hashes(self, images: np.ndarray) -> np.ndarray:
        """Return the sha256 of each of these images as it is stored, shape (image, 32)."""
        return self._stimuli.hashes(images)

    def _rows(self, number: int, layer: str, wanted: np.ndarray) -> Trajectory:
        """Return a layer's features for some images of a batch, from the store if it has them."""
        first, kept = self._stimuli.batches[number][0], self._kept_of(number)
        if self._store is None or not len(kept):
            return rows_of(self._show(number, [layer])[layer], wanted - first)
        if np.isin(wanted, kept).all() and (held := self._held(number, layer)) is not None:
            return rows_of(held, np.searchsorted(kept, wanted))
        others = [name for name in self._plan.layers if name != layer] if self.together else []
        missing = [name for name in others if self._store.size_of(self._key(number, name)) is None]
        seen = self._show(number, [layer, *missing])
        if self._is_unchanged("computed"):
            for name, trajectory in seen.items():
                self._store.put(self._key(number, name), rows_of(trajectory, kept - first))
        return rows_of(seen[layer], wanted - first)

    def _held(self, number: int, layer: str) -> Trajectory | None:
        """Return what is kept of a batch; None if nothing is, or it is not of as many images as it must be."""
        if self._store is None or not self._is_unchanged("found"):
            return None
        held = self._store.get(self._key(number, layer))
        if held is None or any(len(block) not in (1, len(self._kept_of(number))) for block in held.blocks):
            return None
        return held

    def _kept_of(self, number: int) -> np.ndarray:
        """Return the images of a batch whose features are kept."""
        batch = self._stimuli.batches[number]
        return batch if self._kept is None else batch[np.isin(batch, self._kept)]

    def _key(self, number: int, layer: str) -> str:
        rows = self._kept_of(number) - self._stimuli.batches[number][0]
        return batch_key(self._keys[layer], self._stimuli.hash(number), rows.tolist())

    def _is_unchanged(self, event: str) -> bool:
        """Return True if the model is still the one that the keys name; if not, nothing is kept from now on.

        A model may read weights or settings only once it is asked, so its content is hashed again at the
        first batch that is found, and after the first that is computed. What is kept for this run alone needs
        no such check.
        """
        if self._kept is None and event not in self._checked and self._store is not None:
            self._checked.add(event)
            if cache_content(self._plan.model) != self._plan.content:
                _log.warning(
                    "model %r has changed since the score began, as one does that reads its weights or settings "
                    "only when it is asked: its features are not kept",
                    self._plan.model.name,
                )
                self._store = None
        return self._store is not None

    def _show(self, number: int, layers: Sequence[str]) -> dict[str, Trajectory]:
        self.n_computed += 1
        pixels = self._stimuli.pixels(number)
        with PeakMemory() if self.n_computed == 1 else nullcontext() as watch:  # to watch takes time
            seen = show(
                self._plan.model,
                layers,
                pixels,
                self._plan.presentation,
                device=self._execution.device,
                precision=self._execution.precision,
                alone=self._first.alone if number == self._first.number else None,
            )
        if watch and watch.peak:
            self.unroll = Unroll.of(watch.peak, len(pixels), self.unroll.fixed)
        return seen


@contextmanager
def open_features(
    plan: FeaturePlan, execution: Execution, *, used: np.ndarray, again: np.ndarray
) -> Iterator[Features]:
    """Say where features are kept while the block lasts, and beyond.

    In the cache, if `plan.content` is known and they fit; else those that are needed again, in a temporary
    folder, which is gone after the block; and none, if not even these fit.

    Parameters
    ----------
    plan, execution
        What is computed, and where.
    used
        Positions of the images that will be asked for.
    again
        Positions of those that will be asked for more than once.

    Raises
    ------
    ContractError, PluginError, ResourceError
        If the model does not answer as it must (`brainfit.features.extraction.show`).
    IntegrityError
        If the cache cannot be written.
    """
    store = None
    if plan.content is not None:
        store = open_store()
        store.prepare([layer_key(plan, layer, execution) for layer in plan.layers])
    stimuli, first = look_ahead(plan, execution, used, store)
    numbers = [number for number, batch in enumerate(stimuli.batches) if np.isin(batch, used).any()]
    total = first.n_bytes * len(numbers)
    # Once as computed, once as it is written.
    together = len(plan.layers) == 1 or 2 * first.n_bytes <= available_bytes()
    if store and together:
        if total <= (room := store.room()):
            with closing(store):
                features = Features(plan, execution, stimuli, store, None, True, first)
                yield features
                computed, found = features.n_computed, max(len(numbers) - features.n_computed, 0)
                _log.info("features: %d batches computed, %d found in the cache", computed, found)
            return
        _log.warning(
            "features of %s take about %s, and %s can be kept: they are computed anew for each score "
            "(free the disk, or raise %s)",
            ", ".join(plan.layers),
            format_bytes(total),
            format_bytes(room),
            VARIABLE,
        )
    part = total * len(again) / sum(len(stimuli.batches[number]) for number in numbers)
    with temporary_store() as spool:
        if together and 0 < part <= spool.room():
            yield Features(plan, execution, stimuli, spool, again, True, first)
        else:
            yield Features(plan, execution, stimuli, None, None, len(plan.layers) == 1, first)


def each_layer(
    plan: FeaturePlan, execution: Execution, *, used: np.ndarray, again: np.ndarray
) -> Iterator[tuple[str, Features]]:
    """Yield each layer, with what has its features: those of one unroll if they can be kept, or else its own.

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
