"""The result of a ridge solver, and the rule by which every solver chooses penalties."""

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
    validation_loss
        Held-out squared error over the inner folds, as a share of the variance of the targets of
        the rows, shape (penalty, unit).
    n_directions
        Dimension of the space in which the solution was sought.
    solver
        ``"primal"`` or ``"dual"``: a direct solution, exact to rounding; ``"krylov"``: an iterative one.
    residuals
        Residuals of an iterative solution; None for a direct one.
    converged
        False if an iterative solver used up its budget before the residuals were small.
    """

    coef: torch.Tensor
    intercept: torch.Tensor
    alpha: np.ndarray
    validation_loss: np.ndarray
    n_directions: int
    solver: str
    residuals: Residuals | None = None
    converged: bool = True


def absolute_penalties(relative_alphas: np.ndarray, mean_eigenvalue: float) -> np.ndarray:
    """Return penalties for features of this mean eigenvalue; positive ones for features that do not vary."""
    return relative_alphas * max(mean_eigenvalue, 1e-100)  # float32 squares are no smaller than 1e-90


def choose_penalties(validation_loss: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return the index of the penalty of least loss for each unit; of the last one for constant units."""
    return np.where(variance > 0, validation_loss.argmin(axis=0), len(validation_loss) - 1)


def share_of_variance(squared_error: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Divide squared errors, shape (penalty, unit), by the variance of each unit; zero for constant units."""
    return squared_error / np.where(variance > 0, variance, np.inf)
