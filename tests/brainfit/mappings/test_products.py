"""Products of rows compared with sums computed in float64."""

import numpy as np
import pytest
import torch

from brainfit.mappings.solvers.products import RowProducts, Sums, sum_rows
from brainfit.mappings.solvers.rows import Rows
from brainfit.mappings.solvers.subspace import Subspace

N_FOLDS = 3


def make_folds(rng, n_features, dtype, offset=3.0, n_units=4, n_rows=(40, 25)):
    """Make two batches per fold of rows far from zero, with different weights."""

    def rows(n):
        features = rng.normal(size=(n, n_features)) + offset
        ones = rng.uniform(0.5, 2, size=n)
        targets = features @ rng.normal(size=(n_features, n_units)) + rng.normal(size=(n, n_units))
        x, one, y = (torch.from_numpy(a.astype(dtype)) for a in (features * ones[:, None], ones, targets))
        return Rows(x, one, y, torch.arange(n))

    return [[rows(n) for n in n_rows] for _ in range(N_FOLDS)]


def spelled(batches):
    """Return features and ones of all batches of a fold, float64."""
    return tuple(
        np.concatenate([getattr(rows, name).double().numpy() for rows in batches])
        for name in ("features", "ones")
    )


@pytest.mark.parametrize(("dtype", "limit"), [(np.float64, 1e-12), (np.float32, 1e-5)])
@pytest.mark.parametrize("n_features", [1, 7, 300], ids=["one feature", "tall", "wide"])
def test_products_equal_those_of_centred_rows(n_features, dtype, limit, rng):
    folds = make_folds(rng, n_features, dtype)
    means = [torch.from_numpy(rng.normal(size=n_features).astype(dtype)) + 3 for _ in range(N_FOLDS + 1)]
    widths = (2, 1, 3, 2)
    blocks = [torch.from_numpy(rng.normal(size=(w, n_features)).astype(dtype)) for w in widths]
    inside, total = RowProducts(folds)(means, blocks)
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


def test_moments_equal_those_of_the_rows(rng):
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
    """The residual is zero within the basis, and everywhere once the basis spans the whole space."""
    folds = make_folds(rng, 12, np.float64)
    sums = [sum_rows(batches) for batches in folds]
    total: Sums = sums[0] + sums[1] + sums[2]
    problem, alpha = Subspace(total, None), np.array([1.0, 2.0, 30.0, 400.0])
    x, ones = (np.concatenate(parts) for parts in zip(*map(spelled, folds), strict=True))
    x = x - np.outer(ones, problem.mean_x.numpy())
    right = problem.yx.numpy()
    exact = np.stack(
        [np.linalg.solve(x.T @ x + a * np.eye(12), c) for a, c in zip(alpha, right, strict=True)]
    )
    products = RowProducts(folds)
    for width, is_whole in ((5, False), (7, True)):
        block = problem.extend(torch.from_numpy(rng.normal(size=(width, 12))))
        _, multiplied = products([problem.mean_x] * (N_FOLDS + 1), [block] * (N_FOLDS + 1))
        problem.absorb(multiplied[-1], None)
        residual = problem.residual(alpha)
        coef, normalised = problem.solution(alpha)[0].numpy().T, residual.normalised.numpy()
        wanted = right - coef @ (x.T @ x) - alpha[:, None] * coef
        size = np.linalg.norm(right, axis=1)
        np.testing.assert_allclose(normalised * size[:, None], wanted, atol=1e-8 * size.max())
        np.testing.assert_allclose(
            residual.relative, (np.linalg.norm(wanted, axis=1) / size).max(), atol=1e-10
        )
        assert np.abs(problem.basis.numpy() @ normalised.T).max() < 1e-8
        assert (residual.relative < 1e-8) is is_whole
        error = np.linalg.norm((coef - exact) @ x.T, axis=1) / np.linalg.norm(coef @ x.T, axis=1)
        assert error.max() <= residual.error + 1e-8
    np.testing.assert_allclose(problem.solution(alpha)[0].numpy().T, exact, atol=1e-9)
