r"""Ridge regression for many units and every penalty at once, by block Krylov subspaces.

The minimiser of :math:`\|Y - XW - 1b^\top\|^2 + \alpha \|W\|^2` is sought in the span of
:math:`C, GC, G^2C, \dots` with :math:`G = X^\top X` and :math:`C = X^\top Y` of the centred data:
directions that the responses of *all* units point to. In a basis of some hundreds of such directions the
problem is small, one eigendecomposition gives it for every penalty, and every block costs one pass over the
rows.

The search ends when the residual :math:`C - (G + \alpha) W` is small for every unit, in every inner fit, at
the penalty that was chosen *and* at the lowest one. A loss that stands still proves nothing: it does so,
near 1, while the directions found so far hold none of a signal that lies in directions of low variance.
Where the lowest penalties cannot be solved within the budget, the search ends once the chosen ones and those
a decade below are: they are then the lowest of the grid. A unit whose loss has not risen there, or that no
solved penalty predicts, is *open*: a lower penalty may be better for it.
"Small" is a statement about predictions: since :math:`\|X (G + \alpha)^{-1}\| \le 1 / (2 \sqrt\alpha)`, the
fitted values differ from the exact ones by at most the residual's norm divided by :math:`2 \sqrt\alpha`.

With more units than a block is wide, the next block holds the few directions in which most of all units'
residuals lie: units share what they respond to, and a pass costs as much as its block is wide.

One problem for each inner fold (fitted to the other folds, judged on it) and one for all training rows are
solved side by side, so that a pass over the rows serves them all and the fold that judges a penalty has no
part in the directions it is judged in.

References
----------
Golub & Van Loan, Matrix Computations, 4th ed., sec. 10.1 and 10.3 (block Lanczos);
Hochstenbach & Reichel (2010), BIT Numer. Math. 50, 1-21 (ridge penalties in Krylov subspaces);
Soodhalter, de Sturler & Kilmer (2020), GAMM-Mitt. 43, e202000016 (subspaces that residuals augment).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.linalg import eigh

from brainfit.mappings.solvers.matmul import times
from brainfit.mappings.solvers.penalties import (
    STEPS_PER_DECADE,
    choose_penalties,
    penalty_grid,
    share_of_variance,
)
from brainfit.mappings.solvers.products import RowProducts, Sums, mean_eigenvalue, sum_rows
from brainfit.mappings.solvers.rows import Rows
from brainfit.mappings.solvers.solution import Residuals, RidgeSolution
from brainfit.mappings.solvers.subspace import Subspace
from brainfit.support.threads import one_thread

WIDTH = 64
"""Directions in a block. Random directions fill the block of fewer units; of more units, the leading
directions of their residuals are used."""
RISE = 1e-3
"""A loss has turned if it is higher by this share of the variance a decade below the chosen penalty."""
UNPREDICTED = 0.99
"""Nothing is known of a unit of larger loss: its signal may lie in directions of low variance."""


def solve_krylov(
    folds: Sequence[Sequence[Rows]],
    relative_alphas: np.ndarray | None = None,
    on_progress: Callable[[], None] = lambda: None,
    *,
    tolerance: float,
    max_blocks: int,
    rng: np.random.Generator,
) -> RidgeSolution:
    """Fit one ridge map, the penalty of each unit chosen by the loss on held-out folds.

    Parameters
    ----------
    folds
        Batches of rows of the images of each inner fold.
    relative_alphas
        Penalties to choose from, ascending, as multiples of the mean eigenvalue of the features' Gram matrix;
        None for the default (`brainfit.mappings.solvers.penalties`).
    on_progress
        Called after every block.
    tolerance
        Largest error of a unit's fitted values, as a share of their norm, at the penalties that must be
        solved.
    max_blocks
        Budget: the largest number of blocks, each of `WIDTH` directions. The search also ends once the chosen
        penalties and those a decade below are solved, if the lowest one would, at its present rate, not be
        solved within the budget.
    rng
        Source of the random directions.
    """
    per_fold = [sum_rows(rows) for rows in folds]
    total = per_fold[0]
    for sums in per_fold[1:]:
        total = total + sums
    many = len(total.y) > WIDTH
    problems = [Subspace(total, sums) for sums in (*per_fold, None)]
    judged, last = problems[:-1], problems[-1]
    unit = mean_eigenvalue(folds, last.mean_x)
    variance = total.yy_about(last.mean_y).double().cpu().numpy()
    products = RowProducts(folds)

    padding = _padding(total, rng)
    blocks = [p.extend(_leading(p.yx_normalised) if many else torch.cat([p.yx, padding])) for p in problems]
    errors: list[float] = []  # at the lowest penalty, block by block
    while True:
        inside, multiplied = products([p.mean_x for p in problems], blocks)
        multiplied = [
            p.absorb(product, held)
            for p, product, held in zip(problems, multiplied, (*inside, None), strict=True)
        ]
        on_progress()
        default = penalty_grid(unit, last.norm, total.yx.dtype)
        grid = default if relative_alphas is None else relative_alphas
        losses = np.sum([p.losses(grid * unit) for p in judged], axis=0)
        chosen = choose_penalties(losses, variance)
        below = np.maximum(chosen - STEPS_PER_DECADE, 0)
        wanted = [unit * grid[k] for k in (chosen, below, np.zeros_like(chosen))]
        examined = [_examine(p, wanted, many) for p in problems]
        *nearby, lowest = np.max([bounds for bounds, _, _ in examined], axis=0)
        errors.append(lowest)
        solved, complete = max(nearby) <= tolerance, max(*nearby, lowest) <= tolerance
        n_left = max_blocks - len(errors)
        if complete or (solved and _blocks_needed(errors, tolerance) > n_left) or n_left <= 0:
            break
        if many:
            multiplied = [candidates for _, _, candidates in examined]
        blocks = [p.extend(candidates) for p, candidates in zip(problems, multiplied, strict=True)]
        if not any(len(block) for block in blocks):  # no direction is left, or rounding hides those that are
            complete = len(last.basis) == last.basis.shape[1]
            break
    coef, intercept = last.solution(unit * grid[chosen])
    at_chosen, at_below, at_lowest = np.max([relative for _, relative, _ in examined], axis=0)
    shares, first = share_of_variance(losses, variance), 0
    is_open = np.zeros(len(chosen), bool)
    if not complete:
        best, under = (shares[k, np.arange(len(chosen))] for k in (chosen, below))
        is_open = (variance > 0) & (~solved | (under < best + RISE) | (best > UNPREDICTED))
        if solved and relative_alphas is None:
            first, at_lowest = int(below.min()), at_below
    if relative_alphas is None:  # rounding bounds the grid: a penalty at its end may still be too high
        is_open |= (variance > 0) & (chosen == 0)
    return RidgeSolution(
        coef,
        intercept,
        unit * grid[chosen],
        grid[first:],
        chosen - first,
        shares[first:],
        len(last.basis),
        "krylov",
        residuals=Residuals(float(at_chosen), float(at_lowest)),
        n_open=int(is_open.sum()),
    )


def _examine(
    problem: Subspace, penalties: Sequence[np.ndarray], many: bool
) -> tuple[list[float], list[float], torch.Tensor]:
    """Return error bounds and relative residuals under penalties, and the next directions of many units."""
    all_ = [problem.residual(alpha) for alpha in penalties]
    ends = torch.cat([all_[0].normalised, all_[-1].normalised]) if many else all_[0].normalised[:0]
    return [r.error for r in all_], [r.relative for r in all_], _leading(ends) if many else ends


def _blocks_needed(errors: Sequence[float], tolerance: float) -> float:
    """Extrapolate the number of blocks until the error is tolerable, from its rate over four blocks."""
    recent = errors[-5:]
    if len(recent) < 3:
        return 0
    rate = math.log(recent[0] / max(recent[-1], 1e-300)) / (len(recent) - 1)
    missing = math.log(max(recent[-1], 1e-300) / tolerance) if tolerance > 0 else math.inf
    return missing / rate if rate > 0 else math.inf


def _leading(rows: torch.Tensor) -> torch.Tensor:
    """Return the `WIDTH` directions, fewer than rows, that hold most of the squared length of rows."""
    gram = times(rows, rows).double().cpu().numpy()
    last = len(gram) - 1
    with one_thread():
        _, vectors = eigh(gram, subset_by_index=[last - WIDTH + 1, last], check_finite=False)
    return torch.from_numpy(vectors).to(rows).T @ rows


def _padding(total: Sums, rng: np.random.Generator) -> torch.Tensor:
    """Draw the directions that fill a block up to `WIDTH`."""
    n_units, n_features = total.yx.shape
    missing = max(0, min(WIDTH, n_features) - n_units)
    return torch.from_numpy(rng.standard_normal((n_features, missing)).T.copy()).to(total.yx)
