"""Bootstrap interval of the median normalised score, over images and over units.

Everything that a normalised score is made of is a sum over images, so a resample of the images
is a product of a count vector with per-image moments, and 1,000 resamples cost little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from brainfit.ceiling import spearman_brown
from brainfit.metrics import CONSTANT


@dataclass(frozen=True)
class Sums:
    """Sums over the time bins of one window, for each image and unit; each of shape (image, unit).

    Attributes
    ----------
    predicted, response, predicted_sq, response_sq, product
        Of the prediction and the trial-averaged response.
    n_bins
        Number of bins summed.
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
    sums = moments.sums
    n = counts.sum(axis=1, keepdims=True) * sums.n_bins
    mean_r = counts @ sums.response / n
    var_half = _variance(counts @ moments.half_sq / n, mean_r)
    rho = (counts @ moments.half_product / n - mean_r**2) / var_half
    return pearson_of_resamples(sums, counts) / np.sqrt(spearman_brown(rho))


def _variance(mean_sq: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Variance; NaN where it is rounding and the values are constant."""
    variance = mean_sq - mean**2
    return np.where(variance > CONSTANT**2 * mean_sq, variance, np.nan)


def median_interval(
    moments: Moments,
    units: np.ndarray,
    *,
    rng: np.random.Generator,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of the median over units of the normalised score.

    Each resample draws images with replacement, recomputes every unit's score *and* reliability
    on them, then draws units with replacement and takes their median. The fitted map is held
    fixed: the interval speaks of new images and new units, not of a new training set.

    It is conservative: the units' scores differ by the noise of the images already, and then the
    images are drawn again. In simulations nominal 95 % covered 95-100 %, the more the noisier the
    units; with three units it covered 90 %.

    Parameters
    ----------
    moments
        Of one window.
    units
        Which units count, shape (unit,), bool: those whose reliability is defined.

    Returns
    -------
    low, high
        NaN where no unit is defined.

    References
    ----------
    Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 8 and 13.
    """
    which = np.flatnonzero(units)
    if not which.size:
        return float("nan"), float("nan")
    counts = resample(len(moments.half_sq), n_resamples, rng)
    scores = normalized_from_moments(moments, counts)
    drawn = which[rng.integers(which.size, size=(n_resamples, which.size))]
    resampled = np.take_along_axis(scores, drawn, axis=1)
    resampled = resampled[np.isfinite(resampled).any(axis=1)]
    if not len(resampled):
        return float("nan"), float("nan")
    low, high = np.quantile(np.nanmedian(resampled, axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
