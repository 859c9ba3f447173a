"""Split-half correlations: how well one half of the trials predicts the other.

The trials are divided in two halves (`brainfit.statistics.halves`); the halves are averaged and correlated
over images, and that is averaged over many divisions. This is the noise ceiling of the paper. The reliability
of Pearson correlations needs no random division (`brainfit.statistics.reliability`).

References
----------
Nayebi et al. (2018), arXiv:1807.00053, Fig. 5c: Spearman split-half reliability.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from brainfit.errors import ContractError
from brainfit.statistics.blocks import are_blocks
from brainfit.statistics.correlation import temporal_correlation
from brainfit.statistics.halves import (
    halves_of_blocks,
    halves_of_images,
    halves_of_incomplete_blocks,
    trial_order,
)
from brainfit.statistics.row_correlations import correlate_counts, correlate_rows
from brainfit.statistics.unit_scale import on_own_scale

_CHUNK_BYTES = 16 * 2**20  # memory blocks of this size are reused after they are freed; larger ones are not
_BLOCK = 2**15  # elements correlated at a time, so that they stay in the processor's cache


@dataclass(frozen=True)
class SplitHalf:
    """Mean correlation between random halves of the trials.

    Attributes
    ----------
    spearman, pearson
        Over images, shape (group of bins, unit); NaN where a half is constant over images, or the group is
        empty.
    trajectories, driven_trajectories
        Pearson over time, median over images, shape (unit,): as the halves are, and with each bin's mean over
        images taken off. NaN without `trajectory_bins`, or where no trajectory varies.
    """

    spearman: np.ndarray
    pearson: np.ndarray
    trajectories: np.ndarray
    driven_trajectories: np.ndarray


def split_half(
    trials: np.ndarray,
    groups: np.ndarray,
    *,
    image_driven: bool | np.ndarray = False,
    trajectory_bins: np.ndarray | None = None,
    n_splits: int = 100,
    rng: np.random.Generator,
    on_progress: Callable[[int], None] = lambda units: None,
) -> SplitHalf:
    """Correlate random halves of the trials, for groups of time bins.

    Parameters
    ----------
    trials
        Responses, shape (image, trial, unit, time_bin). NaN marks missing trials; a trial with NaN in any bin
        counts as missing for that unit. Where trials are blocks (`brainfit.statistics.blocks.are_blocks`),
        halves are drawn over blocks, the same for all images; else they are drawn for each image. Where the
        number of trials is odd the second half has one more, or, of incomplete blocks, either half.
    groups
        Bins to pool, shape (group, time_bin), bool: a row with one bin gives the correlation over
        images in that bin, a row with many bins that over images x bins.
    image_driven
        Take each bin's mean over images off the halves first; for all groups, or for each, shape (group,). A
        time course that all images share then does not make halves agree.
    trajectory_bins
        The bins over which trajectories are correlated, shape (time_bin,), bool.
    n_splits
        Random halves to average over; of few blocks all halves, if these are fewer.
    rng
        Decides the halves. They depend on what trials hold, not on their order.
    on_progress
        Called with the number of units done.

    Raises
    ------
    ContractError
        If an image has fewer than two trials for some unit.

    References
    ----------
    Nayebi et al. (2018), arXiv:1807.00053, Fig. 5c: Spearman split-half reliability.
    """
    halves = RandomHalves(trials.shape[0], trials.shape[1], n_splits, rng)
    return halves.correlate(
        trials, groups, image_driven=image_driven, trajectory_bins=trajectory_bins, on_progress=on_progress
    )


class RandomHalves:
    """Random halves of the trials, the same for all units with as many trials of each image.

    Parameters
    ----------
    n_images, n_trials, n_splits, rng
        As in `split_half`; keep one instance where units come in parts.
    """

    def __init__(self, n_images: int, n_trials: int, n_splits: int, rng: np.random.Generator) -> None:
        self._seed = int(rng.integers(2**63))
        self._shape = n_splits, n_images, n_trials
        self._keys: np.ndarray | None = None
        self._latest: tuple[bytes, torch.Tensor] | None = None

    def correlate(
        self,
        trials: np.ndarray,
        groups: np.ndarray,
        *,
        image_driven: bool | np.ndarray = False,
        trajectory_bins: np.ndarray | None = None,
        on_progress: Callable[[int], None] = lambda units: None,
    ) -> SplitHalf:
        """Compute `split_half` with these halves."""
        driven = np.broadcast_to(image_driven, len(groups))
        n_units = trials.shape[2]
        found, over_time = np.full((2, len(groups), n_units), np.nan), np.full((2, n_units), np.nan)
        some = np.flatnonzero(groups.any(axis=1))
        n_chunks = -(-4 * self._shape[0] * trials.shape[0] * trials.shape[3] // _CHUNK_BYTES)
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            for unit, present in _units_by_missing_trials(trials):
                order = trial_order(np.where(present[..., None], trials[:, :, unit], 0), present)
                values = np.take_along_axis(trials[:, :, unit], order[..., None], axis=1)
                ordered = np.take_along_axis(present, order, axis=1)
                values, counts = on_own_scale(values, ordered)
                first_half = self._first(ordered, are_blocks(present))
                parts: list[list[np.ndarray]] = [[] for _ in some]
                trajectories = []
                for chosen in first_half.chunk(n_chunks, dim=-2):
                    halves = _Halves.of(values, chosen, ordered, counts)
                    correlations = pool.map(halves.correlate, groups[some], driven[some])
                    for part, r in zip(parts, correlations, strict=True):
                        part.append(r)
                    if trajectory_bins is not None:
                        trajectories.append(halves.trajectories(trajectory_bins))
                for g, part in zip(some, parts, strict=True):
                    found[:, g, unit] = np.concatenate(part, axis=1).mean(axis=1)
                if trajectories:
                    over_time[:, unit] = np.concatenate(trajectories, axis=1).mean(axis=1)
                on_progress(1)
        return SplitHalf(found[1], found[0], over_time[0], over_time[1])

    def _first(self, present: np.ndarray, blocks: bool) -> torch.Tensor:
        """Choose the first half, as 1 or 0: (split, trial) of complete blocks, or (image, split, trial)."""
        name = present.tobytes() + bytes([blocks])
        if self._latest is None or self._latest[0] != name:
            n_splits, _, most = self._shape
            n_trials, n_blocks = present.sum(axis=1), int(present.any(axis=0).sum())
            if blocks:
                rng = np.random.default_rng(self._seed)
                drawn = halves_of_blocks(n_blocks, n_splits, rng)
                first = np.pad(drawn, ((0, 0), (0, most - n_blocks)))
                if (n_trials < n_blocks).any():
                    first = halves_of_incomplete_blocks(first, present, rng).swapaxes(0, 1)
                chosen = np.ascontiguousarray(first, dtype=np.float32)
            else:
                if self._keys is None:
                    self._keys = np.random.default_rng(self._seed).random(self._shape, dtype=np.float32)
                by_split = halves_of_images(self._keys, n_trials)
                chosen = np.ascontiguousarray(by_split.swapaxes(0, 1), dtype=np.float32)
            self._latest = name, torch.from_numpy(chosen)
        return self._latest[1]


def _units_by_missing_trials(trials: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each unit with the (image, trial) mask of its trials; units that miss the same in succession."""
    members: dict[bytes, list[int]] = {}
    for u in range(trials.shape[2]):
        finite = np.isfinite(trials[:, :, u])
        # numpy is slow along short axes
        present = np.ones(finite.shape[:2], bool) if finite.all() else torch.from_numpy(finite).all(2).numpy()
        n_trials = present.sum(axis=1)
        if (n_trials < 2).any():
            image = np.argmax(n_trials < 2)
            raise ContractError(
                f"a noise ceiling needs at least 2 trials of each image, but unit {u} has "
                f"{n_trials[image]} of image {image}; leave out that image or that unit"
            )
        members.setdefault(present.tobytes(), []).append(u)
    for mask, units in members.items():
        for unit in units:
            yield unit, np.frombuffer(mask, bool).reshape(trials.shape[:2])


