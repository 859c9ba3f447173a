"""Mappings other than ridge: independent oracles, edge cases, and laws that hold for all of them."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import LinearRegression
from sklearn.linear_model import Ridge as SklearnRidge

from brainfit.contracts.trajectory import Trajectory
from brainfit.contracts.vocabulary import MAPPINGS
from brainfit.errors import ContractError, UnknownNameError
from brainfit.mappings import make_mapping
from brainfit.mappings.factorized import Factorized
from brainfit.mappings.per_bin import PerBin
from brainfit.mappings.pls import PLS
from brainfit.mappings.ridge import Ridge
from brainfit.mappings.sgd import SGD
from brainfit.mappings.solvers.descent import descend
from brainfit.mappings.solvers.rows import compress

FLAT = sorted(set(MAPPINGS) - {"factorized"})  # mappings that accept features of any shape


def make_data(n_images=60, n_features=12, n_units=4, n_bins=5, noise=0.3, dtype=np.float32):
    rng = np.random.default_rng(1)
    features = rng.normal(size=(n_images, n_bins, n_features)) + 2
    responses = features @ rng.normal(size=(n_features, n_units)) + 5
    responses += noise * responses.std() * rng.normal(size=responses.shape)
    return features.astype(dtype), responses.swapaxes(1, 2).astype(dtype)


def rows_of(values: np.ndarray) -> np.ndarray:
    """(image, unit, bin) -> (image x bin, unit)."""
    return values.swapaxes(1, 2).reshape(-1, values.shape[1])


def predict(mapping, features: np.ndarray) -> np.ndarray:
    return mapping.predict(Trajectory.from_steps(list(torch.from_numpy(features).unbind(1))))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n_images", "n_features"), [(60, 12), (8, 90)], ids=["tall", "wide"])
@pytest.mark.parametrize("n_units", [1, 4])
def test_pls_equals_sklearn(dtype, n_images, n_features, n_units) -> None:
    features, responses = make_data(n_images, n_features, n_units, dtype=dtype)
    ours = PLS(6).fit(features, responses)
    x, y = features.reshape(-1, n_features).astype(float), rows_of(responses).astype(float)
    theirs = PLSRegression(6, scale=False, max_iter=10_000, tol=1e-14).fit(x, y)
    assert ours.n_components_ == 6
    scale = np.abs(theirs.coef_).max()
    np.testing.assert_allclose(ours.coef_, theirs.coef_.reshape(ours.coef_.shape), atol=2e-4 * scale)
    expected = theirs.predict(x).reshape(n_images, -1, n_units).swapaxes(1, 2)
    np.testing.assert_allclose(predict(ours, features), expected, atol=1e-3 * y.std())


def test_pls_with_all_components_equals_least_squares() -> None:
    features, responses = make_data(n_features=5, n_units=2)
    ours = PLS(25).fit(features, responses)
    theirs = LinearRegression().fit(features.reshape(-1, 5), rows_of(responses))
    assert ours.n_components_ == 5  # fewer features than components
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-3 * np.abs(theirs.coef_).max())
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-2)
    assert ours.summary() == {"n_features": 5, "n_components": 5, "n_components_asked": 25}


def test_pls_uses_at_most_the_available_components() -> None:
    features, responses = make_data(n_features=6, n_units=2, noise=0)
    doubled = np.concatenate([features, features], axis=2)
    assert PLS().fit(doubled, responses).n_components_ == 6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_descent_without_noise_equals_least_squares(dtype) -> None:
    features, responses = make_data(noise=0, dtype=dtype)
    ours = SGD(learning_rate=0.05, max_epochs=2000, patience=300).fit(features, responses)
    theirs = LinearRegression().fit(features.reshape(-1, 12), rows_of(responses))
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=0.02 * np.abs(theirs.coef_).max())


def test_descent_predicts_new_images_as_well_as_ridge() -> None:
    features, responses = make_data(200, 40, noise=1)
    loss = {}
    for mapping in (SGD(), Ridge(), PLS()):
        mapping.fit(features[:150], responses[:150])
        loss[type(mapping)] = float(np.mean((predict(mapping, features[150:]) - responses[150:]) ** 2))
    assert loss[SGD] < 1.06 * loss[Ridge]
    assert loss[PLS] < 1.06 * loss[Ridge]


@pytest.mark.parametrize("name", ["sgd", "factorized"])
def test_descent_does_not_depend_on_scale_bins_or_other_units(name) -> None:
    """The map of a unit is the same for any number of bins, scale, offset and other units."""
    rng = np.random.default_rng(3)
    maps = rng.normal(size=(120, 1, 3, 2, 2)).astype(np.float32)
    responses = (maps.reshape(120, 1, 12) @ rng.normal(size=(12, 3))).swapaxes(1, 2)
    responses += 0.5 * responses.std() * rng.normal(size=responses.shape)

    def predictions(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        steps = Trajectory.from_steps(list(torch.from_numpy(x).unbind(1)))
        return make_mapping(name, 0).partial_fit(steps, y, np.arange(120) % 5).solve().predict(steps)

    plain = predictions(maps, responses)
    assert np.corrcoef(plain.ravel(), responses.ravel())[0, 1] > (0.8 if name == "sgd" else 0.5)
    close = {"atol": 0.03 * responses.std()}
    np.testing.assert_allclose(predictions(1000 * maps + 500, responses), plain, **close)
    np.testing.assert_allclose(predictions(maps, responses[:, 1:2]), plain[:, 1:2], **close)


def test_each_unit_keeps_its_best_epoch() -> None:
    """One unit is linear and improves at every epoch; the other is noise and is best at the start."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 1, 3)).astype(np.float32)
    y = np.stack([x[:, 0] @ [1, 2, 3], rng.normal(size=80)], 1)[:, :, None].astype(np.float32)
    steps = Trajectory((torch.from_numpy(x[:, 0]),), (0,))
    rows = [compress(steps, y, np.arange(80), torch.zeros(3))]
    halves = [[type(r)(r.features[s], r.ones[s], r.targets[s], r.image[s]) for r in rows]
              for s in (slice(0, 40), slice(40, 80))]  # fmt: skip
    found = descend(
        halves,
        {"coef": torch.zeros(2, 3), "intercept": torch.zeros(2)},
        lambda features, p: features @ p["coef"].T,
        lambda rows: rows,
        learning_rate=0.1, batch_images=40, max_epochs=200, patience=50,
        rng=np.random.default_rng(0), on_progress=lambda: None,
    )  # fmt: skip
    assert found.epochs[0] > 50
    assert found.epochs[1] < 10
    losses = []
    for parameters in ({"coef": torch.zeros(2, 3), "intercept": torch.zeros(2)}, found.parameters):
        r = halves[0][0]
        error = r.features @ parameters["coef"].T + parameters["intercept"] - r.targets
        losses.append(error.square().sum(0))
    assert (losses[1] <= losses[0]).all()


