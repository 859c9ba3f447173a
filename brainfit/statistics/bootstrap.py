"""How sure a median over units is: its standard error over new images and new units, and intervals.

Everything that a normalised score is made of is a sum over images, so a resample of the images
is a product of a count vector with per-image moments, and 1,000 resamples cost little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy.special import stdtr, stdtrit

from brainfit.statistics.correlation import CONSTANT
from brainfit.statistics.split_half import spearman_brown

MIN_UNITS = 3


@dataclass(frozen=True)
class Sums:
    """Sums over the time bins of one window, for each image and unit; each of shape (image, unit).

    Attributes
    ----------
    predicted, response, predicted_sq, response_sq, product
        Of the prediction and the trial-averaged response.
    n_bins
        Bins summed.
    """

    predicted: np.ndarray
    response: np.ndarray
    predicted_sq: np.ndarray
    response_sq: np.ndarray
    product: np.ndarray
    n_bins: int

    @classmethod
    def over(cls, predicted: np.ndarray, response: np.ndarray, bins: np.ndarray) -> Sums:
        """Sum over some bins of prediction and response, shape (image, unit, time_bin)."""
        y_hat, y = (values[..., bins].astype(float) for values in (predicted, response))
        return cls(
            predicted=y_hat.sum(-1),
            response=y.sum(-1),
            predicted_sq=(y_hat**2).sum(-1),
            response_sq=(y**2).sum(-1),
            product=(y_hat * y).sum(-1),
            n_bins=int(bins.sum()),
        )


@dataclass(frozen=True)
class Moments:
    """What the normalised score is made of, over one window; each array of shape (image, unit).

    Attributes
    ----------
    sums
        Of the prediction and the trial-averaged response.
    half_product, half_sq
        Expectation over all random halves of the trials of (first half x second half) and of the
        mean of their squares: what split-half correlation estimates, without drawing a split.
    """

    sums: Sums
    half_product: np.ndarray
    half_sq: np.ndarray

    @classmethod
    def of_units(cls, parts: Sequence[Moments]) -> Moments:
        """Join the moments of several units, for the same images and bins."""
        names = [f.name for f in fields(Sums) if f.name != "n_bins"]
        sums = {name: np.concatenate([getattr(part.sums, name) for part in parts], axis=1) for name in names}
        halves = (
            np.concatenate([getattr(part, name) for part in parts], axis=1)
            for name in ("half_product", "half_sq")
        )
        return cls(Sums(**sums, n_bins=parts[0].sums.n_bins), *halves)


def window_moments(predicted: np.ndarray, trials: np.ndarray, bins: np.ndarray) -> Moments:
    r"""Sum over the bins of one window what the score and the reliability are made of.

    With :math:`K` trials of an image in halves of :math:`h` and :math:`K-h`,
    :math:`E[ab] = (S_1^2 - S_2) / (K(K-1))` and
    :math:`E[a^2] = S_2/(Kh) + (1 - 1/h)\,E[ab]`, where :math:`S_1, S_2` are the sums of the
    trials and of their squares.

    Parameters
    ----------
    predicted
        Shape (image, unit, time_bin).
    trials
        Shape (image, trial, unit, time_bin); a trial with NaN in any bin counts as missing.
    bins
        The window, shape (time_bin,), bool.
    """
    present = np.isfinite(trials).all(axis=3, keepdims=True)
    n = present.sum(axis=1, dtype=float)
    inside = np.where(present, trials[..., bins], 0).astype(float)
    total, squares = inside.sum(axis=1), (inside**2).sum(axis=1)
    half_product = (total**2 - squares) / (n * (n - 1))
    sizes = (np.floor(n / 2), np.ceil(n / 2))
    half_sq = np.mean([squares / (n * h) + (1 - 1 / h) * half_product for h in sizes], axis=0)
    everything = np.ones(inside.shape[-1], dtype=bool)
    sums = Sums.over(predicted[..., bins], total / n, everything)
    return Moments(sums, half_product.sum(-1), half_sq.sum(-1))


def resample(n_images: int, n_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return how often each image is drawn, with replacement: shape (resample, image)."""
    return rng.multinomial(n_images, np.full(n_images, 1 / n_images), size=n_resamples).astype(float)


def pearson_of_resamples(sums: Sums, counts: np.ndarray) -> np.ndarray:
    """Pearson r over images x bins for each resample, shape (resample, unit); 0 for a constant prediction.

    NaN where the response is constant.
    """
    n = counts.sum(axis=1, keepdims=True) * sums.n_bins
    mean_p, mean_r = counts @ sums.predicted / n, counts @ sums.response / n
    var_p = _variance(counts @ sums.predicted_sq / n, mean_p)
    var_r = _variance(counts @ sums.response_sq / n, mean_r)
    covariance = counts @ sums.product / n - mean_p * mean_r
    return np.where(np.isnan(var_p), 0.0, covariance / np.sqrt(var_p * var_r))


