"""A separate map for each time bin: the control that shows the cost of sharing one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np

from brainfit.contracts.response_mapping import ResponseMapping
from brainfit.contracts.trajectory import Trajectory
from brainfit.mappings.base import as_trajectory


class PerBin:
    """Maps, one for each time bin, each fitted to the responses of its own bin.

    A model that needs it has the information about a bin, but not in a form that one map reads at all times.
    It also has as many times the weights, so that with few images it may score less for that reason alone.

    Parameters
    ----------
    make
        Function that returns a new map; called once for each bin.

    Attributes
    ----------
    maps
        Map of each bin, from the first batch on.

    References
    ----------
    Nayebi et al. (2018), arXiv:1807.00053, section 2, fit one map for all bins; this is its control.
    """

    def __init__(self, make: Callable[[], ResponseMapping]) -> None:
        self.make = make
        self.maps: list[ResponseMapping] = []

    def partial_fit(self, trajectory: Trajectory, responses: np.ndarray, folds: np.ndarray) -> Self:
        """Add a batch of training images; see `ResponseMapping.partial_fit`."""
        self.maps = self.maps or [self.make() for _ in trajectory.index]
        for bin_, mapping in enumerate(self.maps):
            mapping.partial_fit(_one_bin(trajectory, bin_), responses[..., bin_ : bin_ + 1], folds)
        return self

    def solve(self, on_progress: Callable[[], None] = lambda: None) -> Self:
        """Fit every map, calling `on_progress` after each."""
        for mapping in self.maps:
            mapping.solve()
            on_progress()
        return self

    def predict(self, features: Trajectory, n_images: int | None = None) -> np.ndarray:
        """Predict responses, shape (image, unit, time_bin), each bin by its own map."""
        trajectory = as_trajectory(features)
        n_images = n_images or max(len(block) for block in trajectory.blocks)
        return np.concatenate(
            [m.predict(_one_bin(trajectory, k), n_images) for k, m in enumerate(self.maps)], axis=2
        )

    def predict_across(self, trajectory: Trajectory, n_images: int | None = None) -> np.ndarray:
        """Predict every bin by every map, shape (image, unit, trained bin, tested bin)."""
        return np.stack([mapping.predict(trajectory, n_images) for mapping in self.maps], axis=2)

    @property
    def n_passes(self) -> int:
        """Number of maps."""
        return len(self.maps)

    @property
    def n_features(self) -> int:
        """Number of features, known from the first batch on."""
        return self.maps[0].n_features

    @property
    def n_rows(self) -> int:
        """Number of rows stored so far."""
        return sum(mapping.n_rows for mapping in self.maps)

    @property
    def row_bytes(self) -> int:
        """Bytes of the rows stored so far."""
        return sum(mapping.row_bytes for mapping in self.maps)

    def working_bytes(self, n_rows: float, n_features: int, n_units: int, n_folds: int) -> float:
        """Estimate the bytes that solving takes beside the rows: one map is solved after the other."""
        return self.maps[0].working_bytes(n_rows / len(self.maps), n_features, n_units, n_folds)

    @property
    def alpha_(self) -> np.ndarray:
        """Median over bins of each unit's penalty, shape (unit,); NaN in a map without one."""
        return np.median([mapping.alpha_ for mapping in self.maps], axis=0)

    def summary(self) -> dict[str, Any]:
        """Return convergence and settings of each map as plain values."""
        maps = [mapping.summary() for mapping in self.maps]
        return {"converged": all(one.get("converged", True) for one in maps), "per_bin": maps}


def _one_bin(trajectory: Trajectory, bin_: int) -> Trajectory:
    return Trajectory((trajectory.blocks[trajectory.index[bin_]],), (0,))
