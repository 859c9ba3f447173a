"""Noise ceilings: how well trials predict trials, and so how well a model can predict responses.

The trials of each image are split in two random halves; the halves are averaged and correlated
over images, and that is averaged over many splits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from brainfit.errors import ContractError
from brainfit.metrics import midranks, pearson_torch

_CHUNK_BYTES = 128 * 2**20
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
    image_driven: bool = False,
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
        Take each bin's mean over images off the halves first. What is left agrees between halves
        only as far as responses tell images apart; a time course that all images share counts
        for nothing.
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
    keys = rng.random((n_splits, *trials.shape[:2]), dtype=np.float32)
    n_units = trials.shape[2]
    spearman = np.full((len(groups), n_units), np.nan)
    pearson = np.full_like(spearman, np.nan)
    for units, present in _units_by_missing_trials(trials):
        first = torch.from_numpy(_half(keys, present)).transpose(0, 1)
        second = torch.from_numpy(present)[:, None] & ~first
        chunk = max(1, _CHUNK_BYTES // (4 * n_splits * trials.shape[0] * trials.shape[3]))
        for start in range(0, len(units), chunk):
            some = units[start : start + chunk]
            values = torch.from_numpy(_rescaled(trials[:, :, some], present[..., None, None]))
            halves = [_half_averages(values, mask) for mask in (first, second)]
            if image_driven:
                halves = [half - half.mean(dim=2, keepdim=True) for half in halves]
            for g, bins in enumerate(groups):
                if not bins.any():
                    continue
                a, b = (half[..., torch.from_numpy(bins)].flatten(2) for half in halves)
                pearson[g, some] = pearson_torch(a, b).mean(0).numpy()
                spearman[g, some] = pearson_torch(midranks(a), midranks(b)).mean(0).numpy()
            advance(len(some))
    return SplitHalf(spearman, pearson)


def _units_by_missing_trials(trials: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield units that miss the same trials, with the (image, trial) mask of those present."""
    present = np.asarray(np.isfinite(trials).all(axis=3))
    if (present.sum(axis=1) < 2).any():
        image, unit = np.argwhere(present.sum(axis=1) < 2)[0]
        raise ContractError(
            f"a noise ceiling needs at least 2 trials an image, but unit {unit} has "
            f"{present[image, :, unit].sum()} for image {image}; drop that image or that unit"
        )
    patterns, member = np.unique(present.reshape(-1, present.shape[2]), axis=1, return_inverse=True)
    for k in range(patterns.shape[1]):
        yield np.flatnonzero(member.ravel() == k), patterns[:, k].reshape(present.shape[:2])


def _half(keys: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Choose half of the trials present, the ones of smallest key: shape (split, image, trial)."""
    rank = np.where(present, keys, np.inf).argsort(axis=-1).argsort(axis=-1)
    return rank < present.sum(axis=-1, keepdims=True) // 2


def _half_averages(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Average the trials of each half, (image, trial, unit, bin), to (split, unit, image, bin)."""
    image, trial, unit, time_bin = values.shape
    sums = torch.bmm(mask.float(), values.reshape(image, trial, -1))
    averages = sums / mask.sum(-1, keepdim=True)
    return averages.reshape(image, -1, unit, time_bin).permute(1, 2, 0, 3).contiguous()


def _rescaled(trials: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Put each unit on a scale of its own that float32 holds without harm; missing trials are 0.

    Correlations do not depend on a unit's scale and offset, but ranks depend on ties. Sums of
    counts tie often, and tie no longer once they were divided by a blank response and rounded.
    So a unit whose values are all whole multiples of its smallest positive one gets its counts
    back; any other is centred and divided by its standard deviation.
    """
    over = (0, 1, 3)
    values = np.where(present, trials, 0).astype(float)
    smallest = np.where(values > 0, values, np.inf).min(axis=over, keepdims=True)
    multiples = values / np.where(np.isfinite(smallest), smallest, 1)
    counts = np.rint(multiples)
    whole = np.abs(multiples - counts) <= np.minimum(_ROUNDING * np.abs(multiples), _WHOLE)
    mean = np.mean(values, axis=over, keepdims=True, where=present)
    sd = np.std(values, axis=over, keepdims=True, where=present)
    scaled = np.where(present, (values - mean) / np.where(sd > 0, sd, 1), 0)
    return np.where(whole.all(axis=over, keepdims=True), counts, scaled).astype(np.float32)


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
