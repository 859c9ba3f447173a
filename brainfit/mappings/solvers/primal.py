r"""Ridge regression by Cholesky factorisation of the normal equations, for few features.

With :math:`Z = [X, 1]`, whose last column is the intercept's, the map fitted outside fold :math:`k` solves
:math:`(Z^\top Z - Z_k^\top Z_k + \alpha D) W = Z^\top Y - Z_k^\top Y_k`. Here :math:`D` is the identity but
for a zero that leaves the intercept unpenalised. The products are formed once, in one pass over the rows in
float64; every fold and penalty then costs one factorisation.

References
----------
Golub & Van Loan, Matrix Computations, 4th ed., sec. 4.2 and 5.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch

from brainfit.mappings.solvers.penalties import (
    choose_penalties,
    examine_penalties,
    lost_in_rounding,
    penalty_grid,
    positive,
    search_penalties,
    share_of_variance,
)
from brainfit.mappings.solvers.products import chunks
from brainfit.mappings.solvers.rows import Rows
from brainfit.mappings.solvers.solution import RidgeSolution

MAX_FEATURES = 4096
"""The largest number of features for which factorising is tolerable: about a minute on one core."""


@dataclass(frozen=True)
class _Moments:
    """Products of some rows: Z'Z, Z'Y and the sum of squared targets of each unit."""

    zz: torch.Tensor
    zy: torch.Tensor
    yy: torch.Tensor

    def __add__(self, other: _Moments) -> _Moments:
        return _Moments(self.zz + other.zz, self.zy + other.zy, self.yy + other.yy)

    def __sub__(self, other: _Moments) -> _Moments:
        return _Moments(self.zz - other.zz, self.zy - other.zy, self.yy - other.yy)

    def factor(self, alpha: float) -> torch.Tensor | None:
        """Return the Cholesky factor of the penalised products; None if the penalty is lost in rounding."""
        penalised = self.zz.clone()
        penalised.diagonal()[:-1] += alpha
        factor, failed = torch.linalg.cholesky_ex(penalised)
        return None if failed else factor

    def squared_error(self, weights: torch.Tensor) -> torch.Tensor:
        """Return the squared error of a map on these rows, shape (unit,)."""
        return self.yy + (weights * (self.zz @ weights - 2 * self.zy)).sum(0)


def solve_primal(
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
    mean_x, mean_y = _means(folds)
    per_fold = [_moments(rows, mean_x, mean_y) for rows in folds]
    total = reduce(_Moments.__add__, per_fold)
    n_features = len(mean_x)
    gram_ = total.zz[:-1, :-1]
    unit = positive(float(gram_.diagonal().sum()) / n_features)
    factors: list[tuple[float, torch.Tensor]] = []  # the last penalty and the factor of the last fold

    def evaluate(alpha: float) -> np.ndarray | None:
        losses = np.zeros(len(mean_y))
        for held_out in per_fold:
            factors.clear()
            others = total - held_out
            if (factor := others.factor(alpha * unit)) is None:
                return None
            losses += held_out.squared_error(torch.cholesky_solve(others.zy, factor)).cpu().numpy()
            factors.append((alpha * unit, factor))
        on_progress()
        return losses

    if relative_alphas is None:
        grid = penalty_grid(unit, float(torch.linalg.matrix_norm(gram_)))
        path = search_penalties(grid, evaluate, lambda: _smallest_eigenvalue(*factors[0]) / unit)
    else:
        path = examine_penalties(relative_alphas, evaluate)
    variance = total.yy.cpu().numpy()
    chosen = choose_penalties(path.losses, variance)
    alphas = path.relative_alphas * unit
    weights = torch.empty_like(total.zy)
    for k in np.unique(chosen):
        units = torch.from_numpy(chosen == k).to(weights.device)
        if (factor := total.factor(float(alphas[k]))) is None:
            raise lost_in_rounding(float(path.relative_alphas[k]))
        weights[:, units] = torch.cholesky_solve(total.zy[:, units], factor)
    coef, like = weights[:-1], folds[0][0].ones
    intercept = weights[-1] + mean_y - mean_x @ coef
    return RidgeSolution(
        coef.to(like),
        intercept.to(like),
        alphas[chosen],
        path.relative_alphas,
        chosen,
        share_of_variance(path.losses, variance),
        n_features,
        "primal",
        path.complete,
    )


def _smallest_eigenvalue(alpha: float, factor: torch.Tensor) -> float:
    """Estimate the smallest eigenvalue of the products without the penalty, by inverse iteration."""
    vectors = torch.from_numpy(np.random.default_rng(0).standard_normal((len(factor), 4))).to(factor)
    size = torch.ones(())
    for _ in range(10):
        vectors, _ = torch.linalg.qr(vectors)
        vectors = torch.cholesky_solve(vectors, factor)
        size = torch.linalg.matrix_norm(vectors, 2)
    return max(0.0, 1 / float(size) - alpha)


def _means(folds: Sequence[Sequence[Rows]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean features and targets of all rows, float64: products about them lose no digits."""
    batches = [rows for fold in folds for rows in fold]
    n = sum(rows.ones.double() @ rows.ones.double() for rows in batches)
    x = sum(ones @ features for features, ones, _ in _double(batches))
    y = sum(ones @ targets for _, ones, targets in _double(batches))
    return torch.as_tensor(x) / n, torch.as_tensor(y) / n


def _moments(batches: Sequence[Rows], mean_x: torch.Tensor, mean_y: torch.Tensor) -> _Moments:
    """Return the products of some rows about these means."""
    n_columns = len(mean_x) + 1
    zz, zy, yy = mean_x.new_zeros(n_columns, n_columns), mean_x.new_zeros(n_columns, len(mean_y)), 0 * mean_y
    for features, ones, targets in _double(batches):
        z = torch.cat([torch.addr(features, ones, mean_x, alpha=-1), ones[:, None]], dim=1)
        y = torch.addr(targets, ones, mean_y, alpha=-1)
        zz += gram(z.T)
        zy.addmm_(z.T, y)
        yy += y.square().sum(0)
    return _Moments(zz, zy, yy)


def _double(batches: Sequence[Rows]) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield features, ones and targets in float64, a limited number of rows at a time."""
    for parts in chunks(batches):
        yield tuple(part.double() for part in parts)


def gram(x: torch.Tensor) -> torch.Tensor:
    """Return x x'. On the CPU numpy's BLAS does half the work, since the product is symmetric."""
    if x.device.type != "cpu":
        return x @ x.T
    matrix = x.numpy()
    return torch.from_numpy(matrix @ matrix.T)
