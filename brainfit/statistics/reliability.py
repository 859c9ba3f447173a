r"""Pearson reliability in closed form, and whether it exceeds zero.

The reliability of an average is the share of its variance over images that is signal. What noise adds to that
variance is known from the variance between trials, so no random halves are needed: for an image with
:math:`K` trials, with :math:`S_1` their sum and :math:`S_2` that of their squares,
:math:`(S_1^2 - S_2) / (K (K - 1))` is an unbiased estimate of the squared signal, and less than the squared
average, :math:`(S_1 / K)^2`, by :math:`s^2 / K`, the noise variance of the average. The reliability is what
is left of the variance of the averages over images x bins:

.. math:: \rho = 1 - \langle e \rangle / \mathrm{Var}(\bar x),

with :math:`e` the noise variance, less what the noise of the mean over images takes of it. This is the mean
over *all* divisions of the trials in halves of the covariance of the halves, over the variance of the
average, for any and unequal numbers of trials. Where trials are blocks (`brainfit.statistics.blocks`), the
levels of blocks are taken off first, and the result is that of a two-way random-effects analysis of variance.
Where images lack trials of some blocks, what the levels of the other blocks add to their averages counts as
noise, because no model can predict it.

References
----------
Shrout & Fleiss (1979), Psychol. Bull. 86, 420-428: ICC(1, k) without and ICC(3, k) with blocks.
Satterthwaite (1946), Biometrics Bull. 2, 110-114: degrees of freedom of a sum over correlated bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

from brainfit.statistics.blocks import BlockLevels, are_blocks

ALPHA = 0.01
"""Units that carry nothing about the image count as reliable with this probability, one-sided."""
_ROUNDING = 1e-13  # share of the largest average: sums over trials are in float64


@dataclass(frozen=True)
class TrialNoise:
    """A unit's trial averages and the noise in them.

    Attributes
    ----------
    mean
        Trial averages, shape (image, time_bin).
    blocks
        True if trials are blocks (`brainfit.statistics.blocks.are_blocks`).
    present
        Which trials exist, shape (image, trial), bool.
    residual
        Trials about their image's average, shape (image, trial, time_bin); 0 where a trial is missing.
    """

    mean: np.ndarray
    blocks: bool
    present: np.ndarray
    residual: np.ndarray

    @classmethod
    def of(cls, trials: np.ndarray) -> TrialNoise:
        """Take the averages off a unit's trials.

        Parameters
        ----------
        trials
            Shape (image, trial, time_bin), two trials or more of each image; a trial with NaN in any bin is
            missing.
        """
        present = np.asarray(np.isfinite(trials).all(axis=2))
        some = present.any(axis=0)
        if not some.all():
            trials, present = trials[:, some], present[:, some]
        values = np.where(present[..., None], trials, 0).astype(float)
        mean = values.sum(axis=1) / present.sum(axis=1)[:, None]
        residual = np.where(present[..., None], values - mean[:, None], 0)
        return cls(mean, are_blocks(present), present, residual)

    @property
    def n_trials(self) -> np.ndarray:
        """Trials of each image, shape (image,)."""
        return self.present.sum(axis=1)

    def per_bin(self) -> np.ndarray:
        """Return what noise adds to the variance over images in each bin, shape (image, time_bin).

        Its mean over images is the expected addition to the variance of the averages (divisor: images).
        """
        found = self._noise(self.residual)
        return found.of_average * (1 - 1 / len(self.mean)) + found.drift

    def over(self, bins: np.ndarray) -> np.ndarray:
        """Return the same for the variance over images x some bins together, shape (image,).

        Block levels are common to all bins here: what a block adds to one bin and not to another is noise.

        Parameters
        ----------
        bins
            Shape (time_bin,), bool.
        """
        inside = self.residual[..., bins]
        level = inside.mean(axis=2, keepdims=True)
        found = self._noise(level)
        of_level = found.of_average * (1 - 1 / len(self.mean)) + found.drift
        return self._within(inside - level).mean(axis=1) + of_level[:, 0]

    def _within(self, residual: np.ndarray) -> np.ndarray:
        """Return the noise variance of each image's average, whatever the levels of blocks."""
        squares = np.einsum("itb,itb->ib", residual, residual)
        return squares / (self.n_trials * (self.n_trials - 1))[:, None]

    def _noise(self, residual: np.ndarray) -> _Noise:
        """Estimate noise and block levels, bin by bin."""
        fit = BlockLevels.of(self.present, blocks=self.blocks)
        levels = fit.levels(residual)
        rest = fit.without(residual, levels, self.present)
        squares, freedom = np.einsum("itb,itb->ib", rest, rest), fit.freedom[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):  # of a single image
            of_average = squares / (self.n_trials[:, None] * freedom)
            of_trial = squares.sum(axis=0) / freedom.sum()
        drift = fit.drift(levels)
        error = fit.leverage[:, None] * of_trial
        return _Noise(fit, rest, drift, of_average, (drift - drift.mean(axis=0)) ** 2 - error, error)

    def p_values(self, groups: np.ndarray) -> np.ndarray:
        """Return the probability of as much image-driven variance where responses do not depend on the image.

        An F test of the variance of averages over images, each bin about its own mean and without the levels
        of blocks, against the variance between trials. Images may differ in their noise and in their number
        of trials, and noise may correlate bins: degrees of freedom of both variances are those of
        Satterthwaite's approximation.

        Parameters
        ----------
        groups
            Bins to pool, shape (group, time_bin), bool.

        Returns
        -------
        array, shape (group,)
            In [0, 1]; 1 for a group without bins, or whose averages do not vary but by rounding.
        """
        n, found = len(self.mean), self._noise(self.residual)
        if n < 2:
            return np.ones(len(groups))
        variance = (self.mean - found.level_of_image).var(axis=0, ddof=1)
        rounding = (_ROUNDING * np.abs(self.mean).max(axis=0)) ** 2
        weight = 1 / (n * self.n_trials * found.fit.freedom)
        rows = (found.residual * np.sqrt(weight)[:, None, None]).reshape(-1, variance.size)
        covariance, of_levels = rows.T @ rows, found.error.sum(axis=0) / (n - 1)
        return np.array(
            [
                _p_value(
                    float(variance[bins].sum()),
                    float(rounding[bins].sum()),
                    covariance[np.ix_(bins, bins)],
                    float(of_levels[bins].sum()),
                    found.of_average[:, bins].sum(axis=1),
                    found.fit.freedom,
                )
                for bins in groups
            ]
        )

    def drift_p(self) -> float:
        """Return the probability of as much difference between positions of the trial axis by chance.

        An F test of the levels of all images' k-th trials, averaged over bins. A small value where trials are
        no `blocks` means that responses drift and nothing says how.

        Returns
        -------
        float
            In [0, 1]; 1 if there is too little to test.
        """
        fit = BlockLevels.of(self.present)
        if fit.n_levels == 0:
            return 1.0
        residual = self.residual.mean(axis=2)
        rest = fit.without(residual, fit.levels(residual), self.present)
        noise, freedom = float((rest**2).sum()), float(fit.freedom.sum())
        explained = float((residual**2).sum()) - noise
        if noise <= 0:
            return 1.0
        return float(fdtrc(fit.n_levels, freedom, explained / fit.n_levels / (noise / freedom)))


