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

from brainfit.mappings.solvers.penalties import (
    choose_penalties,
    examine_penalties,
    penalty_grid,
    positive,
    search_penalties,
    share_of_variance,
)
from brainfit.mappings.solvers.primal import gram
from brainfit.mappings.solvers.rows import Rows
from brainfit.mappings.solvers.solution import RidgeSolution
from brainfit.support.threads import one_thread

MAX_ROWS = 4096
"""The largest number of rows for which decomposing is tolerable: some tens of seconds a core."""
_COLUMNS = 4096
"""Features to work on at once."""
_ROUNDING = 10
"""Eigenvalues below so many roundings of the largest one are zero."""
_SMALL = 1024
"""Largest number of rows for which synchronising threads costs an eigendecomposition more than it saves."""


def solve_dual(
    folds: Sequence[Sequence[Rows]],
    relative_alphas: np.ndarray | None = None,
    on_progress: Callable[[], None] = lambda: None,
) -> RidgeSolution:
    """Fit one ridge map, the penalty of each unit chosen by the loss on held-out folds.

    Parameters
    ----------
    folds
        Batches of rows of the images of each inner fold.
    relative_alphas
        Penalties to choose from, as multiples of the mean eigenvalue of the features' Gram matrix; None for
        the default (`brainfit.mappings.solvers.penalties`).
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
    parts = zip(_columns(folds), mean_x.split(_COLUMNS), strict=True)
    centred = (x.addr_(ones, mean, alpha=-1) for x, mean in parts)
    values, vectors = _decompose(reduce(torch.add, map(gram, centred)), along)
    unit, norm = positive(float(values.sum()) / len(mean_x)), float(torch.linalg.vector_norm(values))
    rotated = vectors.T @ targets
    sizes = [sum(len(rows.ones) for rows in fold) for fold in folds]

    def evaluate(alpha: float) -> np.ndarray:
        left = alpha * unit / (values + alpha * unit)
        residuals = vectors @ (left[:, None] * rotated)
        parts = zip((vectors * left.sqrt()).split(sizes), residuals.split(sizes), strict=True)
        on_progress()
        return np.sum([_squared_error(basis, inside) for basis, inside in parts], axis=0)

    if relative_alphas is None:
        smallest = float(values[0]) / unit
        path = search_penalties(penalty_grid(unit, norm), evaluate, lambda: smallest)
    else:
        path = examine_penalties(relative_alphas, evaluate)
    variance = targets.square().sum(0).cpu().numpy()
    chosen = choose_penalties(path.losses, variance)
    alphas = path.relative_alphas[chosen] * unit
    combinations = vectors @ (rotated / (values[:, None] + torch.from_numpy(alphas).to(values)))
    coef = torch.cat([x.T @ combinations for x in _columns(folds)])
    return RidgeSolution(
        coef.to(like),
        (mean_y - mean_x @ coef).to(like),
        alphas,
        path.relative_alphas,
        chosen,
        share_of_variance(path.losses, variance),
        int((values > len(values) * torch.finfo(values.dtype).eps * values[-1]).sum()),
        "dual",
        path.complete,
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
    values = values[:-1]
    lost = values < _ROUNDING * torch.finfo(values.dtype).eps * values[-1]
    return values.masked_fill(lost, 0), vectors[:, :-1]


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