def test_factorized_recovers_a_place_and_a_mixture() -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(150, 4, 3, 5, 5)).astype(np.float32)  # (image, bin, channel, height, width)
    place, mixture = rng.normal(size=(2, 5, 5)), rng.normal(size=(2, 3))
    responses = np.einsum("itchw,uhw,uc->iut", maps, place, mixture).astype(np.float32) + 3
    steps = Trajectory.from_steps(list(torch.from_numpy(maps).unbind(1)))
    mapping = Factorized(learning_rate=0.05, max_epochs=1500, patience=200)
    mapping.partial_fit(steps, responses, np.arange(150) % 5).solve()
    truth = np.einsum("uc,uhw->uchw", mixture, place).reshape(2, -1)
    np.testing.assert_allclose(mapping.coef_, truth, atol=0.05 * np.abs(truth).max())
    weights = mapping.coef_.reshape(2, 3, 25)
    for unit in weights:  # always of rank one
        values = np.linalg.svd(unit, compute_uv=False)
        assert values[1] < 1e-5 * values[0]


def test_factorized_needs_spatial_features() -> None:
    features, responses = make_data()
    with pytest.raises(ContractError, match=r"needs features \(channel, height, width\), got \(12,\)"):
        Factorized().fit(features, responses)


def test_a_map_per_bin_equals_ridge_for_each_bin() -> None:
    features, responses = make_data(80, 30, noise=1)
    steps = Trajectory.from_steps(list(torch.from_numpy(features).unbind(1)))
    maps: list[Ridge] = []

    def make() -> Ridge:
        maps.append(Ridge(tolerance=0, max_blocks=40))
        return maps[-1]

    ours = PerBin(make)
    ours.partial_fit(steps, responses, np.arange(80) % 5).solve()
    for k in range(5):
        alphas = maps[k].alpha_
        for unit in range(4):
            theirs = SklearnRidge(alpha=alphas[unit]).fit(features[:, k], responses[:, unit, k])
            np.testing.assert_allclose(
                ours.predict(steps)[:, unit, k], theirs.predict(features[:, k]), atol=1e-3 * responses.std()
            )
    across = ours.predict_across(steps)
    assert across.shape == (80, 4, 5, 5)
    np.testing.assert_array_equal(np.einsum("iutt->iut", across), ours.predict(steps))
    # The first map, on what the second bin shows.
    first = maps[0].coef_[2] @ features[:, 1].T + maps[0].intercept_[2]
    np.testing.assert_allclose(across[:, 2, 0, 1], first, atol=1e-3 * responses.std())