@dataclass(frozen=True)
class _Halves:
    """Trials of one unit, summed over halves.

    Attributes
    ----------
    first
        Sums over the first half of the trials, shape (bin, split, image).
    total
        Sums over all of them, shape (bin, image).
    sizes
        Trials in each half, each of shape (split, image); None where all halves have the same number, so that
        sums serve as well as averages.
    counts
        True if sums are whole numbers from 0 up.
    """

    first: np.ndarray
    total: np.ndarray
    sizes: tuple[np.ndarray, np.ndarray] | None
    counts: bool

    @classmethod
    def of(cls, values: np.ndarray, first_half: torch.Tensor, present: np.ndarray, counts: bool) -> _Halves:
        """Sum trials (image, trial, bin) over halves, shape (image, split, trial) or (split, trial)."""
        trials, n_images = torch.from_numpy(values), len(values)
        n_splits = first_half.shape[-2]
        by_trial = first_half.transpose(-1, -2).expand(n_images, -1, -1)
        first = torch.bmm(trials.transpose(1, 2), by_trial)
        first = first.reshape(n_images, -1).t().contiguous().reshape(-1, n_splits, n_images)
        n_trials = present.sum(axis=1).astype(np.float32)
        of_first = first_half.expand(n_images, -1, -1).sum(-1).t().numpy()
        sizes = of_first, n_trials - of_first
        equal = all(size.min() == size.max() for size in sizes)
        total = trials.sum(1).t().contiguous()
        return cls(first.numpy(), total.numpy(), None if equal else sizes, counts and equal)

    def correlate(self, bins: np.ndarray, image_driven: bool) -> np.ndarray:
        """Return Pearson and Spearman over images x some bins together, shape (2, split)."""
        n_splits = self.first.shape[1]
        step = max(1, _BLOCK // (self.first.shape[2] * int(bins.sum())))
        correlate = correlate_counts if self.counts and not image_driven else correlate_rows
        parts = []
        for start in range(0, n_splits, step):
            halves = self._averages(bins, slice(start, start + step))
            if image_driven:
                halves = [half - half.mean(axis=2, keepdims=True) for half in halves]
            parts.append(correlate(*(half.swapaxes(0, 1).reshape(half.shape[1], -1) for half in halves)))
        return np.concatenate(parts, axis=1)

    def trajectories(self, bins: np.ndarray) -> np.ndarray:
        """Return the median over images of Pearson over bins, plain and image-driven, shape (2, split)."""
        halves = [half.transpose(2, 1, 0) for half in self._averages(bins, slice(None))]
        driven = [half - half.mean(axis=0) for half in halves]
        return np.array([temporal_correlation(*halves), temporal_correlation(*driven)])

    def _averages(self, bins: np.ndarray, splits: slice) -> list[np.ndarray]:
        """Return averages of both halves, or sums if these are equivalent, shape (bin, split, image)."""
        first = self.first[bins, splits]
        halves = [first, self.total[bins, None] - first]
        if self.sizes is not None:
            halves = [half / size[splits] for half, size in zip(halves, self.sizes, strict=True)]
        return halves


def spearman_brown(rho: np.ndarray) -> np.ndarray:
    r"""Return the reliability of the average of all trials from the correlation of its halves.

    :math:`2\rho / (1 + \rho)`; NaN where `rho` is not positive.

    Examples
    --------
    >>> spearman_brown(np.array([0.5, -0.1]))
    array([0.66666667,        nan])

    References
    ----------
    Spearman (1910), Brown (1910), Br. J. Psychol. 3, 271-322.
    """
    positive = np.where(rho > 0, rho, np.nan)
    return 2 * positive / (1 + positive)
