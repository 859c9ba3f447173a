"""The map fitted as in the paper: stochastic gradient descent, stopped early."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from brainfit.mappings.base import SharedLinearMap
from brainfit.mappings.solvers.descent import Descent, Predict, descend
from brainfit.mappings.solvers.rows import Rows
from brainfit.support.seeds import generator


class SGD(SharedLinearMap):
    r"""One linear map for all time bins, by gradient descent on mini-batches of images.

    Minimises the squared error over training images and bins with Adam. The first inner fold, a fifth of the
    training images, is held out, and each unit keeps the weights of the epoch in which its error on them was
    least. There is no other regularisation.

    Parameters
    ----------
    learning_rate
        Learning rate of Adam times sqrt(number of features), for features and responses of unit size.
    batch_images
        Number of images in a mini-batch, each with all of its bins.
    max_epochs, patience
        A unit stops once it has not improved in `patience` epochs; all stop after `max_epochs`.
    seed
        Seed of the order of the images.

    Attributes
    ----------
    descent_
        Result of the descent (`brainfit.mappings.solvers.descent.Descent`).

    References
    ----------
    Nayebi et al. (2018), arXiv:1807.00053, section 2 and supplement 6.6, whose rates are not published.
    """

    by_image = True

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
        """Largest number of epochs."""
        return self.max_epochs

    def working_bytes(self, n_rows: float, n_features: int, n_units: int, n_folds: int) -> float:
        """Estimate the bytes of weights, gradient, Adam's moments, the best weights and two mini-batches."""
        return 4.0 * n_features * (6 * n_units + 50 * self.batch_images)

    def summary(self) -> dict[str, Any]:
        """Return convergence and settings of the fit as plain values."""
        return {
            "n_features": self.n_features,
            "learning_rate": self.learning_rate,
            "batch_images": self.batch_images,
            "epochs_median": float(torch.tensor(self.descent_.epochs).double().quantile(0.5)),
            "epochs_most": int(self.descent_.epochs.max()),
            "converged": self.descent_.converged,
        }

    def _solve(
        self, folds: Sequence[Sequence[Rows]], on_progress: Callable[[], None]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        some = folds[0][0]
        n_features, n_units = some.features.shape[1], some.targets.shape[1]
        start = {"coef": some.features.new_zeros(n_units, n_features)}
        view = standardise(folds)
        found = self._descend(folds, view, start, lambda x, p: x @ p["coef"].T, n_features, on_progress)
        return view.restore(found["coef"].T, found["intercept"])

    def _descend(
        self,
        folds: Sequence[Sequence[Rows]],
        view: Standard,
        start: dict[str, torch.Tensor],
        predict: Predict,
        n_weights: int,
        on_progress: Callable[[], None],
    ) -> dict[str, torch.Tensor]:
        """Descend on rows that `view` standardises; return the parameters for these."""
        self.descent_: Descent = descend(
            folds,
            {**start, "intercept": torch.zeros_like(view.mean_y)},
            predict,
            view,
            learning_rate=self.learning_rate / math.sqrt(n_weights),
            batch_images=self.batch_images,
            max_epochs=self.max_epochs,
            patience=self.patience,
            rng=generator(self.seed, "mini-batches"),
            on_progress=on_progress,
        )
        return self.descent_.parameters


@dataclass(frozen=True)
class Standard:
    """Standardisation of rows: zero mean, features of unit size together, each unit's targets alone."""

    mean_x: torch.Tensor
    mean_y: torch.Tensor
    size_x: torch.Tensor
    size_y: torch.Tensor

    def __call__(self, rows: Rows) -> Rows:
        """Return rows centred and scaled."""
        features = (rows.features - torch.outer(rows.ones, self.mean_x)) / self.size_x
        targets = (rows.targets - torch.outer(rows.ones, self.mean_y)) / self.size_y
        return replace(rows, features=features, targets=targets)

    def restore(self, coef: torch.Tensor, intercept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Turn a map of standardised rows, coef (feature, unit), into one of the rows as they are."""
        coef = coef * (self.size_y / self.size_x)
        return coef, self.mean_y + intercept * self.size_y - self.mean_x @ coef


def standardise(folds: Sequence[Sequence[Rows]]) -> Standard:
    """Return the standardisation of all of these rows."""
    batches = [rows for fold in folds for rows in fold]

    def total(of: Callable[[Rows], torch.Tensor]) -> torch.Tensor:
        return torch.stack([of(rows) for rows in batches]).sum(0)

    def size(energy: torch.Tensor) -> torch.Tensor:
        return torch.where(energy > 0, energy.sqrt(), 1)

    n = total(lambda rows: rows.ones.square().sum())
    mean_x = total(lambda rows: rows.ones @ rows.features) / n
    mean_y = total(lambda rows: rows.ones @ rows.targets) / n
    energy_x = total(lambda rows: (rows.features - torch.outer(rows.ones, mean_x)).square().mean(1).sum()) / n
    energy_y = total(lambda rows: (rows.targets - torch.outer(rows.ones, mean_y)).square().sum(0)) / n
    return Standard(mean_x, mean_y, size(energy_x), size(energy_y))
