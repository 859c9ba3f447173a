"""The streaming core of all maps: batches of images become few rows, and one map serves all time bins.

`brainfit.mappings.regressor` wraps it as a scikit-learn estimator.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import torch

from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ContractError
from brainfit.mappings.solvers.rows import TOLERANCE, Rows, chunk_length, compress, join_small_batches


class SharedLinearMap(ABC):
    r"""One linear map for all time bins: :math:`\hat r_u(i, t) = w_u \cdot x(i, t) + b_u`.

    Batches of images are compressed into rows as they arrive (`brainfit.mappings.solvers.rows`), which leaves
    every squared error of a linear map unchanged. Subclasses differ in how they find the map in these rows.

    Attributes
    ----------
    coef_
        Shape (unit, feature).
    intercept_
        Shape (unit,).
    alpha_
        The penalty of each unit, in sklearn's units, shape (unit,); NaN in a map without one.
    feature_shape_
        Shape of the layer's features at one step, such as (channel, height, width).
    """

    by_image: ClassVar[bool] = False
    """True if the solver must know which image a row belongs to."""

    @property
    @abstractmethod
    def n_passes(self) -> int:
        """Largest number of times that `solve` reports progress."""

    @abstractmethod
    def _solve(
        self, folds: Sequence[Sequence[Rows]], on_progress: Callable[[], None]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Fit the rows of each inner fold; return coef (feature, unit) and intercept (unit,)."""

    @abstractmethod
    def working_bytes(self, n_rows: float, n_features: int, n_units: int, n_folds: int) -> float:
        """Estimate the bytes that solving takes beside the rows."""

    @abstractmethod
    def summary(self) -> dict[str, Any]:
        """Return convergence and settings of the fit as plain values."""

    @property
    def solves_units_apart(self) -> bool:
        """True if the map of a unit does not depend on which units are fitted beside it."""
        return False

    def partial_fit(self, trajectory: Trajectory, responses: np.ndarray, folds: np.ndarray) -> Self:
        """Add a batch of training images, of which only compressed rows are kept.

        Parameters
        ----------
        trajectory
            Features of a layer for these images, one step for each time bin.
        responses
            Trial-averaged responses, shape (image, unit, time_bin), finite.
        folds
            Inner fold in which each image is held out, shape (image,).
        """
        if not np.isfinite(responses).all():
            raise ContractError("responses to fit must be finite; drop units or images that have NaN")
        if not hasattr(self, "rows_"):
            self.rows_: dict[int, list[Rows]] = {}
            self.feature_shape_ = tuple(trajectory.blocks[0].shape[1:])
            self._set_origin(trajectory, responses)
        groups = np.arange(len(folds)) if self.by_image else folds
        targets = responses - self.target_shift_[:, None]
        rows = compress(trajectory, targets, groups, self.shift_, self.scale_, self._row_tolerance)
        for fold in np.unique(folds):
            inside = torch.from_numpy(folds == fold).to(rows.image.device)[rows.image]
            batches = [*self.rows_.get(int(fold), []), *self._stored(rows[inside])]
            self.rows_[int(fold)] = join_small_batches(batches, chunk_length(self.n_features))
        return self

    @property
    def _row_tolerance(self) -> float:
        """Root of the share of an image's variance that its rows may lack."""
        return TOLERANCE

    def _stored(self, rows: Rows) -> list[Rows]:
        """Return the rows in the form in which they are kept."""
        return [rows]

    def _set_origin(self, trajectory: Trajectory, responses: np.ndarray) -> None:
        """Take the first image as origin and unit of measurement, whatever the size of the batch.

        The solution does not depend on them, but its rounding does: the common mean of features
        and responses is far larger than what tells images apart, and float32 squares of very
        large or small features overflow or vanish.
        """
        first = torch.stack([block[0].flatten() for block in trajectory.blocks])
        self.shift_ = first.mean(0)
        spread, size = (float(x.double().square().mean().sqrt()) for x in (first - self.shift_, first))
        self.scale_ = max(spread, 1e-3 * size) or 1.0
        self.target_shift_ = responses[0].mean(-1, dtype=float)

    def solve(self, on_progress: Callable[[], None] = lambda: None) -> Self:
        """Fit the map to all batches, and release their rows.

        Parameters
        ----------
        on_progress
            Called after every pass over the rows, at most `n_passes` times.

        Raises
        ------
        ContractError
            If images are all in one inner fold, or the features span too many orders of magnitude.
        """
        if len(self.rows_) < 2:
            raise ContractError(
                f"fitting needs at least 2 inner folds to choose settings on, got {len(self.rows_)}; "
                "give more than one image or fold"
            )
        for fold, batches in self.rows_.items():
            self.rows_[fold] = join_small_batches(batches, least=1)
        self._coef, self._intercept = self._solve(
            [self.rows_[fold] for fold in sorted(self.rows_)], on_progress
        )
        if not torch.isfinite(self._coef).all():
            raise ContractError(
                f"the map is not finite: features of size {self.scale_:.3g} span too many orders of "
                "magnitude for float32; normalise the layer's features"
            )
        del self.rows_
        return self

    def solve_each(self, n_sets: int, on_progress: Callable[[], None] = lambda: None) -> Self:
        """Fit a map to each of several sets of responses as if it were alone, on rows that are stored once.

        Parameters
        ----------
        n_sets
            Number of sets, with the same number of units each, that follow each other along the unit
            dimension of the responses; `predict` returns them in that order.
        on_progress
            Called after every set, or as `solve` does where all sets are solved together.
        """
        if self.solves_units_apart:
            return self.solve(on_progress)
        n_units, found = len(self.target_shift_) // n_sets, []
        for fold, batches in self.rows_.items():
            self.rows_[fold] = join_small_batches(batches, least=1)
        for k in range(n_sets):
            units, one = slice(k * n_units, (k + 1) * n_units), copy(self)
            one.rows_ = {
                fold: [replace(rows, targets=rows.targets[:, units]) for rows in batches]
                for fold, batches in self.rows_.items()
            }
            one.solve()
            found.append((one._coef, one._intercept))
            on_progress()
        del self.rows_
        self._coef, self._intercept = (torch.cat(parts, dim=-1) for parts in zip(*found, strict=True))
        return self

    def fit(self, features: Any, responses: np.ndarray, n_folds: int = 5) -> Self:
        """Fit arrays that are in memory, of which `predict` takes the like.

        Parameters
        ----------
        features
            Shape (image, time_bin, feature).
        responses
            Shape (image, unit, time_bin).
        n_folds
            Number of inner folds; images are dealt to them in turn.
        """
        return self.partial_fit(
            as_trajectory(features), responses, np.arange(len(responses)) % n_folds
        ).solve()

    def predict(self, features: Trajectory | Any, n_images: int | None = None) -> np.ndarray:
        """Predict responses, shape (image, unit, time_bin); each distinct block is mapped once.

        Parameters
        ----------
        features
            Features of a layer for some images, or an array, shape (image, time_bin, feature).
        n_images
            Number of images; needed only where no block of a trajectory depends on the image.
        """
        trajectory = as_trajectory(features)
        blocks = trajectory.stacked(n_images)
        standard = (blocks - self.shift_.to(blocks)) / self.scale_
        predicted = standard @ self._coef.to(blocks) + self._intercept.to(blocks)
        predicted = predicted[:, list(trajectory.index)].transpose(1, 2).cpu().numpy()
        return predicted + self.target_shift_[:, None]

    @property
    def n_features(self) -> int:
        """Number of features, known from the first batch on."""
        return len(self.shift_)

    @property
    def n_rows(self) -> int:
        """Number of rows stored so far."""
        return sum(len(rows.ones) for batches in self.rows_.values() for rows in batches)

    @property
    def row_bytes(self) -> int:
        """Bytes of the rows stored so far."""
        return sum(rows.nbytes for batches in self.rows_.values() for rows in batches)

    @property
    def coef_(self) -> np.ndarray:
        """Weights, shape (unit, feature)."""
        return (self._coef.T / self.scale_).cpu().numpy()

    @property
    def intercept_(self) -> np.ndarray:
        """Intercepts, shape (unit,)."""
        at_origin = self._intercept.cpu().numpy() + self.target_shift_
        return at_origin - self.coef_ @ self.shift_.cpu().numpy()

    @property
    def alpha_(self) -> np.ndarray:
        """Penalties, shape (unit,)."""
        return np.full(len(self._intercept), np.nan)


def as_trajectory(features: Trajectory | Any) -> Trajectory:
    """Return a trajectory as it is, and an array (image, time_bin, feature) as one of a step for each bin."""
    if isinstance(features, Trajectory):
        return features
    return Trajectory.from_steps(list(torch.as_tensor(features).unbind(1)))