def normalized_from_moments(moments: Moments, counts: np.ndarray) -> np.ndarray:
    """Normalised score of each unit for each resample of the images.

    Parameters
    ----------
    moments
        Of one window.
    counts
        How often each image occurs in each resample, shape (resample, image).

    Returns
    -------
    array, shape (resample, unit)
        Pearson r / sqrt(Pearson reliability); 0 where the prediction is constant, NaN where the
        reliability is not positive.
    """
    reliability = reliability_of_resamples(moments, counts)
    return pearson_of_resamples(moments.sums, counts) / np.sqrt(reliability)


def reliability_of_resamples(moments: Moments, counts: np.ndarray) -> np.ndarray:
    """Pearson reliability for each resample, shape (resample, unit); NaN where not positive."""
    sums = moments.sums
    n = counts.sum(axis=1, keepdims=True) * sums.n_bins
    mean_r = counts @ sums.response / n
    var_half = _variance(counts @ moments.half_sq / n, mean_r)
    return spearman_brown((counts @ moments.half_product / n - mean_r**2) / var_half)


def _variance(mean_sq: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Variance; NaN where it is rounding and the values are constant."""
    variance = mean_sq - mean**2
    return np.where(variance > CONSTANT**2 * mean_sq, variance, np.nan)


@dataclass(frozen=True)
class Median:
    """A median over units, its standard error and that one's degrees of freedom, NaN for under 3 units."""

    value: float
    error: float
    df: float

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the bounds between which Student's t puts the median of the population."""
        reach = float(stdtrit(self.df, (1 + level) / 2)) * self.error
        return self.value - reach, self.value + reach

    def p(self) -> float:
        """Return the two-sided p-value of a median of 0 in the population, [0, 1]."""
        if self.error == 0:  # no unit differs from another, in no resample
            return float(self.value == 0)
        return 2 * float(stdtr(self.df, -abs(self.value) / self.error))


def median_of_units(
    observed: np.ndarray, resampled: np.ndarray, n_images: int, rng: np.random.Generator
) -> Median:
    r"""Return the median over units, with its error over new units and new images.

    Given the images :math:`i`, units are independent draws, so their median :math:`m` has the variance
    :math:`E[V(m|i)] + V(E[m|i])`. The first is that of a bootstrap of the units, the noise of each included.
    The second is the luck with images that all units share: the covariance, over resamples of the images,
    of medians of disjoint halves of the units. (To draw both at once counts noise thrice: Owen, 2007.)
    Few units or images know their part badly, hence Student's t (Satterthwaite, 1946).

    Parameters
    ----------
    observed
        The number of each unit, shape (unit,), finite.
    resampled
        The same in resamples of the `n_images` images, shape (resample, unit); NaN, where the reliability
        that it is divided by is not positive, counts as large without bound.

    References
    ----------
    Owen (2007), The pigeonhole bootstrap, Ann. Appl. Stat. 1, 386-411.
    Satterthwaite (1946), An approximate distribution of estimates of variance components, Biometrics 2.
    """
    n = len(observed)
    if n < MIN_UNITS:
        return Median(float(np.median(observed)) if n else np.nan, np.nan, np.nan)
    resampled = np.where(np.isnan(resampled), np.inf, resampled)
    of_units = np.median(observed[rng.integers(n, size=resampled.shape)], axis=1).var()
    of_images = np.mean([_covariance_of_halves(some, rng) for some in np.array_split(resampled, 10)])
    of_images = max(of_images, 0.0) * n_images / (n_images - 1)
    variance = of_units + of_images
    precision = of_units**2 / (n - 1) + of_images**2 / (n_images - 1)
    df = variance**2 / precision if precision else np.inf
    return Median(float(np.median(observed)), float(np.sqrt(variance)), float(df))


def _covariance_of_halves(resampled: np.ndarray, rng: np.random.Generator) -> float:
    """Covariance over resamples of the medians of two random halves of the units."""
    halves = np.array_split(rng.permutation(resampled.shape[1]), 2)
    medians = np.array([np.median(resampled[:, half], axis=1) for half in halves])
    return np.cov(medians[:, np.isfinite(medians).all(axis=0)])[0, 1]


def median_interval(
    moments: Moments,
    units: np.ndarray,
    *,
    rng: np.random.Generator,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Interval of the median over units of the normalised score, as in `median_of_units`.

    A resample draws images with replacement and recomputes every unit's score *and* reliability on them. The
    fitted map is held fixed: the interval speaks of new images and units, not of a new training set.

    Parameters
    ----------
    moments
        Of one window.
    units
        Which count, shape (unit,), bool: those whose reliability is defined; NaN for fewer than three.
    """
    if units.sum() < MIN_UNITS:  # as in a window that pools no bin, where nothing can be computed
        return np.nan, np.nan
    n_images = len(moments.half_sq)
    observed = normalized_from_moments(moments, np.ones((1, n_images)))[0]
    resampled = normalized_from_moments(moments, resample(n_images, n_resamples, rng))
    which = units & np.isfinite(observed)
    return median_of_units(observed[which], resampled[:, which], n_images, rng).interval(level)
