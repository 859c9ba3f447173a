"""Define what a score needs of a regression from features to responses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    import numpy as np

    from brainfit.contracts.trajectory import Trajectory


class ResponseMapping(Protocol):
    """A map from a layer's features to responses, fitted to batches that stream by.

    A score calls `partial_fit` for each batch of training images, `solve` once, and `predict` for each batch
    of held-out images. `n_rows`, `row_bytes` and `working_bytes` let it plan memory before the work starts.
    """

    def partial_fit(self, trajectory: Trajectory, responses: np.ndarray, folds: np.ndarray) -> Self:
        """Add a batch of training images.

        Parameters
        ----------
        trajectory
            Features of the layer for these images, one step for each time bin.
        responses
            Trial-averaged responses, shape (image, unit, time_bin), finite.
        folds
            Inner fold in which each image is held out, shape (image,).
        """
        ...

    def solve(self, on_progress: Callable[[], None] = ...) -> Self:
        """Fit the map to all batches, calling `on_progress` at most `n_passes` times."""
        ...

    def predict(self, features: Trajectory, n_images: int | None = None) -> np.ndarray:
        """Predict responses, shape (image, unit, time_bin).

        Parameters
        ----------
        features
            Features of the layer for these images, one step for each time bin.
        n_images
            Number of images; needed only where no block of the trajectory depends on the image.
        """
        ...

    @property
    def n_passes(self) -> int:
        """Largest number of times that `solve` reports progress."""
        ...

    @property
    def n_features(self) -> int:
        """Number of features, known from the first batch on."""
        ...

    @property
    def n_rows(self) -> int:
        """Number of rows stored so far."""
        ...

    @property
    def row_bytes(self) -> int:
        """Bytes of the rows stored so far, with all that belongs to them."""
        ...

    def working_bytes(self, n_rows: float, n_features: int, n_units: int, n_folds: int) -> float:
        """Estimate the bytes that `solve` takes beside that many rows."""
        ...

    @property
    def alpha_(self) -> np.ndarray:
        """Penalty of each unit, shape (unit,); NaN in a map without one."""
        ...

    def summary(self) -> dict[str, Any]:
        """Return convergence and settings of the fit as plain values."""
        ...
