"""The direct solvers: closed-form held-out errors of few rows, normal equations of few features."""

import numpy as np
import pytest
import torch

from brainfit.errors import ContractError
from brainfit.mappings import ridge as ridge_module
from brainfit.mappings.ridge import Ridge, choose_solver
from brainfit.mappings.solvers.dual import MAX_ROWS, solve_dual
from brainfit.mappings.solvers.primal import MAX_FEATURES, solve_primal
from brainfit.mappings.solvers.rows import Rows

N_FEATURES = 200
ALPHAS = np.logspace(-3, 5, 17)


def make_folds(rng, n_rows, dtype=torch.float64, n_features=N_FEATURES, rank=None):
    """Make two batches per fold of rows far from zero, with a falling spectrum of rank `rank`."""
    mixing = torch.from_numpy(rng.normal(size=(rank or n_features, n_features)))
    scale = torch.arange(1, len(mixing) + 1) ** -1.0

    def rows(n):
        features = 3 + (torch.from_numpy(rng.normal(size=(n, len(mixing)))) * scale) @ mixing
        ones, targets = (torch.from_numpy(rng.uniform(0.5, 2, size=shape)) for shape in (n, (n, 4)))
        return Rows((features * ones[:, None]).to(dtype), ones.to(dtype), targets.to(dtype), torch.arange(n))

    return [[rows(n) for n in sizes] for sizes in n_rows]


def spelled(folds, name):
    return torch.cat([getattr(rows, name).double() for fold in folds for rows in fold]).numpy()


def refit(folds, held_out, alpha):
    """Fit all folds but one by augmented least squares with an intercept; None holds out no fold."""
    rest = [fold for k, fold in enumerate(folds) if k != held_out]
    x, ones, y = (spelled(rest, name) for name in ("features", "ones", "targets"))
    penalty = np.sqrt(alpha) * np.eye(x.shape[1])
    z = np.block([[x, ones[:, None]], [penalty, np.zeros((x.shape[1], 1))]])
    return np.linalg.lstsq(z, np.concatenate([y, np.zeros((x.shape[1], y.shape[1]))]), rcond=None)[0]


@pytest.mark.parametrize("solve", [solve_primal, solve_dual])
@pytest.mark.parametrize(
    "n_rows", [[(5, 3), (4, 1)], [(60, 40), (50, 49), (1, 30)], [(20, 2), (1, 1)]], ids=str
)
@pytest.mark.parametrize("n_features", [7, 200])
def test_losses_and_maps_equal_those_of_refitting(solve, n_rows, n_features, rng):
    folds = make_folds(rng, n_rows, n_features=n_features)
    found = solve(folds, ALPHAS)
    x, ones, y = (spelled(folds, name) for name in ("features", "ones", "targets"))
    mean_x, mean_y = (ones @ values / (ones @ ones) for values in (x, y))
    alphas = ALPHAS * ((x - np.outer(ones, mean_x)) ** 2).sum() / n_features
    variance = ((y - np.outer(ones, mean_y)) ** 2).sum(0)
    for a, alpha in enumerate(alphas):
        loss = 0
        for k, fold in enumerate(folds):
            weights = refit(folds, k, alpha)
            inside = [spelled([fold], name) for name in ("features", "ones", "targets")]
            predicted = inside[0] @ weights[:-1] + np.outer(inside[1], weights[-1])
            loss = loss + ((predicted - inside[2]) ** 2).sum(0)
        np.testing.assert_allclose(found.validation_loss[a], loss / variance, rtol=1e-6)
    np.testing.assert_allclose(found.alpha, alphas[found.validation_loss.argmin(0)], rtol=1e-9)
    for unit, alpha in enumerate(found.alpha):
        weights = refit(folds, None, alpha)[:, unit]
        np.testing.assert_allclose(found.coef[:, unit], weights[:-1], atol=1e-7 * np.abs(weights).max())
        np.testing.assert_allclose(found.intercept[unit], weights[-1], rtol=1e-6)


