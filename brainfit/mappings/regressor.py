"""The maps of this package as a scikit-learn estimator, for features and responses that are arrays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ContractError
from brainfit.mappings import make_mapping
from brainfit.support.arguments import whole_number

_FORMAT = 1
_FITTED = ("coef_", "intercept_", "alpha_")
_DTYPES: Any = (np.float64, np.float32)


class ResponseRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):
    r"""One linear map from features to the responses of each unit, shared over time bins.

    :math:`\hat r_u(i, t) = w_u \cdot x(i, t) + b_u`, fitted as `brainfit.score` fits it. Penalties and
    stopping are chosen on inner folds of images: all rows of an image are in the same fold.

    Parameters
    ----------
    mapping
        One of `brainfit.contracts.vocabulary.MAPPINGS`.
    options
        Keyword arguments of the mapping, such as ``{"n_components": 10}``; None for its defaults.
    n_folds
        Number of inner folds; no more than there are images are used.
    feature_shape
        Shape of the features of one image at one time, such as (channel, height, width), for mappings that
        use the places of features; None where features are flat.
    random_state
        Seed, generator or None, as in scikit-learn.

    Attributes
    ----------
    coef_
        Weights, shape (unit, feature), or (feature,) if `y` has one dimension.
    intercept_
        Intercepts, shape (unit,), or a number if `y` has one dimension.
    alpha_
        Penalty of each unit in units of `sklearn.linear_model.Ridge`, shape (unit,); NaN without one.
    n_features_in_
        Number of features.
    summary_
        Convergence and settings of the fit, as plain values.

    References
    ----------
    Nayebi et al. (2018), arXiv:1807.00053, section 2: one linear map shared over time bins.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X, weights = rng.normal(size=(40, 5, 3)), rng.normal(size=(3, 2))  # (image, time_bin, feature)
    >>> y = (X @ weights).swapaxes(1, 2)  # (image, unit, time_bin)
    >>> regressor = ResponseRegressor().fit(X[:30], y[:30])
    >>> regressor.predict(X[30:]).shape
    (10, 2, 5)
    >>> round(regressor.score(X[30:], y[30:]), 3)
    1.0
    """

    def __init__(
        self,
        mapping: str = "ridge",
        *,
        options: dict[str, Any] | None = None,
        n_folds: int = 5,
        feature_shape: tuple[int, ...] | None = None,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.mapping = mapping
        self.options = options
        self.n_folds = n_folds
        self.feature_shape = feature_shape
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Fit the map.

        Parameters
        ----------
        X
            Features, shape (sample, feature) or (image, time_bin, feature).
        y
            Finite responses: shape (sample,) or (sample, unit) for the former, (image, unit, time_bin) for
            the latter.
        groups
            Image of each sample, shape (sample,): rows of the same image share an inner fold. By default
            every sample is an image of its own.

        Raises
        ------
        ContractError, ValueError
            If shapes do not agree, values are not finite, or there are fewer than two images.
        """
        if _n_dimensions(X) == 3:
            features = self._three_dimensional(X, reset=True)
            responses = check_array(y, allow_nd=True, ensure_2d=False, dtype=_DTYPES)
            if responses.ndim != 3 or responses.shape[2] != features.shape[1]:
                raise ContractError(
                    "y must have shape (image, unit, time_bin) where X has (image, time_bin, feature), got "
                    f"{responses.shape} and {features.shape}"
                )
            check_consistent_length(features, responses)
        else:
            checked: Any = validate_data(
                self, X, y, multi_output=True, y_numeric=True, dtype=_DTYPES, ensure_min_samples=2
            )
            features, responses = (
                checked[0][:, None],
                checked[1].astype(float).reshape(len(checked[1]), -1, 1),
            )
        shape = self.feature_shape or (self.n_features_in_,)
        steps = torch.from_numpy(np.array(features)).unflatten(2, shape).unbind(1)
        seed = self.random_state
        if not isinstance(seed, int):
            seed = int(check_random_state(seed).randint(2**31 - 1))
        core = make_mapping(self.mapping, seed, **(self.options or {}))
        core.partial_fit(Trajectory.from_steps(list(steps)), responses, self._folds(groups, len(features)))
        core.solve()
        flat = _n_dimensions(y) == 1
        self.coef_ = core.coef_[0] if flat else core.coef_
        self.intercept_ = core.intercept_[0] if flat else core.intercept_
        self.alpha_, self.summary_ = core.alpha_, core.summary()
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predict responses, in the shape that `y` would have."""
        check_is_fitted(self)
        if _n_dimensions(X) == 3:
            features = self._three_dimensional(X, reset=False)
            return (features @ np.atleast_2d(self.coef_).T + self.intercept_).swapaxes(1, 2)
        features = validate_data(self, X, reset=False, dtype=_DTYPES)
        return features @ self.coef_.T + self.intercept_

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the coefficient of determination over all samples and time bins, averaged over units."""
        predicted, y = self.predict(X), np.asarray(y)
        if y.ndim == 3:
            predicted, y = (np.moveaxis(a, 1, 2).reshape(-1, a.shape[1]) for a in (predicted, y))
        return float(r2_score(y, predicted, sample_weight=sample_weight))

    def save(self, path: str | Path) -> None:
        """Write the fitted map and its settings to one ``.npz`` file, without pickled objects."""
        check_is_fitted(self)
        settings = {name: getattr(self, name) for name in ("mapping", "options", "n_folds", "feature_shape")}
        settings["random_state"] = self.random_state if isinstance(self.random_state, int) else None
        text = json.dumps({"format": _FORMAT, "settings": settings, "summary": self.summary_})
        arrays: dict[str, Any] = {name: np.asarray(getattr(self, name)) for name in _FITTED}
        with Path(path).open("wb") as file:
            np.savez(file, description=np.array(text), **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a fitted map that `save` wrote.

        Raises
        ------
        ContractError
            If the file holds no map of this format.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                description = json.loads(str(file["description"]))
                arrays = {name: file[name] for name in _FITTED}
            if description["format"] != _FORMAT:
                raise ValueError(f"format {description['format']}, expected {_FORMAT}")
            found = cls(**description["settings"])
            found.summary_ = description["summary"]
        except (ValueError, KeyError, TypeError) as error:
            raise ContractError(f"{path} holds no fitted map: {error}; write it with `save`") from error
        for name, values in arrays.items():
            setattr(found, name, values)
        found.n_features_in_ = found.coef_.shape[-1]
        return found

    def _three_dimensional(self, X: Any, *, reset: bool) -> np.ndarray:
        features = check_array(X, allow_nd=True, dtype=_DTYPES)
        if reset:
            self.n_features_in_ = features.shape[2]
        elif features.shape[2] != self.n_features_in_:
            raise ContractError(
                f"X has {features.shape[2]} features, but the map was fitted to {self.n_features_in_}"
            )
        return features

    def _folds(self, groups: Any, n_samples: int) -> np.ndarray:
        """Return the inner fold of each sample: images are dealt to the folds in order of appearance."""
        groups = np.arange(n_samples) if groups is None else np.asarray(groups)
        check_consistent_length(groups, np.empty(n_samples))
        _, first, member = np.unique(groups, return_index=True, return_inverse=True)
        n_folds = min(whole_number("n_folds", self.n_folds, least=2), len(first))
        return np.argsort(np.argsort(first))[member] % n_folds


def _n_dimensions(values: Any) -> int:
    return values.ndim if hasattr(values, "ndim") else np.asarray(values).ndim
