"""Ridge regression shared over all time bins, a penalty for each unit chosen by grouped folds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from brainfit.mappings.base import SharedLinearMap
from brainfit.mappings.solvers.dual import are_few, in_their_span, of_features
from brainfit.mappings.solvers.krylov import WHOLE, WIDTH, solve_ridge
from brainfit.mappings.solvers.matmul import COLUMNS
from brainfit.mappings.solvers.normal_equations import MAX_FEATURES
from brainfit.mappings.solvers.rows import Rows, chunk_length, parted
from brainfit.support.seeds import generator
from brainfit.support.suggestions import unknown_name

STORES = {"float32": 1e-4, "bfloat16": 2e-3}
"""Kinds of numbers for the features, and what rows may lack (`rows.compress`).

What rows lack, in many directions together, is to be below the lowest penalty: a thousandth of a mean
eigenvalue, 1e-7 of all that varies if there are ten thousand features. In 16 bits it is rounding that counts.
"""
RELATIVE_ALPHAS = np.logspace(-3, 5, 17)
# What a fit usually takes: directions of few units, and of many beside one for each; rows that memory which
# was given back between batches would hold; rows that oneDNN has in its own layout; bytes of libraries. As
# measured by perf/fitting.py.
_USUAL_DIRECTIONS, _SHARED_DIRECTIONS = 320, 256
_LEFT_ROWS, _LAID_OUT_ROWS, _LIBRARIES = 2000, 2000, 40e6
_MORE_ROWS = 1.5  # than one batch says


class Ridge(SharedLinearMap):
    r"""One linear map for all time bins: :math:`\hat r_u(i, t) = w_u \cdot x(i, t) + b_u`.

    Minimises the squared error over training images and bins plus :math:`\alpha_u \|w_u\|^2`,
    exactly as `sklearn.linear_model.Ridge` does on the (image x bin) rows, but without ever
    holding those rows; solved by block Krylov subspaces (`brainfit.mappings.solvers.krylov`).

    Parameters
    ----------
    relative_alphas
        Penalties to choose from, as multiples of the mean eigenvalue of the features' Gram matrix.
    tolerance
        Solve until the held-out loss, as a share of the responses' variance, stands still to this.
    max_blocks
        Most Krylov blocks (`brainfit.mappings.solvers.krylov`).
    store
        Kind of number in which the compressed features are kept that are not faint: ``"float32"``, or
        ``"bfloat16"`` for half the memory or less, and features rounded to 3 digits, once the first image's
        mean is taken off.
    seed
        For the random directions that fill up a narrow block.

    Attributes
    ----------
    coef_
        Shape (unit, feature).
    intercept_
        Shape (unit,).
    alpha_
        The penalty of each unit, in sklearn's units, shape (unit,).
    solution_
        All that the solver has to say.

    References
    ----------
    Nayebi et al. (2018), arXiv:1807.00053, section 2: one linear map shared over time bins.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> features, weights = rng.normal(size=(40, 5, 3)), rng.normal(size=(3, 2))
    >>> ridge = Ridge().fit(features, (features @ weights).swapaxes(1, 2))
    >>> bool(np.abs(ridge.coef_ - weights.T).max() < 1e-2)
    True
    """

    def __init__(
        self,
        relative_alphas: np.ndarray = RELATIVE_ALPHAS,
        tolerance: float = 1e-4,
        max_blocks: int = 32,
        store: str = "float32",
        seed: int = 0,
    ) -> None:
        self.relative_alphas = relative_alphas
        self.tolerance = tolerance
        self.max_blocks = max_blocks
        self.store = store
        self.seed = seed

    @property
    def n_passes(self) -> int:
        """At most so many passes over the rows."""
        return self.max_blocks

    @property
    def _row_tolerance(self) -> float:
        if self.store not in STORES:
            raise unknown_name("store", self.store, STORES)
        return STORES[self.store]

    def _stored(self, rows: Rows) -> list[Rows]:
        parts = [rows] if rows.features.dtype == torch.float64 else parted(rows)
        half = self.store == "bfloat16"
        return [replace(p, features=p.features.bfloat16()) if half or p.faint else p for p in parts]

    def _solve(
        self, folds: Sequence[Sequence[Rows]], advance: Callable[[], None]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        relative_alphas, rows, directions = np.asarray(self.relative_alphas, float), folds, None
        if are_few(self.n_rows, self.n_features):
            rows, directions = in_their_span(folds)
            # The mean eigenvalue is that of all features, in most directions of which there is nothing.
            relative_alphas = relative_alphas * directions.shape[1] / self.n_features
        solution = solve_ridge(
            rows,
            relative_alphas,
            tolerance=self.tolerance,
            max_blocks=self.max_blocks,
            rng=generator(self.seed, "krylov padding"),
            advance=advance,
        )
        if directions is not None:
            coef = of_features(folds, directions, solution.coef)
            solution = replace(solution, coef=coef, intercept=solution.intercept.to(coef))
        self.solution_ = solution
        return solution.coef, solution.intercept

    def working_bytes(self, n_rows: float, n_features: int, n_units: int, n_folds: int) -> float:
        """Count what searching takes; of rows that will stay few, that in float64 and the map."""
        laid_out = 4.0 * min(n_features, COLUMNS) * (4 * (n_folds + 1) * WIDTH + _LAID_OUT_ROWS)
        searching = self._searching_bytes(n_features, n_units, n_folds) + laid_out + _LIBRARIES
        if not are_few(n_rows, n_features):
            return searching
        rows = max(math.ceil(n_rows), 1)  # of which there may turn out to be fewer, and all taken at once
        few = 2 * max(self._searching_bytes(n, n_units, n_folds) for n in (rows, min(rows, WHOLE)))
        few += 8.0 * n_features * n_units + _LIBRARIES
        return few if are_few(_MORE_ROWS * n_rows, n_features) else max(few, searching)

    def _searching_bytes(self, n_features: int, n_units: int, n_folds: int) -> float:
        """Count a basis as large as is usual for each inner fold and the final fit, and what goes into it.

        Twice the basis for many units, whose residuals are asked for; X'Y; the newest block and what it is
        multiplied to; and beside these rows on which work is being done, X'X if that is made, three small
        matrices, and what the batches that were taken in leave behind.
        """
        whole, n = n_features <= WHOLE, n_folds + 1
        many, width = n_units > WIDTH and not whole, n_features if whole else WIDTH
        usual = n_features if whole else _SHARED_DIRECTIONS + n_units if many else _USUAL_DIRECTIONS
        directions = min(usual, width * self.max_blocks, n_features)
        gram = n * n_features if n_features <= MAX_FEATURES else 0
        residuals = 3 * n_units if many else 0
        rows = 2 * chunk_length(n_features) + _LEFT_ROWS
        held = n * ((1 + many) * directions + n_units + (3 if whole else 8) * width) + residuals + rows + gram
        return 4.0 * n_features * held + 12.0 * n * directions**2

    def summary(self) -> dict[str, Any]:
        """Return what a reviewer would ask of the fit, as plain values."""
        solution, grid = self.solution_, np.asarray(self.relative_alphas)
        chosen = solution.validation_loss.argmin(axis=0)
        chosen[~solution.validation_loss.any(axis=0)] = len(grid) - 1  # constant units, as the solver has it
        return {
            "n_features": self.n_features,
            "n_directions": solution.n_directions,
            "converged": solution.converged,
            "relative_alphas": [float(f"{grid.min():.3g}"), float(f"{grid.max():.3g}"), len(grid)],
            "units_at_lowest_alpha": int((chosen == 0).sum()),
            "units_at_highest_alpha": int((chosen == len(grid) - 1).sum()),
        }

    @property
    def alpha_(self) -> np.ndarray:
        """Penalties, shape (unit,)."""
        return self.solution_.alpha * self.scale_**2
