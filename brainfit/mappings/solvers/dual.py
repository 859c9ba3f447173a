r"""Ridge regression for few rows, by one eigendecomposition and closed-form held-out errors.

Let :math:`\tilde X` and :math:`\tilde Y` be about their weighted means,
:math:`\tilde X \tilde X^\top = V S V^\top` with :math:`V` orthogonal to the intercept's column, and
:math:`\Delta = \alpha (S + \alpha)^{-1}`. The residuals of the map fitted to all rows are
:math:`E = V \Delta V^\top \tilde Y`. The errors on fold :math:`k` of the map fitted to the *other* folds
follow without fitting it: they are :math:`(V_k \Delta V_k^\top)^{-1} E_k`, where :math:`V_k` holds the
fold's rows of :math:`V`. So one decomposition, of the size of the number of rows, serves all folds,
penalties and units, whatever the number of features.

References
----------
Hastie, Tibshirani & Friedman, The Elements of Statistical Learning, 2nd ed., sec. 7.10.1 and 18.3.5.
Cook & Weisberg (1982), Residuals and Influence in Regression, sec. 3.6 (several rows left out at once).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import reduce

import numpy as np
import torch
from scipy.linalg import eigh

from brainfit.mappings.solvers.primal import gram
from brainfit.mappings.solvers.rows import Rows
from brainfit.mappings.solvers.solution import (
    RidgeSolution,
    absolute_penalties,
    choose_penalties,
    share_of_variance,
)
from brainfit.support.threads import one_thread

MAX_ROWS = 4096
"""The largest number of rows for which decomposing is tolerable: some tens of seconds a core."""
_COLUMNS = 4096
"""Features to work on at once."""
_SMALL = 1024
"""Largest number of rows for which synchronising threads costs an eigendecomposition more than it saves."""


def solve_dual(
    folds: Sequence[Sequence[Rows]],
    relative_alphas: np.ndarray,
    on_progress: Callable[[], None] = lambda: None,
) -> RidgeSolution:
    """Fit one ridge map, the penalty of each unit chosen by the loss on held-out folds.

    Parameters
    ----------
    folds
        Batches of rows of the images of each inner fold.
    relative_alphas
        Penalties to choose from, as multiples of the mean eigenvalue of the features' Gram matrix.
    on_progress
        Called after every penalty.
    """
    like = folds[0][0].ones
    ones, targets = (
        torch.cat([getattr(rows, name).double() for fold in folds for rows in fold])
        for name in ("ones", "targets")
    )
    size = torch.linalg.vector_norm(ones)
    along = ones / size
    mean_x, mean_y = torch.cat([along @ x for x in _columns(folds)]) / size, along @ targets / size
    targets = targets - torch.outer(ones, mean_y)
    values, vectors = _decompose(reduce(torch.add, map(gram, _columns(folds))), along)
    mean_eigenvalue = float(values.sum()) / len(mean_x)
    alphas = absolute_penalties(relative_alphas, mean_eigenvalue)
    rotated = vectors.T @ targets
    sizes = [sum(len(rows.ones) for rows in fold) for fold in folds]
    losses = np.empty((len(alphas), len(mean_y)))
    for k, alpha in enumerate(alphas):
        left = alpha / (values + alpha)
        residuals = vectors @ (left[:, None] * rotated)
        parts = zip((vectors * left.sqrt()).split(sizes), residuals.split(sizes), strict=True)
        losses[k] = sum(_squared_error(basis, inside) for basis, inside in parts)
        on_progress()
    variance = targets.square().sum(0).cpu().numpy()
    chosen = choose_penalties(losses, variance)
    alpha = torch.from_numpy(alphas[chosen]).to(values)
    combinations = vectors @ (rotated / (values[:, None] + alpha))
    coef = torch.cat([x.T @ combinations for x in _columns(folds)])
    return RidgeSolution(
        coef.to(like),
        (mean_y - mean_x @ coef).to(like),
        alphas[chosen],
        share_of_variance(losses, variance),
        int((values > len(values) * torch.finfo(values.dtype).eps * values[-1]).sum()),
        "dual",
    )


def _decompose(kernel: torch.Tensor, along: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the eigenvalues and eigenvectors of the centred kernel that are orthogonal to `along`."""
    kernel = kernel - torch.outer(along, along @ kernel)
    kernel = kernel - torch.outer(kernel @ along, along)
    # More than any other direction has, so that the intercept's is the last one and mixes with no other.
    own = 2 * kernel.diagonal().sum() + 1e-100
    kernel += torch.outer(own * along, along)
    if kernel.device.type != "cpu":
        values, vectors = torch.linalg.eigh(kernel)
    else:
        with one_thread() if len(kernel) <= _SMALL else nullcontext():
            values, vectors = map(torch.from_numpy, eigh(kernel.numpy(), driver="evd", overwrite_a=True))
    return values[:-1].clamp_min(0), vectors[:, :-1]


def _squared_error(basis: torch.Tensor, residuals: torch.Tensor) -> np.ndarray:
    """Return the squared error on a fold of the map fitted to the others, shape (unit,).

    Parameters
    ----------
    basis
        The fold's rows of V times the root of Delta, shape (row, direction).
    residuals
        Residuals of the map fitted to all rows, shape (row, unit).
    """
    errors = torch.linalg.solve(gram(basis), residuals)
    return errors.square().sum(0).cpu().numpy()


def _columns(folds: Sequence[Sequence[Rows]]) -> Iterator[torch.Tensor]:
    """Yield some features at a time of all rows, float64, shape (row, feature)."""
    parts = (rows.features.split(_COLUMNS, dim=1) for fold in folds for rows in fold)
    for some in zip(*parts, strict=True):
        yield torch.cat(some).double()
