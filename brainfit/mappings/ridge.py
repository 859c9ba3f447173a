"""Ridge regression shared over all time bins, a penalty for each unit chosen by grouped folds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator

from brainfit.errors import ContractError
from brainfit.mappings.krylov import RidgeSolution, solve_ridge
from brainfit.mappings.rows import Rows, compress
from brainfit.seeds import generator
from brainfit.trajectory import Trajectory

RELATIVE_ALPHAS = np.logspace(-3, 5, 17)


class Ridge(BaseEstimator):
    r"""One linear map for all time bins: :math:`\hat r_u(i, t) = w_u \cdot x(i, t) + b_u`.

    Minimises the squared error over training images and bins plus :math:`\alpha_u \|w_u\|^2`,
    exactly as `sklearn.linear_model.Ridge` does on the (image x bin) rows, but without ever
    holding those rows: batches of images are compressed as they arrive (`brainfit.mappings.rows`),
    and solved by block Krylov subspaces (`brainfit.mappings.krylov`).

    Parameters
    ----------
    relative_alphas
        Penalties to choose from, as multiples of the mean eigenvalue of the features' Gram matrix.
    tolerance
        Solve until the held-out loss, as a share of the responses' variance, stands still to this.
    max_blocks
        Most Krylov blocks, each of as many directions as there are units.
    seed
        For the random directions that fill up a narrow block.

    Attributes
    ----------
    coef_
        Shape (unit, feature).
    intercept_
        Shape (unit,).
    alpha_
        The penalty of each unit, in sklearn's units, shape (unit,).
    solution_
        All that the solver has to say.

    References
    ----------
    Nayebi et al. (2018), arXiv:1807.00053, section 2: one linear map shared over time bins.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> features, weights = rng.normal(size=(40, 5, 3)), rng.normal(size=(3, 2))
    >>> ridge = Ridge().fit(features, (features @ weights).swapaxes(1, 2))
    >>> bool(np.abs(ridge.coef_ - weights.T).max() < 1e-2)
    True
    """

    def __init__(
        self,
        relative_alphas: np.ndarray = RELATIVE_ALPHAS,
        tolerance: float = 1e-4,
        max_blocks: int = 16,
        seed: int = 0,
    ) -> None:
        self.relative_alphas = relative_alphas
        self.tolerance = tolerance
        self.max_blocks = max_blocks
        self.seed = seed

    def partial_fit(self, trajectory: Trajectory, responses: np.ndarray, folds: np.ndarray) -> Ridge:
        """Take in a batch of training images; nothing of it is kept but its compressed rows.

        Parameters
        ----------
        trajectory
            What the layer did for these images.
        responses
            Trial-averaged responses, shape (image, unit, step), finite.
        folds
            The inner fold in which each image is held out, shape (image,).
        """
        if not np.isfinite(responses).all():
            raise ContractError("responses to fit must be finite; drop units or images that have NaN")
        if not hasattr(self, "rows_"):
            self.rows_: dict[int, list[Rows]] = {}
            self._set_origin(trajectory, responses)
        rows = compress(trajectory, responses - self.target_shift_[:, None], self.shift_, self.scale_)
        for fold in np.unique(folds):
            inside = torch.from_numpy(folds == fold).to(rows.image.device)[rows.image]
            part = Rows(rows.features[inside], rows.ones[inside], rows.targets[inside], rows.image[inside])
            self.rows_.setdefault(int(fold), []).append(part)
        return self

    def _set_origin(self, trajectory: Trajectory, responses: np.ndarray) -> None:
        """Take the first image as origin and unit of measurement, whatever the size of its batch.

        The solution does not depend on them, but its rounding does: the common mean of features
        and responses is far larger than what tells images apart, and float32 squares of very
        large or small features overflow or vanish.
        """
        first = trajectory.stacked()[0]
        self.shift_ = first.mean(0)
        spread, size = (float(x.double().square().mean().sqrt()) for x in (first - self.shift_, first))
        self.scale_ = max(spread, 1e-3 * size) or 1.0
        self.target_shift_ = responses[0].mean(-1, dtype=float)

    def solve(self, advance: Callable[[], None] = lambda: None) -> Ridge:
        """Fit the map to all that was taken in, and let go of it.

        Parameters
        ----------
        advance
            Called after every pass over the rows, at most `max_blocks` times.
        """
        if len(self.rows_) < 2:
            raise ContractError(f"choosing a penalty takes at least 2 inner folds, got {len(self.rows_)}")
        self.solution_: RidgeSolution = solve_ridge(
            [self.rows_[fold] for fold in sorted(self.rows_)],
            np.asarray(self.relative_alphas, float),
            tolerance=self.tolerance,
            max_blocks=self.max_blocks,
            rng=generator(self.seed, "krylov padding"),
            advance=advance,
        )
        if not torch.isfinite(self.solution_.coef).all():
            raise ContractError(
                f"the ridge map is not finite: features of size {self.scale_:.3g} span too many orders of "
                "magnitude for float32; normalise the layer's features"
            )
        del self.rows_
        return self

    def fit(self, features: Any, responses: np.ndarray, n_folds: int = 5) -> Ridge:
        """Fit arrays that are all there at once.

        Parameters
        ----------
        features
            Shape (image, time_bin, feature).
        responses
            Shape (image, unit, time_bin).
        n_folds
            Inner folds, dealt to the images in turn.
        """
        steps = torch.as_tensor(features).unbind(1)
        trajectory = Trajectory.from_steps(list(steps))
        return self.partial_fit(trajectory, responses, np.arange(len(responses)) % n_folds).solve()

    def predict(self, trajectory: Trajectory, n_images: int | None = None) -> np.ndarray:
        """Predict responses, shape (image, unit, step); each distinct block is mapped once.

        `n_images` need be given only where no block may depend on the image.
        """
        blocks = trajectory.stacked(n_images)
        features = (blocks - self.shift_.to(blocks)) / self.scale_
        predicted = features @ self.solution_.coef.to(blocks) + self.solution_.intercept.to(blocks)
        predicted = predicted[:, list(trajectory.index)].transpose(1, 2).cpu().numpy()
        return predicted + self.target_shift_[:, None]

    def summary(self) -> dict[str, Any]:
        """Return what a reviewer would ask of the fit, as plain values."""
        solution, grid = self.solution_, np.asarray(self.relative_alphas)
        chosen = solution.validation_loss.argmin(axis=0)
        return {
            "n_features": len(self.shift_),
            "n_directions": solution.n_directions,
            "converged": solution.converged,
            "relative_alphas": [float(f"{grid.min():.3g}"), float(f"{grid.max():.3g}"), len(grid)],
            "units_at_lowest_alpha": int((chosen == 0).sum()),
            "units_at_highest_alpha": int((chosen == len(grid) - 1).sum()),
        }

    @property
    def row_bytes(self) -> int:
        """Bytes that the rows taken in so far occupy."""
        return sum(rows.nbytes for batches in self.rows_.values() for rows in batches)

    @property
    def coef_(self) -> np.ndarray:
        """Weights, shape (unit, feature)."""
        return (self.solution_.coef.T / self.scale_).cpu().numpy()

    @property
    def intercept_(self) -> np.ndarray:
        """Intercepts, shape (unit,)."""
        at_origin = self.solution_.intercept.cpu().numpy() + self.target_shift_
        return at_origin - self.coef_ @ self.shift_.cpu().numpy()

    @property
    def alpha_(self) -> np.ndarray:
        """Penalties, shape (unit,)."""
        return self.solution_.alpha * self.scale_**2
