"""Correlations, vectorised over everything but the last axis; ranks with ties; undefined is NaN."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

# A column whose spread is below this share of its largest value holds rounding, not a signal:
# predictions before the image reaches the layer differ between images in the last bit only.
CONSTANT = 1e-6


def pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the Pearson correlation along the last axis.

    Parameters
    ----------
    x, y
        Shape (..., n); leading axes broadcast.

    Returns
    -------
    array, shape (...)
        In [-1, 1]; NaN where either side is constant (to float32 rounding), empty or not finite.

    Examples
    --------
    >>> pearson(np.array([1.0, 2.0, 3.0]), np.array([[2.0, 4.0, 6.0], [5.0, 5.0, 5.0]]))
    array([ 1., nan])
    """
    x, x_constant = _centered(np.asarray(x))
    y, y_constant = _centered(np.asarray(y))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        spread = np.sqrt(_dot(x, x) * _dot(y, y))
        return np.where(x_constant | y_constant, np.nan, np.clip(_dot(x, y) / spread, -1, 1))


def spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the Spearman correlation along the last axis: Pearson of mid-ranks.

    Same shapes and the same NaN as `pearson`.
    """
    return pearson(rankdata(x, axis=-1), rankdata(y, axis=-1))


def _centered(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x = x.astype(float)
    if not x.shape[-1]:  # nothing varies where there is nothing
        return x, np.ones(x.shape[:-1], dtype=bool)
    with np.errstate(invalid="ignore", over="ignore"):
        mean = x.mean(axis=-1)
        low, high = x.min(axis=-1), x.max(axis=-1)
        x -= mean[..., None]
        varies = np.maximum(high - mean, mean - low) > CONSTANT * np.maximum(high, -low)
    return x, ~varies


def _dot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.einsum("...i,...i->...", x, y)


def temporal_correlation(response: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the correlation over time between true and predicted trajectories, median over images.

    Parameters
    ----------
    response, predicted
        Shape (image, unit, time_bin), already restricted to the bins that count (50 to 250 ms).

    Returns
    -------
    array, shape (unit,)
        NaN for a unit none of whose trajectories vary.

    References
    ----------
    Nayebi et al. (2018), arXiv:1807.00053, Fig. S1b.
    """
    r = pearson(response, predicted)
    result = np.full(r.shape[1], np.nan)
    some = np.isfinite(r).any(axis=0)
    result[some] = np.nanmedian(r[:, some], axis=0)
    return result
