"""The result of a ridge solver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Residuals:
    r"""Relative residuals of the ridge equations, worst over units and over the inner fits.

    The residual of a unit is :math:`\|X^\top(y - Xw) - \alpha w\| / \|X^\top y\|`.

    Attributes
    ----------
    at_chosen
        At the penalty that was chosen for each unit.
    at_lowest
        At the lowest penalty of the grid.
    """

    at_chosen: float
    at_lowest: float


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
        Chosen penalties, shape (unit,), in the units of `sklearn.linear_model.Ridge`.
    relative_alphas
        Penalties that were examined, ascending, as multiples of the mean eigenvalue, shape (penalty,).
    chosen
        Index of each unit's penalty among them, shape (unit,).
    validation_loss
        Held-out squared error over the inner folds, as a share of the variance of the targets of
        the rows, shape (penalty, unit).
    n_directions
        Dimension of the space in which the solution was sought.
    solver
        ``"primal"`` or ``"dual"``: a direct solution, exact to rounding; ``"krylov"``: an iterative one.
    complete
        True if no penalty below the lowest one examined can change a map.
    residuals
        Residuals of an iterative solution; None for a direct one.
    n_open
        Number of units for which a penalty that an iterative solver left unsolved may be better.
    """

    coef: torch.Tensor
    intercept: torch.Tensor
    alpha: np.ndarray
    relative_alphas: np.ndarray
    chosen: np.ndarray
    validation_loss: np.ndarray
    n_directions: int
    solver: str
    complete: bool = False
    residuals: Residuals | None = None
    n_open: int = 0

    @property
    def converged(self) -> bool:
        """False if an iterative solver used up its budget before every unit's penalty was certain."""
        return self.n_open == 0
