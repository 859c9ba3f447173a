"""The scikit-learn estimator: its conventions, its shapes, and files of fitted maps."""

import json
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from brainfit.errors import ContractError, UnknownNameError
from brainfit.mappings.regressor import ResponseRegressor


@parametrize_with_checks(
    [
        ResponseRegressor(),
        ResponseRegressor("pls"),
        ResponseRegressor("sgd", options={"learning_rate": 0.1, "max_epochs": 40}),
    ]
)
def test_the_checks_of_scikit_learn_pass(estimator, check) -> None:
    """All checks apply except to "factorized", which needs spatial features."""
    check(estimator)


@pytest.fixture
def data(rng):
    """Make features (image, time_bin, feature) and noisy responses (image, unit, time_bin)."""
    features = rng.normal(size=(40, 4, 6)) + 3
    responses = features @ rng.normal(size=(6, 3)) + 5 + 0.8 * rng.normal(size=(40, 4, 3))
    return features, responses.swapaxes(1, 2)


@pytest.mark.parametrize("mapping", ["ridge", "pls"])
def test_rows_with_groups_are_fitted_like_images(mapping: str, data) -> None:
    features, responses = data
    rows, targets = features.reshape(160, 6), responses.swapaxes(1, 2).reshape(160, 3)
    order = np.random.default_rng(0).permutation(160)
    by_image = ResponseRegressor(mapping).fit(features, responses)
    by_row = ResponseRegressor(mapping).fit(rows, targets, groups=np.repeat(np.arange(40), 4))
    np.testing.assert_allclose(by_row.coef_, by_image.coef_, atol=1e-6)
    predicted = by_image.predict(features).swapaxes(1, 2).reshape(160, 3)
    np.testing.assert_allclose(by_row.predict(rows), predicted, atol=1e-5)
    assert by_row.score(rows[order], targets[order]) == pytest.approx(by_image.score(features, responses))


def test_a_fitted_map_equals_scikit_learn_at_the_chosen_penalties(data) -> None:
    features, responses = data
    rows, targets = features.reshape(160, 6), responses.swapaxes(1, 2).reshape(160, 3)
    ours = ResponseRegressor().fit(features, responses)
    alpha: Any = ours.alpha_
    theirs = SklearnRidge(alpha=alpha).fit(rows, targets)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-6)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-5)


def test_groups_keep_the_rows_of_an_image_in_one_fold(rng) -> None:
    """Rows of one image predict each other; only grouped folds show that features explain nothing."""
    rows = np.repeat(rng.normal(size=(20, 50)), 5, axis=0)
    targets = np.repeat(rng.normal(size=20), 5)
    grouped = ResponseRegressor().fit(rows, targets, groups=np.repeat(np.arange(20), 5))
    leaked = ResponseRegressor().fit(rows, targets)
    assert grouped.alpha_[0] > 100 * leaked.alpha_[0]


def test_the_regressor_works_in_pipelines_and_cross_validation(data) -> None:
    features, responses = data
    rows, targets = features.reshape(160, 6), responses.swapaxes(1, 2).reshape(160, 3)
    pipeline = make_pipeline(StandardScaler(), ResponseRegressor())
    scores = cross_val_score(pipeline, rows, targets, cv=GroupKFold(4), groups=np.repeat(np.arange(40), 4))
    assert scores.min() > 0.8


def test_factorized_uses_the_shape_of_its_features(rng) -> None:
    maps = rng.normal(size=(60, 2, 3 * 4 * 4)).astype(np.float32)
    responses = rng.normal(size=(60, 2, 2))
    regressor = ResponseRegressor("factorized", feature_shape=(3, 4, 4), options={"max_epochs": 3})
    assert regressor.fit(maps, responses).predict(maps).shape == (60, 2, 2)
    with pytest.raises(ContractError, match="needs features"):
        ResponseRegressor("factorized").fit(maps, responses)


@pytest.mark.parametrize("mapping", ["ridge", "pls", "sgd"])
@pytest.mark.parametrize("n_dimensions", [1, 2, 3])
def test_a_saved_map_predicts_the_same(mapping: str, n_dimensions: int, data, tmp_path) -> None:
    features, responses = data
    if n_dimensions < 3:
        features, responses = features[:, 0], responses[..., 0]
        responses = responses[:, 0] if n_dimensions == 1 else responses
    regressor = ResponseRegressor(mapping, n_folds=3, random_state=4).fit(features, responses)
    regressor.save(tmp_path / "map.npz")
    loaded = ResponseRegressor.load(tmp_path / "map.npz")
    np.testing.assert_array_equal(loaded.predict(features), regressor.predict(features))
    assert loaded.get_params() == regressor.get_params()
    assert loaded.summary_ == regressor.summary_
    with np.load(tmp_path / "map.npz", allow_pickle=False) as file:
        assert json.loads(str(file["description"]))["settings"]["mapping"] == mapping


def test_other_files_are_refused(tmp_path) -> None:
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    for name in ("other.npz", "objects.npy"):
        with pytest.raises(ContractError, match="holds no fitted map"):
            ResponseRegressor.load(tmp_path / name)


def test_a_clone_is_unfitted_and_keeps_its_settings(data) -> None:
    fitted = ResponseRegressor("pls", options={"n_components": 2}).fit(*data)
    copy: Any = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        copy.predict(data[0])
    with pytest.raises(NotFittedError):
        copy.save("nowhere.npz")


def test_inconsistent_arguments_are_refused(data) -> None:
    features, responses = data
    with pytest.raises(ContractError, match=r"y must have shape \(image, unit, time_bin\)"):
        ResponseRegressor().fit(features, responses.swapaxes(1, 2))
    with pytest.raises(ContractError, match="X has 5 features, but the map was fitted to 6"):
        ResponseRegressor().fit(features, responses).predict(features[..., :5])
    with pytest.raises(ValueError, match="NaN"):
        ResponseRegressor().fit(features, np.where(responses > 5, np.nan, responses))
    with pytest.raises(UnknownNameError, match="did you mean 'ridge'"):
        ResponseRegressor("rigde").fit(features, responses)
    with pytest.raises(ContractError, match="at least 2 inner folds"):
        ResponseRegressor().fit(features, responses, groups=np.zeros(40))
