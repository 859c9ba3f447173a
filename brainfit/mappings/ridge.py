"""Ridge regression shared over all time bins, a penalty for each unit chosen by grouped folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from brainfit.mappings.krylov import MIN_WIDTH, RidgeSolution, solve_ridge
from brainfit.mappings.linear import SharedLinearMap
from brainfit.mappings.rows import Rows
from brainfit.seeds import generator

RELATIVE_ALPHAS = np.logspace(-3, 5, 17)


class Ridge(SharedLinearMap):
    r"""One linear map for all time bins: :math:`\hat r_u(i, t) = w_u \cdot x(i, t) + b_u`.

    Minimises the squared error over training images and bins plus :math:`\alpha_u \|w_u\|^2`,
    exactly as `sklearn.linear_model.Ridge` does on the (image x bin) rows, but without ever
    holding those rows; solved by block Krylov subspaces (`brainfit.mappings.krylov`).

    Parameters
    ----------
    relative_alphas
        Penalties to choose from, as multiples of the mean eigenvalue of the features' Gram matrix.
    tolerance
        Solve until the held-out loss, as a share of the responses' variance, stands still to this.
    max_blocks
        Most Krylov blocks, each of as many directions as there are units.
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
        max_blocks: int = 16,
        seed: int = 0,
    ) -> None:
        self.relative_alphas = relative_alphas
        self.tolerance = tolerance
        self.max_blocks = max_blocks
        self.seed = seed

    @property
    def n_passes(self) -> int:
        """At most so many passes over the rows."""
        return self.max_blocks

    def _solve(
        self, folds: Sequence[Sequence[Rows]], advance: Callable[[], None]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.solution_: RidgeSolution = solve_ridge(
            folds,
            np.asarray(self.relative_alphas, float),
            tolerance=self.tolerance,
            max_blocks=self.max_blocks,
            rng=generator(self.seed, "krylov padding"),
            advance=advance,
        )
        return self.solution_.coef, self.solution_.intercept

    def working_bytes(self, n_features: int, n_units: int, n_folds: int) -> float:
        """For each inner fold and the final fit: the basis, and the products of the newest block."""
        width = min(max(n_units, MIN_WIDTH), n_features)
        return 4.0 * n_features * width * (n_folds + 1) * (self.max_blocks / 2 + 4)

    def summary(self) -> dict[str, Any]:
        """Return what a reviewer would ask of the fit, as plain values."""
        solution, grid = self.solution_, np.asarray(self.relative_alphas)
        chosen = solution.validation_loss.argmin(axis=0)
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
