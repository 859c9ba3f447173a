"""Rows in coordinates of their span: the same products, the same map, the same penalties."""

import numpy as np
import pytest
import torch

from brainfit.mappings import ridge as ridge_module
from brainfit.mappings.ridge import Ridge
from brainfit.mappings.solvers.dual import MAX_ROWS, are_few, in_their_span, of_features
from brainfit.mappings.solvers.rows import Rows

N_FEATURES = 200


def make_folds(rng, n_rows, dtype=torch.float64, n_features=N_FEATURES, rank=None):
    """Two batches a fold; rows of falling variance, far from zero, of no more dimensions than `rank`."""
    mixing = torch.from_numpy(rng.normal(size=(rank or n_features, n_features)))
    scale = torch.arange(1, len(mixing) + 1) ** -1.0

    def rows(n):
        features = 3 + (torch.from_numpy(rng.normal(size=(n, len(mixing)))) * scale) @ mixing
        ones, targets = (torch.from_numpy(rng.uniform(0.5, 2, size=shape)) for shape in (n, (n, 4)))
        return Rows((features * ones[:, None]).to(dtype), ones.to(dtype), targets.to(dtype), torch.arange(n))

    return [[rows(n) for n in sizes] for sizes in n_rows]


def spelled(folds, name):
    return torch.cat([getattr(rows, name).double() for fold in folds for rows in fold])


@pytest.mark.parametrize("n_rows", [[(5, 3), (4, 1)], [(60, 40), (50, 49)], [(1,), (1,)]], ids=str)
def test_rows_keep_their_products_and_all_else(n_rows, rng):
    folds = make_folds(rng, n_rows)
    found, _ = in_their_span(folds)
    assert [len(fold) for fold in found] == [1, 1]
    x, theirs = spelled(folds, "features"), spelled(found, "features")
    torch.testing.assert_close(theirs @ theirs.T, x @ x.T, rtol=1e-10, atol=1e-10)
    assert theirs.shape[1] <= len(x)
    for name in ("ones", "targets", "image"):
        torch.testing.assert_close(spelled(found, name), spelled(folds, name), rtol=0, atol=0)


def test_a_map_of_the_coordinates_is_one_of_the_features_as_long(rng):
    folds = make_folds(rng, [(30, 20), (25, 11)])
    found, combinations = in_their_span(folds)
    coef = torch.from_numpy(rng.normal(size=(combinations.shape[1], 3)))
    back = of_features(folds, combinations, coef)
    assert back.shape == (N_FEATURES, 3)
    predicted = spelled(found, "features") @ coef
    torch.testing.assert_close(spelled(folds, "features") @ back, predicted, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(back.norm(dim=0), coef.norm(dim=0), rtol=1e-8, atol=0)


def test_directions_that_no_row_has_are_none(rng):
    folds = make_folds(rng, [(30, 20), (25, 11)], rank=7)
    _, combinations = in_their_span(folds)
    assert combinations.shape[1] == 8  # and that of the mean


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_rows_without_anything_have_a_map_of_nothing(dtype, rng):
    folds = make_folds(rng, [(3, 2), (4, 1)], dtype)
    for rows in (rows for fold in folds for rows in fold):
        rows.features[:] = 0
    found, combinations = in_their_span(folds)
    assert not spelled(found, "features").any()
    back = of_features(folds, combinations, torch.ones(combinations.shape[1], 2, dtype=torch.float64))
    assert not back.any()


def test_which_rows_are_few():
    assert are_few(9, 10)
    assert not are_few(10, 10)
    assert are_few(MAX_ROWS, MAX_ROWS + 1)
    assert not are_few(MAX_ROWS + 1, MAX_ROWS + 2)


def test_few_rows_of_many_features_take_little_memory():
    few, many = (Ridge().working_bytes(n, 50_000, 200, 5) for n in (600, 7000))
    assert few < many / 3
    assert all(Ridge().working_bytes(n, 50, 200, 5) > 0 for n in (0, 0.6, 1, 23.6, 49.9, 50))


def test_more_rows_never_take_less():
    taken = [Ridge().working_bytes(n, 50_000, 200, 5) for n in range(0, 2000, 50)]
    assert taken == sorted(taken)


@pytest.mark.parametrize("size", [1e-25, 1, 1e30])
def test_features_of_any_size(size, rng):
    x = rng.normal(size=(20, 2, 60))
    y = (x @ rng.normal(size=(60, 3))).swapaxes(1, 2)
    x[0] = 0  # which sets the unit of measurement
    x = (x * size).astype(np.float32)
    ridge = Ridge().fit(x, y)
    predicted = (x.astype(float) @ ridge._coef.double().numpy())[1:].swapaxes(1, 2)
    assert np.corrcoef(predicted.ravel(), y[1:].ravel())[0, 1] > 0.98


@pytest.mark.parametrize("n_features", [2000, 20_000])
def test_the_way_back_is_exact(n_features, rng):
    """Of a steep spectrum the map is a small difference of large combinations of rows."""
    x = rng.normal(size=(20, 3, n_features)) * np.arange(1, n_features + 1) ** -2.0
    y = (x @ rng.normal(size=(n_features, 2))).swapaxes(1, 2)
    x = x.astype(np.float32)
    ridge = Ridge(relative_alphas=np.array([1e-3]), tolerance=0).fit(x, y)
    rows, targets = x.reshape(60, -1).astype(float), y.swapaxes(1, 2).reshape(60, -1)
    rows, targets = rows - rows.mean(0), targets - targets.mean(0)
    wanted = rows.T @ np.linalg.solve(rows @ rows.T + ridge.alpha_[0] * np.eye(60), targets)
    a, b = rows @ ridge.coef_.T.astype(float), rows @ wanted
    assert np.abs(a - b).max() < 1e-5 * b.std()


@pytest.mark.parametrize(("dtype", "limit"), [(np.float64, 1e-6), (np.float32, 1e-3)])
@pytest.mark.parametrize("store", ["float32", "bfloat16"])
def test_the_map_is_that_of_the_rows_as_they_are(store, dtype, limit, rng, monkeypatch):
    features = 5 + rng.normal(size=(40, 3, 300)) * np.arange(1, 301) ** -0.5
    weights = rng.normal(size=(300, 6))
    responses = (features @ weights + 3 * rng.normal(size=(40, 3, 6))).swapaxes(1, 2)
    features, found = features.astype(dtype), []
    for few in (True, False):
        if not few:
            monkeypatch.setattr(ridge_module, "are_few", lambda n_rows, n_features: False)
        ridge = Ridge(tolerance=1e-9, store=store).fit(features, responses.astype(dtype))
        found.append(ridge)
    predicted = [features @ ridge.coef_.T + ridge.intercept_ for ridge in found]
    assert np.abs(predicted[0] - predicted[1]).max() < limit * predicted[1].std()
    np.testing.assert_allclose(found[0].alpha_, found[1].alpha_, rtol=1e-4)
    assert np.abs(found[0].coef_ - found[1].coef_).max() < 10 * limit * found[1].coef_.std()
