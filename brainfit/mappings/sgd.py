"""The map as the paper fits it: stochastic gradient descent, stopped early."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from brainfit.mappings.descent import Descent, Predict, descend
from brainfit.mappings.linear import SharedLinearMap
from brainfit.mappings.rows import Rows
from brainfit.seeds import generator


class SGD(SharedLinearMap):
    r"""One linear map for all time bins, by gradient descent on mini-batches of images.

    Minimises the squared error over training images and bins with Adam. A fifth of the training images,
    the first inner fold, is held out, and each unit keeps the weights of the epoch in which its error on
    them was least: that is all the regularisation there is.

    Parameters
    ----------
    learning_rate
        Of Adam, times 1 / sqrt(features), for features and responses of unit size.
    batch_images
        Images in a mini-batch, each with all of its bins.
    max_epochs, patience
        Stop after so many passes, or once no unit has become better in `patience` of them.
    seed
        Of the order of the images.

    Attributes
    ----------
    descent_
        All that the descent has to say.

    References
    ----------
    Nayebi et al. (2018), arXiv:1807.00053, section 2 and supplement 6.6, whose rates are not published.
    """

    def __init__(
        self,
        learning_rate: float = 0.003,
        batch_images: int = 32,
        max_epochs: int = 300,
        patience: int = 15,
        seed: int = 0,
    ) -> None:
        self.learning_rate = learning_rate
        self.batch_images = batch_images
        self.max_epochs = max_epochs
        self.patience = patience
        self.seed = seed

    @property
    def n_passes(self) -> int:
        """At most so many epochs."""
        return self.max_epochs

    def working_bytes(self, n_features: int, n_units: int, n_folds: int) -> float:
        """Weights, their gradient, Adam's two moments, the best so far, and a mini-batch or two."""
        return 4.0 * n_features * (6 * n_units + 50 * self.batch_images)

    def summary(self) -> dict[str, Any]:
        """Return what a reviewer would ask of the fit, as plain values."""
        return {
            "n_features": self.n_features,
            "learning_rate": self.learning_rate,
            "batch_images": self.batch_images,
            "epochs_median": float(torch.tensor(self.descent_.epochs).double().quantile(0.5)),
            "epochs_most": int(self.descent_.epochs.max()),
            "converged": self.descent_.converged,
        }

    def _solve(
        self, folds: Sequence[Sequence[Rows]], advance: Callable[[], None]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        some = folds[0][0]
        n_features, n_units = some.features.shape[1], some.targets.shape[1]
        start = {"coef": some.features.new_zeros(n_units, n_features)}
        parameters = self._descend(folds, start, lambda x, p: x @ p["coef"].T, n_features, advance)
        return parameters["coef"].T, parameters["intercept"]

    def _descend(
        self,
        folds: Sequence[Sequence[Rows]],
        start: dict[str, torch.Tensor],
        predict: Predict,
        n_weights: int,
        advance: Callable[[], None],
    ) -> dict[str, torch.Tensor]:
        """Descend for targets of unit size; return parameters for those that were given."""
        size = _size(folds)
        scaled = [[replace(rows, targets=rows.targets / size) for rows in fold] for fold in folds]
        self.descent_: Descent = descend(
            scaled,
            {**start, "intercept": torch.zeros_like(size)},
            predict,
            learning_rate=self.learning_rate / math.sqrt(n_weights),
            batch_images=self.batch_images,
            max_epochs=self.max_epochs,
            patience=self.patience,
            rng=generator(self.seed, "mini-batches"),
            advance=advance,
        )
        found = self.descent_.parameters
        shape = (-1, *[1] * (found["coef"].ndim - 1))
        return {**found, "coef": found["coef"] * size.view(shape), "intercept": found["intercept"] * size}


def _size(folds: Sequence[Sequence[Rows]]) -> torch.Tensor:
    """Root mean square of each unit's targets, 1 where they are zero; shape (unit,)."""
    batches = [rows for fold in folds for rows in fold]
    energy = sum(rows.targets.square().sum(0) for rows in batches)
    n = sum(float(rows.ones.square().sum()) for rows in batches)
    size = torch.as_tensor(energy / n).sqrt()
    return torch.where(size > 0, size, 1)
