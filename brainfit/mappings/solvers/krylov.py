r"""Ridge regression for many units, every penalty at once, by block Krylov subspaces.

The minimiser of :math:`\|Y - XW - 1b^\top\|^2 + \alpha \|W\|^2` is sought in the span of
:math:`C, GC, G^2C, \dots` with :math:`G = X^\top X` and :math:`C = X^\top Y` of the centred
data: directions that the responses of *all* units point to. In a basis of some hundreds of such
directions the problem is small, one eigendecomposition gives it for every penalty, and every
block added costs one pass over the rows. The span grows until the held-out loss stands still; once
it holds every direction of the features, as it does from the beginning where they are few, the solution
is exact.

Of many units not every residual :math:`C - (G + \alpha) W`, which is what :math:`G` times the newest
block adds, becomes a direction, but those few that most of their size lies in: units share what they
respond to, and a pass costs as much as its block is wide.

One problem for each inner fold (fitted to the other folds, judged on it) and one for all training
rows are solved side by side, so that a pass over the rows serves them all and the fold that judges
a penalty had no part in the directions it is judged in.

References
----------
Golub & Van Loan, Matrix Computations, 4th ed., sec. 10.1 and 10.3 (block Lanczos);
Hochstenbach & Reichel (2010), BIT Numer. Math. 50, 1-21 (ridge penalties in Krylov subspaces);
Soodhalter, de Sturler & Kilmer (2020), GAMM-Mitt. 43, e202000016 (subspaces that residuals augment).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import eigh

from brainfit.mappings.solvers.matmul import times
from brainfit.mappings.solvers.normal_equations import make_products
from brainfit.mappings.solvers.products import Sums, mean_eigenvalue, sum_rows
from brainfit.mappings.solvers.rows import Rows
from brainfit.mappings.solvers.subspace import Subspace
from brainfit.support.threads import one_thread

WIDTH = 64
"""Directions in a block. To those of fewer units random ones are added; of more units' residuals, those are
taken that most of them lies in."""
WHOLE = 512
"""Up to so many features all directions are taken at once: searching would take as long."""


@dataclass(frozen=True)
class RidgeSolution:
    """A ridge map with a penalty of its own for each unit.

    Attributes
    ----------
    coef
        Shape (feature, unit).
    intercept
        Shape (unit,).
    alpha
        The chosen penalties, shape (unit,), in the units of `sklearn.linear_model.Ridge`.
    validation_loss
        Held-out squared error over the inner folds, as a share of the variance of the targets of
        the rows, shape (penalty, unit).
    n_directions
        Size of the subspace that was searched.
    converged
        False if the held-out loss still moved when `max_blocks` was reached.
    """

    coef: torch.Tensor
    intercept: torch.Tensor
    alpha: np.ndarray
    validation_loss: np.ndarray
    n_directions: int
    converged: bool


def solve_ridge(
    folds: Sequence[Sequence[Rows]],
    relative_alphas: np.ndarray,
    *,
    tolerance: float,
    max_blocks: int,
    rng: np.random.Generator,
    advance: Callable[[], None] = lambda: None,
) -> RidgeSolution:
    """Fit one ridge map, the penalty of each unit chosen by the loss on held-out folds.

    Parameters
    ----------
    folds
        For each inner fold the batches of rows of its images.
    relative_alphas
        Penalties to choose from, as multiples of the mean eigenvalue of the features' Gram matrix.
    tolerance
        Stop when a block moves the mean over units of the held-out loss (as a share of variance) by less,
        and that of no unit, nor of the penalty that it would have chosen, by ten times as much.
    max_blocks
        Most blocks to add, each of `WIDTH` directions, or of all if there are few.
    rng
        For the padding directions.
    advance
        Called after every block.
    """
    per_fold = [sum_rows(rows) for rows in folds]
    total = per_fold[0]
    for sums in per_fold[1:]:
        total = total + sums
    n_units, n_features = total.yx.shape
    whole, many = n_features <= WHOLE, n_units > WIDTH
    problems = [Subspace(total, sums, keeps_products=many and not whole) for sums in (*per_fold, None)]
    judged, last = problems[:-1], problems[-1]
    alphas = relative_alphas * mean_eigenvalue(folds, last.mean_x)
    variance = total.yy_about(last.mean_y).double().cpu().numpy()
    share = 1 / np.where(variance > 0, variance, np.inf)
    size = torch.from_numpy(np.sqrt(share)[:, None]).to(total.yx)
    products = make_products(folds, last.mean_x)

    padding = _padding(total, rng)
    blocks = [
        p.fill() if whole else p.extend(_leading(p.yx * size) if many else torch.cat([p.yx, padding]))
        for p in problems
    ]
    history, converged = [], False
    chosen = np.zeros(len(variance), int)
    for step in range(max_blocks):
        inside, multiplied = products([p.mean_x for p in problems], blocks)
        multiplied = [
            p.absorb(product, held)
            for p, product, held in zip(problems, multiplied, (*inside, None), strict=True)
        ]
        advance()
        history.append(np.sum([p.losses(alphas) for p in judged], axis=0) * share)
        chosen = np.where(variance > 0, history[-1].argmin(axis=0), len(alphas) - 1)
        converged = whole or (len(history) > 1 and _stands_still(history[-2], history[-1], tolerance))
        if converged or step == max_blocks - 1:
            break
        if many:
            multiplied = (_leading(p.residual(alphas[chosen]) * size) for p in problems)
        blocks = [p.extend(candidates) for p, candidates in zip(problems, multiplied, strict=True)]
        if not any(len(block) for block in blocks):
            converged = True
            break
    coef, intercept = last.solution(alphas[chosen])
    return RidgeSolution(coef, intercept, alphas[chosen], history[-1], len(last.basis), converged)


def _stands_still(before: np.ndarray, now: np.ndarray, tolerance: float) -> bool:
    """Whether the loss moved little on average and for every unit, by whichever choice of its penalty."""
    least, earlier_choice = now.min(axis=0), before.argmin(axis=0)
    moved = np.abs(before.min(axis=0) - least)
    regret = np.take_along_axis(now, earlier_choice[None], axis=0)[0] - least
    return bool(moved.mean() < tolerance and max(moved.max(), regret.max()) < 10 * tolerance)


def _leading(rows: torch.Tensor) -> torch.Tensor:
    """Return the directions, fewer than rows, that hold most of their squared length."""
    gram = times(rows, rows).double().cpu().numpy()
    last = len(gram) - 1
    with one_thread():
        _, vectors = eigh(gram, subset_by_index=[last - WIDTH + 1, last], check_finite=False)
    return torch.from_numpy(vectors).to(rows).T @ rows


def _padding(total: Sums, rng: np.random.Generator) -> torch.Tensor:
    """Random directions that fill a block up to `WIDTH`."""
    n_units, n_features = total.yx.shape
    missing = max(0, min(WIDTH, n_features) - n_units)
    return torch.from_numpy(rng.standard_normal((n_features, missing)).T.copy()).to(total.yx)
