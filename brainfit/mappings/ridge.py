"""Ridge regression shared over all time bins, a penalty for each unit chosen by grouped folds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from brainfit.mappings.base import SharedLinearMap
from brainfit.mappings.solvers.dual import MAX_ROWS, solve_dual
from brainfit.mappings.solvers.krylov import WIDTH, solve_krylov
from brainfit.mappings.solvers.matmul import COLUMNS
from brainfit.mappings.solvers.primal import MAX_FEATURES, solve_primal
from brainfit.mappings.solvers.rows import Rows, chunk_length
from brainfit.support.seeds import generator
from brainfit.support.suggestions import unknown_name

_log = logging.getLogger(__name__)

STORES = {"float32": 0.0, "bfloat16": 2e-3}
"""Number formats of the stored features, and the root of the share of an image's variance that its rows may
lack beyond rounding (`compress`).

Rows of an image that hold 1e-10 of its variance can hold all that tells images apart, and the lowest penalty
reaches them. In 16 bits rounding is what counts.
"""
# Usual sizes of an iterative fit, as measured by perf/fitting.py: directions of few units, and of many
# beside one for each; rows that memory freed between batches would hold; rows in oneDNN's own layout; bytes
# of libraries.
_USUAL_DIRECTIONS, _SHARED_DIRECTIONS = 1024, 1024
_LEFT_ROWS, _LAID_OUT_ROWS, _LIBRARIES = 2000, 2000, 40e6
_MOST_PENALTIES = 34
_MORE_ROWS = 1.5  # than the first batch suggests


class Ridge(SharedLinearMap):
    r"""One linear map for all time bins: :math:`\hat r_u(i, t) = w_u \cdot x(i, t) + b_u`.

    Minimises the squared error over training images and bins plus :math:`\alpha_u \|w_u\|^2`,
    exactly as `sklearn.linear_model.Ridge` does on the (image x bin) rows, but without ever
    holding those rows. Where rows or features are few enough the solution is direct; otherwise it is
    iterated until its residual is small (`brainfit.mappings.solvers`: `primal`, `dual`, `krylov`).

    Parameters
    ----------
    relative_alphas
        Penalties to choose from, as multiples of the mean eigenvalue of the features' Gram matrix; None for
        half decades over all penalties that the spectrum and rounding leave distinct
        (`brainfit.mappings.solvers.penalties`).
    tolerance
        Largest error of the fitted values of an iterative solution, as a share of their norm.
    max_blocks
        Budget of an iterative solution, in blocks of 64 directions.
    store
        Number format of the stored features: ``"float32"``, or ``"bfloat16"`` for half the memory or less
        and features rounded to 3 digits, once the first image's mean is taken off.
    seed
        Seed of the random directions that fill up a narrow block of an iterative solution.

    Attributes
    ----------
    coef_
        Shape (unit, feature).
    intercept_
        Shape (unit,).
    alpha_
        The penalty of each unit, in sklearn's units, shape (unit,).
    solution_
        The solver's result (`brainfit.mappings.solvers.solution.RidgeSolution`).

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
        relative_alphas: np.ndarray | None = None,
        tolerance: float = 0.005,
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
        """Largest number of passes over the rows, or of penalties."""
        return max(self.max_blocks, _MOST_PENALTIES)

    @property
    def solves_units_apart(self) -> bool:
        """True if the solution is direct: directions of a search are shared by all units."""
        return choose_solver(self.n_rows, self.n_features) in _SOLVERS

    @property
    def _row_tolerance(self) -> float:
        if self.store not in STORES:
            raise unknown_name("store", self.store, STORES)
        return STORES[self.store]

    def _stored(self, rows: Rows) -> list[Rows]:
        return [replace(rows, features=rows.features.bfloat16()) if self.store == "bfloat16" else rows]

    def _solve(
        self, folds: Sequence[Sequence[Rows]], on_progress: Callable[[], None]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        solve = _SOLVERS.get(choose_solver(self.n_rows, self.n_features)) or partial(
            solve_krylov,
            tolerance=self.tolerance,
            max_blocks=self.max_blocks,
            rng=generator(self.seed, "krylov padding"),
        )
        given = None if self.relative_alphas is None else np.sort(np.asarray(self.relative_alphas, float))
        self.solution_ = solve(folds, given, on_progress)
        residuals = self.solution_.residuals
        if residuals is not None and not self.solution_.converged:
            _log.warning(
                "ridge did not converge in %d directions for %d of %d units: lower penalties than those that "
                "were solved may predict them better (relative residuals: %.1e at the chosen penalties, %.1e "
                "at the lowest); fewer images, a layer of fewer features or a projection to %d features are "
                "solved exactly",
                self.solution_.n_directions,
                self.solution_.n_open,
                len(self.solution_.alpha),
                residuals.at_chosen,
                residuals.at_lowest,
                MAX_FEATURES,
            )
        return self.solution_.coef, self.solution_.intercept

    def working_bytes(self, n_rows: float, n_features: int, n_units: int, n_folds: int) -> float:
        """Estimate the bytes that solving takes beside the rows, of which there may be half as many more."""
        counts = {choose_solver(factor * n_rows, n_features): factor * n_rows for factor in (1, _MORE_ROWS)}
        return max(self._bytes_of(solver, n, n_features, n_units, n_folds) for solver, n in counts.items())

    def _bytes_of(self, solver: str, n_rows: float, n_features: int, n_units: int, n_folds: int) -> float:
        coef = 4.0 * n_features * n_units
        if solver == "dual":  # the kernel, its copy, its eigenvectors and their workspace
            return 8.0 * n_rows * (5 * n_rows + 4 * n_units + 4096) + 3 * coef + _LIBRARIES
        if (
            solver == "primal"
        ):  # the products of every fold, their sum, and what is made of them for a penalty
            products = (n_folds + 4.0) * n_features * (n_features + n_units)
            return 8.0 * (products + 2 * chunk_length(n_features) * n_features) + 3 * coef + _LIBRARIES
        return self._krylov_bytes(n_features, n_units, n_folds)

    def _krylov_bytes(self, n_features: int, n_units: int, n_folds: int) -> float:
        """Estimate the bytes of an iterative solution.

        For each inner fold and the final fit: a basis of the usual size and its products, X'Y, and the
        newest block with its products; then the residuals of one fit, the rows on which work is being done,
        three small matrices, and memory that freed batches leave behind.
        """
        n = n_folds + 1
        usual = _SHARED_DIRECTIONS + n_units if n_units > WIDTH else _USUAL_DIRECTIONS
        directions = min(usual, WIDTH * self.max_blocks, n_features)
        rows = 2 * chunk_length(n_features) + _LEFT_ROWS
        held = n * (2 * directions + n_units + 8 * WIDTH) + 5 * n_units + rows
        laid_out = 4.0 * min(n_features, COLUMNS) * (4 * n * WIDTH + _LAID_OUT_ROWS)
        return 4.0 * n_features * held + 12.0 * n * directions**2 + laid_out + _LIBRARIES

    def summary(self) -> dict[str, Any]:
        """Return what a reviewer would ask of the fit, as plain values."""
        solution, residuals = self.solution_, self.solution_.residuals
        grid, chosen = solution.relative_alphas, solution.chosen
        at_lowest = 0 if solution.complete else int((chosen == 0).sum())
        return {
            "n_features": self.n_features,
            "n_directions": solution.n_directions,
            "solver": solution.solver,
            "converged": solution.converged,
            "units_not_converged": solution.n_open,
            "residual_at_chosen_alpha": residuals and float(f"{residuals.at_chosen:.3g}"),
            "residual_at_lowest_alpha": residuals and float(f"{residuals.at_lowest:.3g}"),
            "relative_alphas": [float(f"{grid.min():.3g}"), float(f"{grid.max():.3g}"), len(grid)],
            "units_at_lowest_alpha": at_lowest,
            "units_at_highest_alpha": int((chosen == len(grid) - 1).sum()),
        }

    @property
    def alpha_(self) -> np.ndarray:
        """Penalties, shape (unit,)."""
        return self.solution_.alpha * self.scale_**2


_SOLVERS = {"primal": solve_primal, "dual": solve_dual}
"""Direct solvers by name."""


def choose_solver(n_rows: float, n_features: int) -> str:
    """Return the name of the solver for a problem of this size: a direct one where its cost is tolerable."""
    if n_rows < n_features and n_rows <= MAX_ROWS:
        return "dual"
    return "primal" if n_features <= MAX_FEATURES else "krylov"
