"""Partial least squares: a map through the few directions in which features and responses covary most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from brainfit.mappings.base import SharedLinearMap
from brainfit.mappings.solvers.rows import Rows
from brainfit.support.arguments import whole_number

# Share of the squared size of the first covariance below which a covariance is rounding.
_NOTHING = 1e-10
_COLUMNS = ("ones", "targets")


class PLS(SharedLinearMap):
    r"""Partial least squares regression on all units together, shared over time bins.

    Gives the result of `sklearn.cross_decomposition.PLSRegression` with ``scale=False``. Component
    :math:`k` has weights :math:`w_k`, the first left singular vector of :math:`X_k^\top Y`, scores
    :math:`t_k = X_k w_k` and loadings :math:`p_k = X_k^\top t_k / t_k^\top t_k`; then
    :math:`X_{k+1} = X_k - t_k p_k^\top`. The features themselves are never deflated: two passes over
    the rows a component do the same.

    Parameters
    ----------
    n_components
        Largest number of components; fewer are found where features and responses covary in fewer directions.
    seed
        Unused: nothing is random.

    References
    ----------
    Wold et al. (2001), PLS-regression: a basic tool of chemometrics. Chemom. Intell. Lab. Syst. 58, 109-130.
    25 components: Yamins et al. (2014), PNAS 111, 8619-8624; Schrimpf et al. (2018), bioRxiv 407007.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> features, weights = rng.normal(size=(40, 5, 3)), rng.normal(size=(3, 2))
    >>> pls = PLS().fit(features, (features @ weights).swapaxes(1, 2))
    >>> bool(np.abs(pls.coef_ - weights.T).max() < 1e-3), pls.n_components_
    (True, 3)
    """

    def __init__(self, n_components: int = 25, seed: int = 0) -> None:
        self.n_components = n_components
        self.seed = seed

    @property
    def n_passes(self) -> int:
        """Number of passes over the rows, two for each component."""
        return 2 * whole_number("n_components", self.n_components, least=1)

    def working_bytes(self, n_rows: float, n_features: int, n_units: int, n_folds: int) -> float:
        """Estimate the bytes of weights, loadings and the covariance with the responses."""
        return 8.0 * n_features * (2 * self.n_components + 2 * n_units)

    def summary(self) -> dict[str, Any]:
        """Return the settings of the fit as plain values."""
        return {
            "n_features": self.n_features,
            "n_components": self.n_components_,
            "n_components_asked": self.n_components,
        }

    def _solve(
        self, folds: Sequence[Sequence[Rows]], on_progress: Callable[[], None]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        batches = [rows for fold in folds for rows in fold]
        sizes = [len(rows.ones) for rows in batches]
        like = batches[0].features
        ones, targets = (torch.cat([getattr(rows, name).double() for rows in batches]) for name in _COLUMNS)

        def times(w: torch.Tensor) -> torch.Tensor:  # X w
            return torch.cat([rows.features @ w.to(like) for rows in batches]).double()

        def transposed_times(t: torch.Tensor) -> torch.Tensor:  # X' t
            found = t.new_zeros(like.shape[1], *t.shape[1:])
            for rows, part in zip(batches, t.split(sizes), strict=True):
                found += rows.features.T @ part.to(like)
            return found

        n = ones @ ones
        mean_x, mean_y = transposed_times(ones) / n, ones @ targets / n
        targets = targets - torch.outer(ones, mean_y)
        covariance = transposed_times(targets)  # of centred targets: that of features falls out
        first = float(covariance.square().sum())
        weights, scores, loadings, readout = [], [], [], []
        for _ in range(min(self.n_components, len(mean_x))):
            if float(covariance.square().sum()) <= _NOTHING * first:
                break
            w = _first_left_singular_vector(covariance)
            t = times(w) - ones * (mean_x @ w)
            on_progress()
            for earlier, loading in zip(scores, loadings, strict=True):
                t = t - earlier * (loading @ w)
            for earlier in scores:  # what rounding left
                t = t - earlier * (earlier @ t) / (earlier @ earlier)
            size = t @ t
            p, q = (transposed_times(t) - mean_x * (ones @ t)) / size, t @ targets / size
            on_progress()
            covariance = covariance - torch.outer(p, q * size)
            for found, part in zip((weights, scores, loadings, readout), (w, t, p, q), strict=True):
                found.append(part)
        self.n_components_ = len(weights)
        if not weights:  # no response varies with any feature
            coef = torch.zeros_like(covariance)
        else:
            w, p, q = (torch.stack(found) for found in (weights, loadings, readout))
            coef = w.T @ torch.linalg.solve(p @ w.T, q)
        intercept = mean_y - mean_x @ coef
        return coef.to(like), intercept.to(like)


def _first_left_singular_vector(matrix: torch.Tensor) -> torch.Tensor:
    """Return the first left singular vector of a tall matrix, from the Gram matrix of its columns."""
    _, vectors = torch.linalg.eigh(matrix.T @ matrix)
    left = matrix @ vectors[:, -1]
    return left / left.norm()
