r"""The penalties that ridge solvers examine, and the rule by which they choose one for each unit.

A grid of half decades, as multiples of the mean eigenvalue of the features' Gram matrix :math:`G`, is
bounded by what a penalty can do and not by a habit:

- Above :math:`10^3 \|G\|`, with the Frobenius norm, weights are proportional to :math:`X^\top y`: a higher
  penalty changes the size of predictions and no correlation.
- Below a thousandth of the smallest eigenvalue a lower penalty changes nothing.
- Below `LOWEST` times :math:`\|G\|` a penalty is lost in the rounding of the Gram matrix.

The mean eigenvalue alone is no bound: if one direction has 1e6 times the variance of all others, the
penalties that tell the others apart are 1e-6 of the mean, or less. Nor may the search stop where the loss
turns: it turns once for every group of directions of similar variance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from brainfit.errors import ContractError

HIGHEST = 1e3
"""The highest penalty of a grid, as a multiple of the norm of the Gram matrix."""
LOWEST = {torch.float64: 1e-15, torch.float32: 1e-6}
"""The lowest penalty of a grid, as a multiple of the norm, by the number format of the products."""
MATTERS = 1e-3
"""A penalty changes nothing that is worth mentioning if it is less than this share of every eigenvalue."""
STEPS_PER_DECADE = 2


@dataclass(frozen=True)
class Path:
    """Losses over a grid of penalties.

    Attributes
    ----------
    relative_alphas
        Penalties that were examined, ascending, as multiples of the mean eigenvalue, shape (penalty,).
    losses
        Held-out squared errors, shape (penalty, unit).
    complete
        True if no lower penalty can change a map: the lowest one is below all eigenvalues.
    """

    relative_alphas: np.ndarray
    losses: np.ndarray
    complete: bool


def penalty_grid(mean_eigenvalue: float, norm: float, dtype: torch.dtype = torch.float64) -> np.ndarray:
    """Return the default penalties, ascending, as multiples of the mean eigenvalue.

    Parameters
    ----------
    mean_eigenvalue, norm
        Mean eigenvalue and Frobenius norm of the Gram matrix.
    dtype
        Number format of the products from which maps are computed.
    """
    ratio = max(norm / positive(mean_eigenvalue), 1e-100)
    first, last = (
        STEPS_PER_DECADE * math.log10(ratio * share) if norm > 0 else 0 for share in (LOWEST[dtype], HIGHEST)
    )
    return 10.0 ** (np.arange(math.ceil(first), math.floor(last) + 1) / STEPS_PER_DECADE)


def positive(mean_eigenvalue: float) -> float:
    """Return the unit of the penalties, which is positive even for features that do not vary."""
    return max(mean_eigenvalue, 1e-100)  # float32 squares are no smaller than 1e-90


def examine_penalties(relative_alphas: np.ndarray, evaluate: Callable[[float], np.ndarray | None]) -> Path:
    """Examine all penalties of a given grid; `evaluate` is that of `search_penalties`.

    Raises
    ------
    ContractError
        If a penalty is lost in the rounding of the features.
    """
    losses = []
    for alpha in relative_alphas:
        if (found := evaluate(alpha)) is None:
            raise lost_in_rounding(alpha)
        losses.append(found)
    return Path(relative_alphas, np.array(losses), complete=False)


def lost_in_rounding(relative_alpha: float) -> ContractError:
    """Return the error that refuses a penalty which cannot be told from zero."""
    return ContractError(
        f"a penalty of {relative_alpha:.3g} times the mean eigenvalue is lost in the rounding of these "
        "features; use a higher one"
    )


def search_penalties(
    relative_alphas: np.ndarray, evaluate: Callable[[float], np.ndarray | None], smallest: Callable[[], float]
) -> Path:
    """Examine a default grid, from the highest penalty down.

    Whole decades are examined first; of the half decades between them, those that may hold the least loss
    of a unit, as the curvature of its losses suggests.

    Parameters
    ----------
    relative_alphas
        Default penalties, ascending.
    evaluate
        Function from a penalty to the losses of all units, shape (unit,); None if rounding prevents them.
    smallest
        Function that returns the smallest eigenvalue, as a multiple of the mean one, once the penalty at hand
        was evaluated.
    """
    losses: dict[int, np.ndarray] = {}
    complete = False
    for k in range(len(relative_alphas) - 1, -1, -STEPS_PER_DECADE):
        found = evaluate(float(relative_alphas[k]))
        if found is None:
            break
        losses[k] = found
        complete = bool(relative_alphas[k] < MATTERS * smallest())
        if complete:
            break
    decades = sorted(losses)
    for k in _promising(np.array([losses[k] for k in decades])):
        between = decades[k] + STEPS_PER_DECADE // 2
        if (found := evaluate(float(relative_alphas[between]))) is not None:
            losses[between] = found
    order = sorted(losses)
    return Path(relative_alphas[order], np.array([losses[k] for k in order]), complete)


def _promising(losses: np.ndarray) -> np.ndarray:
    """Return the decades, by the number of the lower one, between which a unit may have its least loss.

    Between two points of a smooth curve their mean is undercut by an eighth of the second difference; twice
    that much is allowed for.
    """
    if len(losses) < 2:
        return np.arange(0)
    bends = np.abs(np.diff(losses, 2, axis=0)) if len(losses) > 2 else np.zeros((1, losses.shape[1]))
    bends = np.concatenate([bends[:1], bends, bends[-1:]])[: len(losses)]
    middle = (losses[:-1] + losses[1:]) / 2 - (bends[:-1] + bends[1:]) / 8 * 2
    return np.flatnonzero((middle <= losses.min(axis=0)).any(axis=1))


def choose_penalties(losses: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return the index of the penalty of least loss for each unit; of the last one for constant units."""
    return np.where(variance > 0, losses.argmin(axis=0), len(losses) - 1)


def share_of_variance(squared_error: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Divide squared errors, shape (penalty, unit), by the variance of each unit; zero for constant units."""
    return squared_error / np.where(variance > 0, variance, np.inf)
