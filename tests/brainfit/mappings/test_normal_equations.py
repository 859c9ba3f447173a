"""X'X made once against passes over the rows, and both against sums spelled out in float64."""

import numpy as np
import pytest
import torch

from brainfit.mappings.solvers import krylov
from brainfit.mappings.solvers.krylov import solve_ridge
from brainfit.mappings.solvers.normal_equations import MAX_FEATURES, GramProducts, make_products
from brainfit.mappings.solvers.products import RowProducts, Sums, sum_rows
from brainfit.mappings.solvers.rows import Rows
from brainfit.mappings.solvers.subspace import Subspace

N_FOLDS = 3


def make_folds(rng, n_features, dtype, offset=3.0, n_units=4, n_rows=(40, 25)):
    """Batches of rows that are far from zero, not all of them of weight one; two batches a fold."""

    def rows(n):
        features = rng.normal(size=(n, n_features)) + offset
        ones = rng.uniform(0.5, 2, size=n)
        targets = features @ rng.normal(size=(n_features, n_units)) + rng.normal(size=(n, n_units))
        x, one, y = (torch.from_numpy(a.astype(dtype)) for a in (features * ones[:, None], ones, targets))
        return Rows(x, one, y, torch.arange(n))

    return [[rows(n) for n in n_rows] for _ in range(N_FOLDS)]


def spelled(batches):
    """Features and ones of all batches of a fold, float64."""
    return tuple(
        np.concatenate([getattr(rows, name).double().numpy() for rows in batches])
        for name in ("features", "ones")
    )


@pytest.mark.parametrize(("dtype", "limit"), [(np.float64, 1e-12), (np.float32, 1e-5)])
@pytest.mark.parametrize("n_features", [1, 7, 300], ids=["one feature", "tall", "wide"])
@pytest.mark.parametrize("way", ["gram", "rows"])
def test_products_are_those_of_the_centred_rows(way, n_features, dtype, limit, rng):
    folds = make_folds(rng, n_features, dtype)
    means = [torch.from_numpy(rng.normal(size=n_features).astype(dtype)) + 3 for _ in range(N_FOLDS + 1)]
    widths = (2, 1, 3, 2)
    blocks = [torch.from_numpy(rng.normal(size=(w, n_features)).astype(dtype)) for w in widths]
    center = torch.full((n_features,), 2.9, dtype=means[0].dtype)
    products = GramProducts(folds, center) if way == "gram" else RowProducts(folds)
    inside, total = products(means, blocks)
    assert len(inside) == N_FOLDS
    assert len(total) == N_FOLDS + 1
    for k, (mean, block) in enumerate(zip(means, blocks, strict=True)):
        each = []
        for batches in folds:
            features, ones = spelled(batches)
            x = features - np.outer(ones, mean.double().numpy())
            each.append(block.double().numpy() @ x.T @ x)
        scale = np.abs(sum(each)).max()
        np.testing.assert_allclose(total[k], sum(each), atol=limit * scale, rtol=0)
        if k < N_FOLDS:
            np.testing.assert_allclose(inside[k], each[k], atol=limit * scale, rtol=0)


@pytest.mark.parametrize("n_units", [1, 4, 80], ids=["one unit", "few", "many"])
@pytest.mark.parametrize("n_features", [1, 20, 600])
def test_the_map_is_the_same_whichever_way_it_is_multiplied(n_features, n_units, rng, monkeypatch):
    folds = make_folds(rng, n_features, np.float64, n_units=n_units)
    found = []
    for way in (GramProducts, lambda folds, _: RowProducts(folds)):
        monkeypatch.setattr(krylov, "make_products", way)
        options = {"tolerance": 1e-4, "max_blocks": 8, "rng": np.random.default_rng(0)}
        found.append(solve_ridge(folds, np.logspace(-2, 2, 5), **options))
    np.testing.assert_allclose(found[0].coef, found[1].coef, atol=1e-6 * float(found[0].coef.abs().max()))
    np.testing.assert_array_equal(found[0].alpha, found[1].alpha)
    assert found[0].n_directions == found[1].n_directions


def test_features_that_do_not_vary_have_no_products(rng):
    folds = make_folds(rng, 5, np.float64)
    for rows in (rows for batches in folds for rows in batches):
        rows.features[:] = 2 * rows.ones[:, None]
    mean = torch.full((5,), 2.0, dtype=torch.float64)
    blocks = [torch.eye(5, dtype=torch.float64)] * (N_FOLDS + 1)
    for part in GramProducts(folds, mean)([mean] * (N_FOLDS + 1), blocks):
        assert max(float(one.abs().max()) for one in part) < 1e-10


def test_few_features_are_multiplied_once(rng):
    narrow, wide = (make_folds(rng, n, np.float32, n_rows=(3,)) for n in (MAX_FEATURES, MAX_FEATURES + 1))
    assert isinstance(make_products(narrow, torch.zeros(MAX_FEATURES)), GramProducts)
    assert isinstance(make_products(wide, torch.zeros(MAX_FEATURES + 1)), RowProducts)


def test_moments_are_those_of_the_rows(rng):
    batches = make_folds(rng, 6, np.float64)[0]
    found = sum_rows(batches)
    x, ones = spelled(batches)
    y = np.concatenate([rows.targets.numpy() for rows in batches])
    mean_x, mean_y = ones @ x / (ones @ ones), ones @ y / (ones @ ones)
    block = rng.normal(size=(2, 6))
    centered_x, centered_y = x - np.outer(ones, mean_x), y - np.outer(ones, mean_y)
    along = found.xy_along(*map(torch.from_numpy, (block, mean_x, mean_y)))
    np.testing.assert_allclose(along, block @ centered_x.T @ centered_y, atol=1e-9)
    np.testing.assert_allclose(found.yy_about(torch.from_numpy(mean_y)), (centered_y**2).sum(0), atol=1e-9)


def test_the_residual_is_that_of_the_ridge_equations(rng):
    """Zero within the basis, whatever it is; zero everywhere once it is whole."""
    folds = make_folds(rng, 12, np.float64)
    sums = [sum_rows(batches) for batches in folds]
    total: Sums = sums[0] + sums[1] + sums[2]
    problem, alpha = Subspace(total, None, keeps_products=True), np.array([1.0, 2.0, 30.0, 400.0])
    products = RowProducts(folds)
    for width, is_whole in ((5, False), (7, True)):
        block = problem.extend(torch.from_numpy(rng.normal(size=(width, 12))))
        _, multiplied = products([problem.mean_x] * (N_FOLDS + 1), [block] * (N_FOLDS + 1))
        problem.absorb(multiplied[-1], None)
        residual = problem.residual(alpha)
        assert float((problem.basis @ residual.T).abs().max()) < 1e-8
        assert (float(residual.abs().max()) < 1e-8) is is_whole
    x, ones = (np.concatenate(parts) for parts in zip(*map(spelled, folds), strict=True))
    x = x - np.outer(ones, problem.mean_x.numpy())
    coef, _ = problem.solution(alpha)
    for unit in range(4):
        wanted = np.linalg.solve(x.T @ x + alpha[unit] * np.eye(12), problem.yx.numpy()[unit])
        np.testing.assert_allclose(coef[:, unit], wanted, atol=1e-9)
