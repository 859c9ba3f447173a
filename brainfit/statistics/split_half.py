"""Noise ceilings: how well trials predict trials, and so how well a model can predict responses.

The trials of each image are split in two random halves; the halves are averaged and correlated
over images, and that is averaged over many splits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from brainfit.errors import ContractError
from brainfit.statistics.row_correlations import correlate_counts, correlate_rows
from brainfit.statistics.unit_scale import on_own_scale

_CHUNK_BYTES = 16 * 2**20  # freed memory of that size is used again, larger is asked for anew
_BLOCK = 2**15  # elements correlated at a time, so that they stay in the processor's cache
_Z_ONE_SIDED_5_PERCENT = 1.645


@dataclass(frozen=True)
class SplitHalf:
    """Mean correlation between random halves of the trials.

    Attributes
    ----------
    spearman, pearson
        Shape (group of bins, unit); NaN where a half is constant over images, or the group empty.
    """

    spearman: np.ndarray
    pearson: np.ndarray


def split_half(
    trials: np.ndarray,
    groups: np.ndarray,
    *,
    image_driven: bool | np.ndarray = False,
    n_splits: int = 100,
    rng: np.random.Generator,
    advance: Callable[[int], None] = lambda units: None,
) -> SplitHalf:
    """Correlate random halves of the trials over images, for groups of time bins.

    Parameters
    ----------
    trials
        Responses, shape (image, trial, unit, time_bin). NaN marks trials that an image was not
        shown in; a trial with NaN in any bin counts as missing for that unit. Trials are halved
        per image; where their number is odd the second half has one more.
    groups
        Which bins to pool, shape (group, time_bin), bool: one row a bin for the score per bin, a
        row with many bins for a window, whose halves are correlated over images x bins.
    image_driven
        Take each bin's mean over images off the halves first; for all groups, or for each, shape
        (group,). What is left agrees between halves only as far as responses tell images apart; a
        time course that all images share counts for nothing.
    n_splits
        Random splits to average over.
    rng
        Decides the halves; the same halves serve all units and groups.
    advance
        Called with the number of units done, for progress bars.

    Raises
    ------
    ContractError
        If an image has fewer than two trials for some unit.

    References
    ----------
    Nayebi et al. (2018), arXiv:1807.00053, Fig. 5c: Spearman split-half reliability.
    """
    halves = RandomHalves(trials.shape[0], trials.shape[1], n_splits, rng)
    return halves.correlate(trials, groups, image_driven=image_driven, advance=advance)


class RandomHalves:
    """Random halves of the trials, the same for all units that miss the same trials.

    Parameters
    ----------
    n_images, n_trials, n_splits, rng
        As in `split_half`; keep one where units come in parts.
    """

    def __init__(self, n_images: int, n_trials: int, n_splits: int, rng: np.random.Generator) -> None:
        self._keys = rng.random((n_splits, n_images, n_trials), dtype=np.float32)
        self._latest: tuple[np.ndarray, torch.Tensor] | None = None

    def correlate(
        self,
        trials: np.ndarray,
        groups: np.ndarray,
        *,
        image_driven: bool | np.ndarray = False,
        advance: Callable[[int], None] = lambda units: None,
    ) -> SplitHalf:
        """Do what `split_half` does, with these halves."""
        driven = np.broadcast_to(image_driven, len(groups))
        found = np.full((2, len(groups), trials.shape[2]), np.nan)
        some = np.flatnonzero(groups.any(axis=1))
        n_chunks = -(-4 * len(self._keys) * trials.shape[0] * trials.shape[3] // _CHUNK_BYTES)
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            for units, present in _units_by_missing_trials(trials):
                first_half = self._first(present)
                for unit in units:
                    values, counts = on_own_scale(trials[:, :, unit], present)
                    parts: list[list[np.ndarray]] = [[] for _ in some]
                    for chosen in first_half.chunk(n_chunks, dim=1):
                        halves = _Halves.of(values, chosen, present, counts)
                        correlations = pool.map(halves.correlate, groups[some], driven[some])
                        for part, r in zip(parts, correlations, strict=True):
                            part.append(r)
                    for g, part in zip(some, parts, strict=True):
                        found[:, g, unit] = np.concatenate(part, axis=1).mean(axis=1)
                    advance(1)
        return SplitHalf(spearman=found[1], pearson=found[0])

    def _first(self, present: np.ndarray) -> torch.Tensor:
        """Choose half of the trials present, those of smallest key: 1 or 0, shape (image, split, trial)."""
        if self._latest is None or not np.array_equal(self._latest[0], present):
            chosen = np.empty(self._keys.shape, bool)
            half, missing = present.sum(axis=1) // 2, ~present
            complete = present.all()
            for s, of_split in enumerate(self._keys):
                keys = of_split if complete else np.where(missing, np.inf, of_split)
                largest = np.take_along_axis(np.sort(keys, axis=1), half[:, None] - 1, axis=1)
                np.less_equal(keys, largest, out=chosen[s])
                if chosen[s].sum() > half.sum():  # two keys are the same
                    for i in np.flatnonzero(chosen[s].sum(axis=1) > half):
                        chosen[s, i] = False
                        chosen[s, i, keys[i].argsort()[: half[i]]] = True
            by_image = torch.from_numpy(chosen).transpose(0, 1).contiguous()
            self._latest = present, by_image.float()
        return self._latest[1]


def _units_by_missing_trials(trials: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield units that miss the same trials, with the (image, trial) mask of those present."""
    members: dict[bytes, list[int]] = {}
    for u in range(trials.shape[2]):
        finite = np.isfinite(trials[:, :, u])
        # numpy is slow along short axes
        present = np.ones(finite.shape[:2], bool) if finite.all() else torch.from_numpy(finite).all(2).numpy()
        n_trials = present.sum(axis=1)
        if (n_trials < 2).any():
            image = np.argmax(n_trials < 2)
            raise ContractError(
                f"a noise ceiling needs at least 2 trials an image, but unit {u} has "
                f"{n_trials[image]} for image {image}; drop that image or that unit"
            )
        members.setdefault(present.tobytes(), []).append(u)
    for mask, units in members.items():
        yield np.array(units), np.frombuffer(mask, bool).reshape(trials.shape[:2])


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
        Trials in each half, each of shape (image,); None where all images have as many, and sums do as well
        as averages.
    counts
        Whether sums are whole numbers from 0 up.
    """

    first: np.ndarray
    total: np.ndarray
    sizes: tuple[np.ndarray, np.ndarray] | None
    counts: bool

    @classmethod
    def of(cls, values: np.ndarray, first_half: torch.Tensor, present: np.ndarray, counts: bool) -> _Halves:
        """Sum trials, shape (image, trial, bin), over halves, shape (image, split, trial)."""
        trials, (n_images, n_splits, _) = torch.from_numpy(values), first_half.shape
        first = torch.bmm(trials.transpose(1, 2), first_half.transpose(1, 2))
        first = first.reshape(n_images, -1).t().contiguous().reshape(-1, n_splits, n_images)
        n_trials = present.sum(axis=1)
        equal = n_trials.min() == n_trials.max()
        sizes = (n_trials // 2).astype(np.float32), (n_trials - n_trials // 2).astype(np.float32)
        total = trials.sum(1).t().contiguous()
        return cls(first.numpy(), total.numpy(), None if equal else sizes, counts and bool(equal))

    def correlate(self, bins: np.ndarray, image_driven: bool) -> np.ndarray:
        """Pearson and Spearman over images x some bins together, shape (2, split)."""
        n_splits = self.first.shape[1]
        step = max(1, _BLOCK // (self.first.shape[2] * int(bins.sum())))
        correlate = correlate_counts if self.counts and not image_driven else correlate_rows
        parts = []
        for start in range(0, n_splits, step):
            first = self.first[bins, start : start + step]
            halves = [first, self.total[bins, None] - first]
            if self.sizes is not None:
                halves = [half / size for half, size in zip(halves, self.sizes, strict=True)]
            if image_driven:
                halves = [half - half.mean(axis=2, keepdims=True) for half in halves]
            parts.append(correlate(*(half.swapaxes(0, 1).reshape(half.shape[1], -1) for half in halves)))
        return np.concatenate(parts, axis=1)


def spearman_brown(rho: np.ndarray) -> np.ndarray:
    r"""Reliability of the average of all trials from the correlation of its halves.

    :math:`2\rho / (1 + \rho)`; NaN where `rho` is not positive, for then it means nothing.

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


def distinguishable(halves: SplitHalf, n_images: int) -> np.ndarray:
    r"""Whether split-half correlations over `n_images` are distinguishable from zero.

    The rule: both the Spearman and the Pearson :math:`\rho` exceed :math:`1.645 / \sqrt{n - 1}`,
    one-sided 5 % for a *single* split of responses that carry nothing about the image. The mean
    over splits of K trials varies less, with a standard deviation of
    :math:`\sqrt{K / (2 (K - 1) n)}`, so that such a unit and bin passes in 5 % of cases with 2
    trials, in 2 % with 4, and in about 1 % with many. False where :math:`\rho` is NaN.
    """
    threshold = _Z_ONE_SIDED_5_PERCENT / np.sqrt(max(n_images - 1, 1))
    return (halves.spearman > threshold) & (halves.pearson > threshold)
