"""Standard errors and intervals of a median over units, over new images and new units.

Everything a normalised score is made of is a sum over images, so a resample of the images is a product of a
count vector with such sums, and 1,000 resamples are cheap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from brainfit.statistics.correlation import CONSTANT
from brainfit.statistics.groups import number_groups

MIN_UNITS = 3


@dataclass(frozen=True)
class Sums:
    """Sums over the time bins of one window that a correlation over images x bins is made of.

    Attributes
    ----------
    predicted, response
        Means over each part of the bins, shape (part, image, unit). A correlation takes the mean over images
        off each part: there is one part, all bins, or, for an image-driven correlation, each bin.
    predicted_sq, response_sq, product
        Means over bins, shape (image, unit).
    """

    predicted: np.ndarray
    response: np.ndarray
    predicted_sq: np.ndarray
    response_sq: np.ndarray
    product: np.ndarray

    @classmethod
    def over(
        cls, predicted: np.ndarray, response: np.ndarray, bins: np.ndarray, *, image_driven: bool = False
    ) -> Sums:
        """Sum over some bins of prediction and response.

        Parameters
        ----------
        predicted, response
            Shape (image, unit, time_bin); near mean 0, since sums of squares lose digits to a large mean.
        bins
            Shape (time_bin,), bool, True for at least one.
        image_driven
            Take each bin's mean over images off both, in each resample anew.
        """
        y_hat, y = (values[..., bins].astype(float) for values in (predicted, response))
        of_p, of_r = (
            np.moveaxis(values, -1, 0) if image_driven else values.mean(-1)[None] for values in (y_hat, y)
        )
        return cls(of_p, of_r, (y_hat**2).mean(-1), (y**2).mean(-1), (y_hat * y).mean(-1))

    def variances(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return variance of prediction and response, and their covariance, each of shape (resample, unit).

        A variance that is rounding, of values that are constant, is NaN.
        """
        weights = counts / counts.sum(axis=1, keepdims=True)
        square_p, square_r = weights @ self.predicted_sq, weights @ self.response_sq
        var_p, var_r, covariance = square_p.copy(), square_r.copy(), weights @ self.product
        n_parts = len(self.predicted)
        for predicted, response in zip(self.predicted, self.response, strict=True):
            mean_p, mean_r = weights @ predicted, weights @ response
            var_p -= mean_p**2 / n_parts
            var_r -= mean_r**2 / n_parts
            covariance -= mean_p * mean_r / n_parts
        var_p[var_p <= CONSTANT**2 * square_p] = np.nan
        var_r[var_r <= CONSTANT**2 * square_r] = np.nan
        return var_p, var_r, covariance