def test_directions_without_variance_are_not_counted(rng):
    folds = make_folds(rng, [(30, 20), (25, 11)], rank=7)
    assert solve_dual(folds, ALPHAS).n_directions == 7


@pytest.mark.parametrize("solve", [solve_primal, solve_dual])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_features_that_are_zero_have_a_map_of_zeros(solve, dtype, rng):
    folds = make_folds(rng, [(3, 2), (4, 1)], dtype)
    for rows in (rows for fold in folds for rows in fold):
        rows.features[:] = 0
    found = solve(folds, ALPHAS)
    assert not found.coef.any()
    assert found.coef.dtype == dtype


def test_a_penalty_below_rounding_is_refused(rng):
    folds = make_folds(rng, [(30, 20), (25, 11)], rank=7)
    with pytest.raises(ContractError, match="lost in the rounding of these features; use a higher one"):
        solve_primal(folds, np.array([1e-25]))


def test_problems_with_few_rows_or_features_are_solved_directly():
    assert choose_solver(9, 10) == "dual"
    assert choose_solver(10, 10) == "primal"
    assert choose_solver(MAX_ROWS, 10**6) == "dual"
    assert choose_solver(10**6, MAX_FEATURES) == "primal"
    assert choose_solver(MAX_ROWS + 1, MAX_FEATURES + 1) == "krylov"


def test_few_rows_of_many_features_need_little_memory():
    few, many = (Ridge().working_bytes(n, 50_000, 200, 5) for n in (600, 7000))
    assert few < many / 3
    assert all(Ridge().working_bytes(n, 50, 200, 5) > 0 for n in (0, 0.6, 1, 23.6, 49.9, 50))


def test_more_rows_never_need_less_memory():
    taken = [Ridge().working_bytes(n, 50_000, 200, 5) for n in range(0, 2000, 50)]
    assert taken == sorted(taken)


@pytest.mark.parametrize("size", [1e-25, 1, 1e30])
def test_features_of_any_magnitude_are_fitted(size, rng):
    x = rng.normal(size=(20, 2, 60))
    y = (x @ rng.normal(size=(60, 3))).swapaxes(1, 2)
    x[0] = 0  # the first image sets the unit of measurement
    x = (x * size).astype(np.float32)
    ridge = Ridge().fit(x, y)
    predicted = (x.astype(float) @ ridge._coef.double().numpy())[1:].swapaxes(1, 2)
    assert np.corrcoef(predicted.ravel(), y[1:].ravel())[0, 1] > 0.98


@pytest.mark.parametrize("n_features", [2000, 20_000])
def test_the_map_from_dual_coefficients_is_exact(n_features, rng):
    """With a steep spectrum the map is a small difference of large combinations of rows."""
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
def test_direct_and_iterative_solvers_give_the_same_map(store, dtype, limit, rng, monkeypatch):
    features = 5 + rng.normal(size=(40, 3, 300)) * np.arange(1, 301) ** -0.5
    weights = rng.normal(size=(300, 6))
    responses = (features @ weights + 3 * rng.normal(size=(40, 3, 6))).swapaxes(1, 2)
    features, found = features.astype(dtype), []
    for few in (True, False):
        if not few:
            monkeypatch.setattr(ridge_module, "choose_solver", lambda n_rows, n_features: "krylov")
        ridge = Ridge(tolerance=1e-9, store=store).fit(features, responses.astype(dtype))
        found.append(ridge)
    predicted = [features @ ridge.coef_.T + ridge.intercept_ for ridge in found]
    assert np.abs(predicted[0] - predicted[1]).max() < limit * predicted[1].std()
    np.testing.assert_allclose(found[0].alpha_, found[1].alpha_, rtol=1e-4)
    assert np.abs(found[0].coef_ - found[1].coef_).max() < 10 * limit * found[1].coef_.std()
