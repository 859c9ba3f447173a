r"""Levels that all images share within a block of trials, estimated by least squares.

Trials are blocks where position k of the trial axis is the same repetition, run or day for all images. A
response level that drifts from block to block is then common to all images. If an image lacks some blocks,
its average contains other levels than the averages of other images do, so that levels must be estimated
together with the images: :math:`y_{ik} = s_i + \beta_k + \epsilon_{ik}`. Least squares for this two-way
layout is exact for any pattern of missing trials, and unbiased if there is no drift.

References
----------
Searle, Casella & McCulloch (1992), Variance Components, ch. 5: the two-way layout with missing cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

MIN_IMAGES = 10
"""A block needs this many images, or half of them, for a level of its own; rarer blocks share one level."""

NEARLY_ALL = 0.95
"""Positions of the trial axis are blocks where at least this share of the trials exists."""


def are_blocks(present: np.ndarray) -> bool:
    """Return True if positions of the trial axis are taken for blocks.

    They are where at least 95 % of the trials exist, and where two images each have a trial that the other
    lacks, so that missing trials have kept their places. Otherwise images differ in their number of trials
    only, and the axis may just count them, padded at its end. The order of positions makes no difference.

    Parameters
    ----------
    present
        Shape (image, trial), bool: which trials exist.

    Examples
    --------
    >>> are_blocks(np.array([[True, True, False], [True, True, False]]))
    True
    >>> are_blocks(np.array([[True, False, True], [True, True, False]]))
    True
    >>> are_blocks(np.array([[True, True, False], [True, True, True]]))
    False
    """
    present = present[:, np.argsort(-present.sum(axis=0), kind="stable")]
    some = present[:, present.any(axis=0)]
    nested = not (some[:, 1:] & ~some[:, :-1]).any()
    return bool(some.mean() >= NEARLY_ALL) or not nested


@dataclass(frozen=True)
class BlockLevels:
    """Least-squares estimator of block levels for one pattern of missing trials.

    Attributes
    ----------
    block
        The block of each trial, shape (trial,).
    share
        Share of each image's trials in each block, shape (image, block).
    inverse
        Pseudo-inverse of the normal equations, shape (block, block): the covariance of levels, for noise of
        variance 1.
    freedom
        Degrees of freedom that each image's residuals have left, shape (image,).
    """

    block: np.ndarray
    share: np.ndarray
    inverse: np.ndarray
    freedom: np.ndarray

    @classmethod
    def of(cls, present: np.ndarray, *, blocks: bool = True) -> BlockLevels:
        """Return the estimator for trials (image, trial) that are `present`.

        All trials have one common level if they are not `blocks`, or if there are too few to estimate more.
        """
        return _estimator(present.tobytes(), *present.shape, blocks)

    @property
    def n_levels(self) -> int:
        """Number of independent differences between levels."""
        return int(np.linalg.matrix_rank(self.inverse, hermitian=True)) if len(self.inverse) > 1 else 0

    @property
    def leverage(self) -> np.ndarray:
        """Variance of each image's `drift` about its mean for noise of variance 1, shape (image,)."""
        centred = self.share - self.share.mean(axis=0)
        return np.einsum("ig,gh,ih->i", centred, self.inverse, centred)

    def levels(self, residual: np.ndarray) -> np.ndarray:
        """Estimate levels, shape (block, ...), which average 0 over connected blocks.

        Parameters
        ----------
        residual
            Trials about their image's average, shape (image, trial, ...); 0 where a trial is missing.
        """
        by_slot = residual.sum(axis=0)
        sums = np.zeros((len(self.inverse), *by_slot.shape[1:]))
        np.add.at(sums, self.block, by_slot)
        return np.tensordot(self.inverse, sums, axes=1)

    def drift(self, levels: np.ndarray) -> np.ndarray:
        """Return what levels add to each image's average, shape (image, ...)."""
        return np.tensordot(self.share, levels, axes=1)

    def without(self, residual: np.ndarray, levels: np.ndarray, present: np.ndarray) -> np.ndarray:
        """Take levels off residuals: (image, trial, ...), still 0 where a trial is missing."""
        fitted = levels[self.block] - self.drift(levels)[:, None]
        return residual - fitted * present.reshape(present.shape + (1,) * (residual.ndim - 2))


@lru_cache(maxsize=8)
def _estimator(mask: bytes, n_images: int, n_trials: int, blocks: bool) -> BlockLevels:
    present = np.frombuffer(mask, bool).reshape(n_images, n_trials)
    n_of_image, n_of_slot = present.sum(axis=1), present.sum(axis=0)
    rare = n_of_slot < min(MIN_IMAGES, n_images / 2)
    block = np.where(rare, 0, np.cumsum(~rare) - (0 if rare.any() else 1))
    if not blocks:
        block = np.zeros(n_trials, int)
    n_blocks = int(block.max()) + 1
    counts = np.zeros((n_images, n_blocks))
    np.add.at(counts.T, block, present.T.astype(float))
    share = counts / np.maximum(n_of_image, 1)[:, None]
    inverse = np.linalg.pinv(np.diag(counts.sum(axis=0)) - counts.T @ share, rcond=1e-10, hermitian=True)
    of_trials = counts @ np.diag(inverse) - n_of_image * np.einsum("ig,gh,ih->i", share, inverse, share)
    freedom = n_of_image - 1 - of_trials
    if n_blocks > 1 and (freedom < 0.4 * (n_of_image - 1)).any():
        return _estimator(mask, n_images, n_trials, False)
    return BlockLevels(block, share, inverse, freedom)