@pytest.mark.parametrize("per_bin", [False, True], ids=["shared", "per bin"])
@pytest.mark.parametrize("name", FLAT)
def test_edge_cases_give_finite_predictions(name: str, per_bin: bool) -> None:
    """Predictions are finite for one feature, one unit, constant features and a constant unit."""
    make = partial(make_mapping, name, 0)
    for n_features, n_units in ((1, 1), (1, 3), (6, 1)):
        features, responses = make_data(40, n_features, n_units)
        mapping = PerBin(make) if per_bin else make()
        steps = Trajectory.from_steps(list(torch.from_numpy(features).unbind(1)))
        mapping.partial_fit(steps, responses, np.arange(40) % 5).solve()
        assert mapping.n_features == n_features
        assert mapping.alpha_.shape == (n_units,)
        predicted = mapping.predict(steps)
        assert np.corrcoef(predicted.ravel(), responses.ravel())[0, 1] > 0.8
    features[:], responses[:, 0] = 3, 7  # constant features, then a constant unit
    steps = Trajectory.from_steps(list(torch.from_numpy(features).unbind(1)))
    mapping = PerBin(make) if per_bin else make()
    mapping.partial_fit(steps, responses, np.arange(40) % 5).solve()
    np.testing.assert_allclose(mapping.predict(steps), 7, rtol=1e-3)


@pytest.mark.parametrize("name", sorted(MAPPINGS))
def test_units_are_fitted_independently_of_order_and_scale(name: str) -> None:
    """The order of units does not matter, and an affine change of a unit affects that unit only."""
    rng = np.random.default_rng(2)
    maps = torch.from_numpy(rng.normal(size=(60, 5, 3, 2, 2)).astype(np.float32))
    responses = (maps.flatten(2).numpy() @ rng.normal(size=(12, 4)) + 1).swapaxes(1, 2)
    responses += 0.5 * rng.normal(size=responses.shape)
    steps = Trajectory.from_steps(list(maps.unbind(1)))
    folds = np.arange(60) % 5

    def predictions(y: np.ndarray) -> np.ndarray:
        return make_mapping(name, 0).partial_fit(steps, y, folds).solve().predict(steps)

    plain = predictions(responses)
    np.testing.assert_array_equal(predictions(responses), plain)  # equal seeds give equal bits
    order = [2, 0, 3, 1]
    close = {"atol": 5e-3 * responses.std()}
    np.testing.assert_allclose(predictions(responses[:, order]), plain[:, order], **close)
    if name != "pls":  # its components are shared by all units, weighted by variance
        slope, offset = np.array([1, 10, 0.1, 3])[:, None], np.array([0, 5, -3, 100])[:, None]
        changed = (predictions(responses * slope + offset) - offset) / slope
        np.testing.assert_allclose(changed, plain, **close)


def test_unknown_name_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'ridge'"):
        make_mapping("rigde", 0)