@dataclass(frozen=True)
class _Noise:
    """Noise of a unit's trials, without the levels of blocks.

    Attributes
    ----------
    fit
        The estimator of the levels.
    residual
        Trials about image and block, shape (image, trial, time_bin).
    level_of_image
        What the levels of its blocks add to each image's average, shape (image, time_bin).
    of_average
        Noise variance of each image's average, shape (image, time_bin).
    drift
        What levels add to the variance over images, shape (image, time_bin); 0 where no block is missing.
    error
        Variance of `level_of_image` about its mean that is due to noise, shape (image, time_bin).
    """

    fit: BlockLevels
    residual: np.ndarray
    level_of_image: np.ndarray
    of_average: np.ndarray
    drift: np.ndarray
    error: np.ndarray


def _p_value(
    signal: float,
    rounding: float,
    covariance: np.ndarray,
    of_levels: float,
    of_image: np.ndarray,
    freedom: np.ndarray,
) -> float:
    """Test the variance of averages, summed over bins, against noise.

    Parameters
    ----------
    signal, rounding
        Variance of the averages, and how much of it may be rounding.
    covariance
        Of the noise of averages between bins, mean over images, shape (time_bin, time_bin).
    of_levels
        Variance of averages due to the error of block levels.
    of_image, freedom
        Noise variance of each image's average and its degrees of freedom in one bin, shape (image,).
    """
    noise, square = float(np.trace(covariance)), float((covariance**2).sum())
    if not covariance.size or signal <= rounding:
        return 1.0
    if noise == 0:
        return 0.0
    n, df = len(of_image), float(freedom.sum())
    if df > 1:  # without the part of the sum of squares that is the sampling error of the covariance
        square = df**2 / ((df - 1) * (df + 2)) * (square - noise**2 / df)
    n_independent = float(np.clip(noise**2 / max(square, 1e-300), 1, len(covariance)))
    of_bins = n_independent * freedom
    squares = of_image**2 * of_bins / (of_bins + 2)  # unbiased for the square of the variance
    total = float(of_image.sum()) ** 2
    df_signal = n_independent * (n - 1) * min(total / (n * float(squares.sum())), 1.0)
    df_noise = n_independent * min(total / float((squares / freedom).sum()), df)
    return float(fdtrc(df_signal, df_noise, signal / (noise + of_levels)))


def pearson_reliability(mean: np.ndarray, noise: np.ndarray) -> np.ndarray:
    r"""Return the reliability of trial averages, :math:`1 - \langle e \rangle / \mathrm{Var}(\bar x)`.

    Parameters
    ----------
    mean
        Trial averages, shape (image, ..., time_bin): pooled over the last axis.
    noise
        Variance that noise adds to them, shape (image, ...): `TrialNoise.over`, or a bin of
        `TrialNoise.per_bin`.

    Returns
    -------
    array, shape (...)
        At most 1; 0 or less where responses do not depend on the image; NaN where averages do not vary.

    Examples
    --------
    >>> trials = np.array([[[1.0], [2.0]], [[3.0], [5.0]], [[6.0], [4.0]]])
    >>> noise = TrialNoise.of(trials)
    >>> pearson_reliability(noise.mean, noise.over(np.array([True]))).round(3)
    np.float64(0.667)
    """
    variance = mean.var(axis=(0, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(variance > 0, 1 - noise.mean(axis=0) / variance, np.nan)[()]
