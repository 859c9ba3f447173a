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
from brainfit.metrics import pearson
from brainfit.ranks import midranks

_CHUNK_BYTES = 64 * 2**20
_BLOCK = 2**15  # elements correlated at a time, so that they stay in the processor's cache
_ROUNDING, _WHOLE = 1e-6, 1e-3
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
        spearman = np.full((len(groups), trials.shape[2]), np.nan)
        linear = np.full_like(spearman, np.nan)
        chunk = max(1, _CHUNK_BYTES // (4 * len(self._keys) * trials.shape[0] * trials.shape[3]))
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            for units, present in _units_by_missing_trials(trials):
                first_half, n_trials = self._first(present), torch.from_numpy(present.sum(axis=1))
                for start in range(0, len(units), chunk):
                    some = units[start : start + chunk]
                    values = np.empty((*present.shape, len(some), trials.shape[3]), np.float32)
                    for k, unit in enumerate(some):
                        _rescale(trials[:, :, unit], present, into=values[:, :, k])
                    halves = _halves(torch.from_numpy(values), first_half, n_trials)
                    for g, bins in enumerate(groups):
                        if bins.any():
                            a, b = (_pooled(half, bins, driven[g]) for half in halves)
                            linear[g, some], spearman[g, some] = _mean_correlations(a, b, pool)
                    advance(len(some))
        return SplitHalf(spearman, linear)

    def _first(self, present: np.ndarray) -> torch.Tensor:
        """Choose half of the trials present, those of smallest key: 1 or 0, shape (image, split, trial)."""
        if self._latest is None or not np.array_equal(self._latest[0], present):
            n_splits, n_images, n_trials = self._keys.shape
            chosen = np.empty((n_images, n_splits, n_trials), np.float32)
            half = present.sum(axis=1) // 2
            for s in range(n_splits):
                keys = np.where(present, self._keys[s], np.inf)
                largest = np.take_along_axis(np.sort(keys, axis=1), half[:, None] - 1, axis=1)
                chosen[:, s] = keys <= largest
                for i in np.flatnonzero(chosen[:, s].sum(axis=1) > half):  # two keys are the same
                    chosen[i, s] = 0
                    chosen[i, s, keys[i].argsort()[: half[i]]] = 1
            self._latest = present, torch.from_numpy(chosen)
        return self._latest[1]


def _units_by_missing_trials(trials: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield units that miss the same trials, with the (image, trial) mask of those present."""
    members: dict[bytes, list[int]] = {}
    for u in range(trials.shape[2]):
        finite = torch.from_numpy(np.isfinite(trials[:, :, u]))  # numpy is slow along short axes
        present = finite.all(dim=2).numpy()
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


def _halves(
    values: torch.Tensor, first_half: torch.Tensor, n_trials: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Average the trials of each half, (image, trial, unit, bin), to (unit, bin, split, image).

    Where all images have as many trials, sums do as well as averages, and sums of counts are counts.
    """
    n_images, _, n_units, n_bins = values.shape
    values = values.reshape(n_images, -1, n_units * n_bins)
    first = torch.bmm(first_half, values)
    second = values.sum(1, keepdim=True) - first
    if n_trials.min() < n_trials.max():
        first /= (n_trials // 2)[:, None, None]
        second /= (n_trials - n_trials // 2)[:, None, None]
    shape = (n_units, n_bins, -1, n_images)
    halves = (half.permute(2, 1, 0).contiguous().reshape(shape).numpy() for half in (first, second))
    return next(halves), next(halves)


def _pooled(half: np.ndarray, bins: np.ndarray, image_driven: bool) -> np.ndarray:
    """Join images x bins of one group: shape (unit, split, bin x image)."""
    which = np.flatnonzero(bins)
    inside = half[:, which] if len(which) > 1 else half[:, which[0], None]  # the second is no copy
    if image_driven:
        inside = inside - inside.mean(axis=3, keepdims=True)
    return inside.swapaxes(1, 2).reshape(len(half), half.shape[2], -1)


def _mean_correlations(
    a: np.ndarray, b: np.ndarray, pool: ThreadPoolExecutor
) -> tuple[np.ndarray, np.ndarray]:
    """Pearson and Spearman correlation along the last axis, averaged over the one before."""
    shape, n = a.shape[:-1], a.shape[-1]
    a, b = a.reshape(-1, n), b.reshape(-1, n)
    step = max(1, _BLOCK // n)

    def correlate(start: int) -> tuple[np.ndarray, np.ndarray]:
        some, others = a[start : start + step], b[start : start + step]
        linear = pearson(some, others)
        ranked = pearson(midranks(some), midranks(others))
        # What varies by rounding only has ranks nevertheless.
        return linear, np.where(np.isnan(linear), np.nan, ranked)

    parts = zip(*pool.map(correlate, range(0, len(a), step)), strict=True)
    linear, ranked = (np.concatenate(part).reshape(shape).mean(axis=-1) for part in parts)
    return linear, ranked


def _rescale(trials: np.ndarray, present: np.ndarray, into: np.ndarray) -> None:
    """Put one unit on a scale of its own that float32 holds without harm; missing trials are 0.

    Correlations do not depend on a unit's scale and offset, but ranks depend on ties. Sums of
    counts tie often, and tie no longer once they were divided by a blank response and rounded.
    So a unit whose values are all whole multiples of its smallest positive one gets its counts
    back; any other is centred and divided by what it is at most.

    Parameters
    ----------
    trials, into
        Shape (image, trial, time_bin).
    present
        Shape (image, trial), bool.
    """
    dtype = np.result_type(trials, np.float32)
    step = max(1, _BLOCK // trials[0].size)
    blocks = [slice(start, start + step) for start in range(0, len(trials), step)]
    inside = present[..., None]

    def values(block: slice) -> np.ndarray:
        return np.where(inside[block], trials[block], 0).astype(dtype, copy=False)

    total, low, high, smallest = 0.0, 0.0, 0.0, np.inf
    for block in blocks:
        some = values(block)
        total += float(some.sum(dtype=float))
        low, high = min(low, some.min()), max(high, some.max())
        smallest = min(smallest, np.where(some > 0, some, np.inf).min())
    one = smallest if np.isfinite(smallest) else 1
    for block in blocks:
        multiples = values(block) / one
        into[block] = np.rint(multiples)
        if not _close(multiples, into[block]):
            break
    else:
        return
    mean = total / (present.sum() * trials.shape[2])
    largest = max(high - mean, mean - low)
    for block in blocks:
        into[block] = np.where(inside[block], (values(block) - mean) / largest, 0)


def _close(multiples: np.ndarray, counts: np.ndarray) -> bool:
    tolerance = np.minimum(_ROUNDING * np.abs(counts), _WHOLE)
    return bool((np.abs(multiples - counts) <= tolerance).all())


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
