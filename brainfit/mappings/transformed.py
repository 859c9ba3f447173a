"""Any map, of features that something was done to first."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from brainfit.contracts.response_mapping import ResponseMapping
from brainfit.contracts.trajectory import Trajectory


class Transformed(ABC):
    """A map of what `transform` makes of a layer's trajectory, the same for training and held-out images.

    It satisfies `brainfit.contracts.response_mapping.ResponseMapping`; what it does not say itself is the
    map's own.
    """

    def __init__(self, mapping: ResponseMapping) -> None:
        self.mapping = mapping

    @abstractmethod
    def transform(self, trajectory: Trajectory) -> Trajectory:
        """Return the trajectory that the map sees."""

    def partial_fit(self, trajectory: Trajectory, responses: np.ndarray, folds: np.ndarray) -> Self:
        """Take in a batch of training images; see `brainfit.contracts.response_mapping.ResponseMapping`."""
        self.mapping.partial_fit(self.transform(trajectory), responses, folds)
        return self

    def solve(self, on_progress: Callable[[], None] = lambda: None) -> Self:
        """Fit the map."""
        self.mapping.solve(on_progress)
        return self

    def predict(self, trajectory: Trajectory, n_images: int | None = None) -> np.ndarray:
        """Predict responses, shape (image, unit, time_bin)."""
        return self.mapping.predict(self.transform(trajectory), n_images)

    @property
    def n_passes(self) -> int:
        """How much work `solve` is, at most."""
        return self.mapping.n_passes

    @property
    def n_features(self) -> int:
        """Features that the map sees."""
        return self.mapping.n_features

    @property
    def n_rows(self) -> int:
        """Rows taken in so far."""
        return self.mapping.n_rows

    @property
    def row_bytes(self) -> int:
        """Bytes that what was taken in so far occupies."""
        return self.mapping.row_bytes

    def working_bytes(self, n_rows: float, n_features: int, n_units: int, n_folds: int) -> float:
        """Bytes that `solve` takes beside that."""
        return self.mapping.working_bytes(n_rows, n_features, n_units, n_folds)

    @property
    def alpha_(self) -> np.ndarray:
        """The penalty of each unit, shape (unit,); NaN in a map without one."""
        return self.mapping.alpha_

    def summary(self) -> dict[str, Any]:
        """Return what a reviewer would ask of the fit, as plain values."""
        return self.mapping.summary()
