"""A map whose weights are a receptive field times a mixture of channels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from brainfit.errors import ContractError
from brainfit.mappings.sgd import SGD, standardise
from brainfit.mappings.solvers.rows import Rows


class Factorized(SGD):
    r"""A linear map with :math:`w_u[c, y, x] = a_u[c]\, s_u[y, x]`, shared over time bins.

    Each unit has one receptive field and one mixture of channels, so that a layer of
    :math:`C \times H \times W` features takes :math:`C + HW` weights a unit rather than their product.
    It is fitted as `SGD` is, from a uniform field and zero weights of channels.

    Parameters
    ----------
    learning_rate, batch_images, max_epochs, patience, seed
        Settings of `SGD`; the rate is divided by sqrt(C).

    References
    ----------
    Klindt et al. (2017), Neural system identification for large populations separating "what" and "where".
    NeurIPS. arXiv:1711.02653, equation 2. Theirs is sparse by an L1 penalty; here early stopping regularises.
    """

    def working_bytes(self, n_rows: float, n_features: int, n_units: int, n_folds: int) -> float:
        """Estimate the bytes of a mini-batch or two, and of their features summed over places."""
        return (
            4.0 * self.batch_images * 25 * (2 * n_features + 2 * n_units * math.prod(self.feature_shape_[1:]))
        )

    def summary(self) -> dict[str, Any]:
        """Return convergence and settings of the fit as plain values."""
        return {**super().summary(), "feature_shape": list(self.feature_shape_)}

    def _solve(
        self, folds: Sequence[Sequence[Rows]], on_progress: Callable[[], None]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if len(self.feature_shape_) != 3:
            raise ContractError(
                f"a factorized map needs features (channel, height, width), got {self.feature_shape_}; "
                "choose a convolutional layer, or another mapping"
            )
        channels, places = self.feature_shape_[0], math.prod(self.feature_shape_[1:])
        some = folds[0][0]
        n_units = some.targets.shape[1]
        start = {
            "coef": some.features.new_zeros(n_units, channels),
            "field": some.features.new_full((n_units, places), 1 / math.sqrt(places)),
        }

        def predict(x: torch.Tensor, p: dict[str, torch.Tensor]) -> torch.Tensor:
            seen = x.view(len(x), channels, places) @ p["field"].T  # (row, channel, unit)
            return torch.einsum("rcu,uc->ru", seen, p["coef"])

        view = standardise(folds)
        found = self._descend(folds, view, start, predict, channels, on_progress)
        coef = found["coef"][:, :, None] * found["field"][:, None, :]
        return view.restore(coef.flatten(1).T, found["intercept"])