def resample(groups: np.ndarray, n_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw pictures with replacement, and return how often each image is in each draw.

    Images that show the same picture are drawn together: they are no independent sample of pictures.

    Parameters
    ----------
    groups
        Images with the same number show the same picture, shape (image,)
        (`brainfit.statistics.groups.number_groups`).

    Returns
    -------
    array, shape (resample, image)
    """
    n_groups = count_pictures(groups)
    drawn = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=n_resamples)
    return drawn[:, number_groups(groups, len(groups))[1]].astype(float)


def count_pictures(groups: np.ndarray) -> int:
    """Return the number of different pictures, which is the size of the sample in a bootstrap."""
    return len(np.unique(groups))


def pearson_of_resamples(sums: Sums, counts: np.ndarray) -> np.ndarray:
    """Return Pearson r over images x bins for each resample, shape (resample, unit).

    0 for a constant prediction; NaN where the response is constant.
    """
    var_p, var_r, covariance = sums.variances(counts)
    return np.where(np.isnan(var_p), 0.0, covariance / np.sqrt(var_p * var_r))


def reliability_of_resamples(sums: Sums, noise: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the Pearson reliability for each resample, shape (resample, unit); NaN where not positive.

    Parameters
    ----------
    sums
        Sums of one window.
    noise
        Variance that noise adds to the response in that window, shape (image, unit): mean over bins of
        `TrialNoise.per_bin` if `sums` are image-driven, else `TrialNoise.over`.
    counts
        Number of times each image occurs in each resample, shape (resample, image).
    """
    _, variance, _ = sums.variances(counts)
    reliability = 1 - counts @ noise / counts.sum(axis=1, keepdims=True) / variance
    return np.where(reliability > 0, reliability, np.nan)


def normalized_of_resamples(sums: Sums, noise: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return Pearson r / sqrt(Pearson reliability) of each unit for each resample, shape (resample, unit).

    0 where the prediction is constant, NaN where the reliability is not positive. Parameters as for
    `reliability_of_resamples`.
    """
    return pearson_of_resamples(sums, counts) / np.sqrt(reliability_of_resamples(sums, noise, counts))


@dataclass(frozen=True)
class Median:
    """A median over units, its standard error and the error's degrees of freedom; NaN for under 3 units."""

    value: float
    error: float
    df: float

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the bounds between which Student's t puts the median of the population."""
        reach = float(stdtrit(self.df, (1 + level) / 2)) * self.error
        return self.value - reach, self.value + reach

    def p(self) -> float:
        """Return the two-sided p-value of a median of 0 in the population, [0, 1]."""
        if self.error == 0:  # no unit differs from another in any resample
            return float(self.value == 0)
        return 2 * float(stdtr(self.df, -abs(self.value) / self.error))


def median_of_units(
    observed: np.ndarray, resampled: np.ndarray, n_pictures: int, rng: np.random.Generator
) -> Median:
    r"""Return the median over units, with its standard error over new units and new images.

    The standard error combines the variation between units with the variation that all units share because of
    which images were drawn. Given the images :math:`i`, units are independent draws, so their median
    :math:`m` has the variance :math:`E[V(m|i)] + V(E[m|i])`. The first term is that of a bootstrap of the
    units, the noise of each included. The second is the covariance, over resamples of the images, of medians
    of disjoint halves of the units. (To draw both at once counts noise three times: Owen, 2007.) Few units or
    images determine their part poorly, hence Student's t (Satterthwaite, 1946). At least three units are
    required; with few, intervals are wide. The order of units does not matter.

    Parameters
    ----------
    observed
        The number of each unit, shape (unit,), finite.
    resampled
        The same in resamples of the `n_pictures` different pictures, shape (resample, unit); NaN, where the
        reliability that it is divided by is not positive, counts as large without bound.

    References
    ----------
    Owen (2007), The pigeonhole bootstrap, Ann. Appl. Stat. 1, 386-411.
    Satterthwaite (1946), An approximate distribution of estimates of variance components, Biometrics 2.
    """
    n = len(observed)
    if n < MIN_UNITS:
        return Median(float(np.median(observed)) if n else np.nan, np.nan, np.nan)
    resampled = np.where(np.isnan(resampled), np.inf, resampled)
    order = np.lexsort((np.abs(resampled[0]), np.abs(observed)))  # the same if all signs are turned
    observed, resampled = observed[order], resampled[:, order]
    of_units = np.median(observed[rng.integers(n, size=resampled.shape)], axis=1).var()
    of_images = np.mean([_covariance_of_halves(some, rng) for some in np.array_split(resampled, 10)])
    of_images = max(of_images, 0.0) * n_pictures / (n_pictures - 1)
    variance = of_units + of_images
    precision = of_units**2 / (n - 1) + of_images**2 / (n_pictures - 1)
    df = variance**2 / precision if precision else np.inf
    return Median(float(np.median(observed)), float(np.sqrt(variance)), float(df))


def _covariance_of_halves(resampled: np.ndarray, rng: np.random.Generator) -> float:
    """Return the covariance over resamples of the medians of two random halves of the units."""
    halves = np.array_split(rng.permutation(resampled.shape[1]), 2)
    medians = np.array([np.median(resampled[:, half], axis=1) for half in halves])
    return np.cov(medians[:, np.isfinite(medians).all(axis=0)])[0, 1]


def median_interval(
    sums: Sums,
    noise: np.ndarray,
    units: np.ndarray,
    *,
    rng: np.random.Generator,
    groups: np.ndarray | None = None,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Return the interval of the median over units of the normalised score, as in `median_of_units`.

    A resample draws pictures with replacement and recomputes every unit's score *and* reliability on them.
    The fitted map is held fixed: the interval refers to new images and units, not to a new training set.

    Parameters
    ----------
    sums, noise
        Values of one window, as for `reliability_of_resamples`.
    units
        True for units whose reliability is defined, shape (unit,). The result is NaN for fewer than three.
    groups
        Images with the same label show the same picture and are drawn together, shape (image,); by default
        all are different.
    """
    if units.sum() < MIN_UNITS:
        return np.nan, np.nan
    _, groups = number_groups(groups, len(noise))
    observed = normalized_of_resamples(sums, noise, np.ones((1, len(noise))))[0]
    resampled = normalized_of_resamples(sums, noise, resample(groups, n_resamples, rng))
    which = units & np.isfinite(observed)
    return median_of_units(observed[which], resampled[:, which], count_pictures(groups), rng).interval(level)
