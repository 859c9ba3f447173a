"""Define what a regression from features to responses must offer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    import numpy as np

    from brainfit.contracts.trajectory import Trajectory


class ResponseMapping(Protocol):
    """A map from a layer's features to responses, fitted to batches that stream by."""

    def partial_fit(self, trajectory: Trajectory, responses: np.ndarray, folds: np.ndarray) -> Self:
        """Take in a batch of training images.

        Parameters
        ----------
        trajectory
            What the layer did for these images, one step a time bin.
        responses
            Trial-averaged responses, shape (image, unit, time_bin), finite.
        folds
            The inner fold in which each image is held out, shape (image,).
        """
        ...

    def solve(self, on_progress: Callable[[], None] = ...) -> Self:
        """Fit the map to all that was taken in; calls `on_progress` at most `n_passes` times."""
        ...

    def predict(self, trajectory: Trajectory, n_images: int | None = None) -> np.ndarray:
        """Predict responses, shape (image, unit, time_bin)."""
        ...

    @property
    def n_passes(self) -> int:
        """How much work `solve` is, at most."""
        ...

    @property
    def n_features(self) -> int:
        """Features of the layer, known from the first batch on."""
        ...

    @property
    def n_rows(self) -> int:
        """Rows of features that were kept so far."""
        ...

    @property
    def row_bytes(self) -> int:
        """Bytes that they occupy, with all that belongs to them."""
        ...

    def working_bytes(self, n_rows: float, n_features: int, n_units: int, n_folds: int) -> float:
        """Bytes that `solve` takes beside that, for so many rows."""
        ...

    @property
    def alpha_(self) -> np.ndarray:
        """The penalty of each unit, shape (unit,); NaN in a map without one."""
        ...

    def summary(self) -> dict[str, Any]:
        """Return what a reviewer would ask of the fit, as plain values."""
        ...
