"""Correlations, vectorised over everything but the last axis; ranks with ties; undefined is NaN."""

from __future__ import annotations

import numpy as np
import torch

# A column whose spread is below this share of its largest value holds rounding, not a signal:
# predictions before the image reaches the layer differ between images in the last bit only.
CONSTANT = 1e-6


def pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson correlation along the last axis.

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
    result = pearson_torch(torch.as_tensor(np.asarray(x)), torch.as_tensor(np.asarray(y)))
    return result.numpy()


def spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman correlation along the last axis: Pearson of mid-ranks.

    Same shapes and the same NaN as `pearson`.
    """
    first, second = (midranks(torch.as_tensor(np.asarray(values))) for values in (x, y))
    return pearson_torch(first, second).numpy()


def pearson_torch(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """`pearson` on tensors, in float64."""
    x, x_constant = _centered(x)
    y, y_constant = _centered(y)
    product = (x * y).sum(-1) / torch.sqrt((x * x).sum(-1) * (y * y).sum(-1))
    return torch.where(x_constant | y_constant, torch.nan, product.clamp(-1, 1))


def _centered(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x = x.double()
    if not x.shape[-1]:  # nothing varies where there is nothing
        return x, torch.ones(x.shape[:-1], dtype=torch.bool, device=x.device)
    centered = x - x.mean(-1, keepdim=True)
    constant = ~(centered.abs().amax(-1) > CONSTANT * x.abs().amax(-1))
    return centered, constant


def midranks(x: torch.Tensor) -> torch.Tensor:
    """Ranks from 1 along the last axis; ties share their mean rank.

    Returns
    -------
    tensor of float32, shape of `x`

    Examples
    --------
    >>> midranks(torch.tensor([10.0, 30.0, 10.0, 20.0]))
    tensor([1.5000, 4.0000, 1.5000, 3.0000])
    """
    n = x.shape[-1]
    values, order = torch.sort(x, dim=-1)
    position = torch.arange(n, dtype=torch.int32, device=x.device).expand(x.shape)
    starts = torch.ones(x.shape, dtype=torch.bool, device=x.device)
    starts[..., 1:] = values[..., 1:] != values[..., :-1]
    ends = torch.ones_like(starts)
    ends[..., :-1] = starts[..., 1:]
    first = torch.where(starts, position, 0).cummax(-1).values
    last = torch.where(ends, position, n).flip(-1).cummin(-1).values.flip(-1)
    ranks = torch.empty(x.shape, dtype=torch.float32, device=x.device)
    return ranks.scatter_(-1, order, (first + last) / 2 + 1)


def temporal_correlation(response: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Correlation over time between true and predicted trajectories, median over images.

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
