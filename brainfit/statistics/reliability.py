r"""Pearson reliability in closed form, and whether it exceeds zero.

The reliability of an average is the share of its variance over images that is signal. What noise adds to that
variance is known from the variance between trials, so no random halves are needed: for an image with
:math:`K` trials, with :math:`S_1` their sum and :math:`S_2` that of their squares,
:math:`(S_1^2 - S_2) / (K (K - 1))` is an unbiased estimate of the squared signal, and less than the squared
average, :math:`(S_1 / K)^2`, by :math:`s^2 / K`, the noise variance of the average. The reliability is what
is left of the variance of the averages over images x bins:

.. math:: \rho = 1 - \langle e \rangle / \mathrm{Var}(\bar x),

with :math:`e` the noise variance, less what the noise of the mean over images takes of it. This is the mean
over
*all* divisions of the trials in halves of the covariance of the halves, over the variance of the average, for
any and unequal numbers of trials. Where trials are blocks (`brainfit.statistics.halves`), each block's mean
over images is taken off first, and the result is that of a two-way random-effects analysis of variance.

References
----------
Shrout & Fleiss (1979), Psychol. Bull. 86, 420-428: ICC(1, k) without and ICC(3, k) with blocks.
Satterthwaite (1946), Biometrics Bull. 2, 110-114: degrees of freedom of a sum over correlated bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

from brainfit.statistics.correlation import CONSTANT
from brainfit.statistics.halves import are_blocks

ALPHA = 0.01
"""Units that carry nothing about the image count as reliable with this probability, one-sided."""


@dataclass(frozen=True)
class TrialNoise:
    """A unit's trial averages and the noise in them.

    Attributes
    ----------
    mean
        Trial averages, shape (image, time_bin).
    blocks
        True if every image has the same trials, which then are blocks.
    n_trials
        Trials of each image, shape (image,).
    residual
        Trials about their image's average, shape (image, trial, time_bin); 0 where a trial is missing.
    """

    mean: np.ndarray
    blocks: bool
    n_trials: np.ndarray
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
        blocks, n_trials = are_blocks(present), present.sum(axis=1)
        if blocks:
            trials, present = trials[:, present[0]], present[:, present[0]]
        values = np.where(present[..., None], trials, 0).astype(float)
        mean = values.sum(axis=1) / n_trials[:, None]
        residual = np.where(present[..., None], values - mean[:, None], 0)
        return cls(mean, blocks, n_trials, residual)

    def per_bin(self) -> np.ndarray:
        """Return what noise adds to the variance over images in each bin, shape (image, time_bin).

        Its mean over images is the expected addition to the variance of the averages (divisor: images).
        """
        if self.blocks:
            return self._of_average(self.residual - self.residual.mean(axis=0))
        return self._of_average(self.residual) * (1 - 1 / len(self.mean))

    def over(self, bins: np.ndarray) -> np.ndarray:
        """Return the same for the variance over images x some bins together, shape (image,).

        Parameters
        ----------
        bins
            Shape (time_bin,), bool.
        """
        inside = self.residual[..., bins]
        if self.blocks:
            return self._of_average(inside - inside.mean(axis=(0, 2))[:, None]).mean(axis=1)
        of_mean = self._of_average(inside.mean(axis=2, keepdims=True))[:, 0] / len(self.mean)
        return self._of_average(inside).mean(axis=1) - of_mean

    def _of_average(self, residual: np.ndarray) -> np.ndarray:
        """Return the noise variance of each image's average, shape (image, time_bin)."""
        squares = np.einsum("itb,itb->ib", residual, residual)
        return squares / (self.n_trials * (self.n_trials - 1))[:, None]

    def p_values(self, groups: np.ndarray) -> np.ndarray:
        """Return the probability of as much image-driven variance where responses do not depend on the image.

        An F test of the variance of averages over images, each bin about its own mean, against the variance
        between trials. Both are sums over bins that noise correlates, so both have as many degrees of freedom
        as they have independent bins (Satterthwaite's approximation) times those of a single bin.

        Parameters
        ----------
        groups
            Bins to pool, shape (group, time_bin), bool.

        Returns
        -------
        array, shape (group,)
            In [0, 1]; 1 for a group without bins, or whose averages do not vary but by rounding.
        """
        n = len(self.mean)
        residual, weight = self.residual, 1 / (n * self.n_trials * (self.n_trials - 1.0))
        df = int((self.n_trials - 1).sum())
        if self.blocks:
            residual = residual - residual.mean(axis=0)
            df = (n - 1) * (int(self.n_trials[0]) - 1)
            weight = weight * n / max(n - 1, 1)
        rows = (residual * np.sqrt(weight)[:, None, None]).reshape(-1, residual.shape[2])
        covariance = rows.T @ rows
        variance = self.mean.var(axis=0, ddof=1) if n > 1 else np.zeros(self.mean.shape[1])
        rounding = (CONSTANT * np.abs(self.mean).max(axis=0)) ** 2
        return np.array([_p_value(variance, covariance, rounding, bins, n, df) for bins in groups])


def _p_value(
    variance: np.ndarray, covariance: np.ndarray, rounding: np.ndarray, bins: np.ndarray, n: int, df: int
) -> float:
    signal = float(variance[bins].sum())
    if not bins.any() or signal <= float(rounding[bins].sum()):
        return 1.0
    inside = covariance[np.ix_(bins, bins)]
    noise, square = float(np.trace(inside)), float((inside**2).sum())
    if noise == 0:
        return 0.0
    if df > 1:  # without the part of the sum of squares that is the sampling error of the covariance
        square = df**2 / ((df - 1) * (df + 2)) * (square - noise**2 / df)
    n_independent = float(np.clip(noise**2 / max(square, 1e-300), 1, bins.sum()))
    return float(fdtrc(n_independent * (n - 1), n_independent * df, signal / noise))


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
