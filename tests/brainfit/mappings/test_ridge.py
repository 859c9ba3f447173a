"""Shared-over-time ridge compared with sklearn on explicit rows, over shapes and dtypes."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as SklearnRidge

from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ContractError, UnknownNameError
from brainfit.mappings import ridge as ridge_module
from brainfit.mappings.ridge import Ridge
from brainfit.mappings.sgd import SGD
from brainfit.mappings.solvers.krylov import WIDTH
from brainfit.mappings.solvers.rows import FEW_BLOCKS, Rows, chunk_length, compress, join_small_batches

SHAPES = {  # images, bins, features, units
    "tall": (60, 25, 10, 4),
    "wide": (40, 10, 600, 3),
    "square": (30, 10, 300, 5),
    "more units than features": (50, 8, 20, 80),
    "many units": (30, 6, 60, 80),
    "as many units as a block is wide": (30, 6, 90, 64),
    "and one more": (30, 6, 90, 65),
    "one unit": (40, 6, 100, 1),
    "one feature": (60, 5, 1, 3),
    "one bin": (60, 1, 30, 3),
}


def simulate(rng, n, n_bins, n_features, n_units, dtype):
    """Make features with few time courses and a falling spectrum, and noisy linear responses."""
    courses, base = rng.normal(size=(n_bins, 3)), rng.normal(size=(n, 3, n_features))
    features = np.einsum("tk,nkf->ntf", courses, base * np.arange(1, n_features + 1) ** -0.5)
    features += 0.01 * rng.normal(size=features.shape) + 2
    responses = features @ rng.normal(size=(n_features, n_units))
    responses = responses / responses.std() + rng.normal(size=responses.shape) + 5
    return features.astype(dtype), responses.swapaxes(1, 2).astype(dtype)


def oracle(features, responses, alphas):
    """Choose penalties by grouped folds and fit, with sklearn, in float64, on image x bin rows."""
    n, n_bins, n_features = features.shape
    x = features.reshape(-1, n_features).astype(float)
    y = responses.swapaxes(1, 2).reshape(n * n_bins, -1).astype(float)
    fold = np.repeat(np.arange(n) % 5, n_bins)
    loss = np.zeros((len(alphas), y.shape[1]))
    for k in range(5):
        inside = fold == k
        for a, alpha in enumerate(alphas):
            fitted = SklearnRidge(alpha=alpha).fit(x[~inside], y[~inside])
            loss[a] += ((fitted.predict(x[inside]).reshape(inside.sum(), -1) - y[inside]) ** 2).sum(0)
    return SklearnRidge(alpha=alphas[loss.argmin(0)]).fit(x, y)


def relative_error(got, wanted):
    return np.abs(got - wanted).max() / np.abs(wanted).std()


@pytest.fixture
def searched(monkeypatch):
    """Solve iteratively at any size."""
    monkeypatch.setattr(ridge_module, "choose_solver", lambda n_rows, n_features: "krylov")


@pytest.mark.parametrize("solver", ["primal", "dual", "krylov"])
@pytest.mark.parametrize(("dtype", "limit"), [(np.float64, 1e-8), (np.float32, 1e-3)])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_solver_equals_sklearn(shape, dtype, limit, solver, rng, monkeypatch):
    monkeypatch.setattr(ridge_module, "choose_solver", lambda n_rows, n_features: solver)
    features, responses = simulate(rng, *shape, dtype=dtype)
    alphas = np.logspace(-3, 5, 9)
    ridge = Ridge(alphas, tolerance=0, max_blocks=40).fit(features, responses)
    centered = features.reshape(-1, shape[2]) - features.reshape(-1, shape[2]).mean(0, dtype=float)
    alphas = ridge.solution_.relative_alphas * (centered**2).sum() / shape[2]
    wanted = oracle(features, responses, alphas)
    np.testing.assert_allclose(ridge.alpha_, wanted.alpha, rtol=1e-3)
    predicted = ridge.predict(Trajectory.from_steps(list(torch.from_numpy(features).unbind(1))))
    flat = wanted.predict(features.reshape(-1, shape[2])).reshape(*features.shape[:2], -1)
    assert relative_error(predicted, flat.swapaxes(1, 2)) < limit
    by_hand = features @ ridge.coef_.T + ridge.intercept_
    assert relative_error(by_hand.swapaxes(1, 2), predicted) < 1e-4


def test_stopping_early_predicts_as_well(rng, searched):
    features, responses = simulate(rng, 120, 5, 500, 8, np.float32)
    held = Trajectory.from_steps(list(torch.from_numpy(features[90:]).unbind(1)))
    scores = []
    for tolerance, max_blocks in ((0.05, 20), (0, 40)):
        ridge = Ridge(tolerance=tolerance, max_blocks=max_blocks).fit(features[:90], responses[:90])
        predicted = ridge.predict(held)
        scores.append(np.corrcoef(predicted.ravel(), responses[90:].ravel())[0, 1])
    assert ridge.solution_.converged
    assert abs(scores[0] - scores[1]) < 2e-3


@pytest.mark.parametrize("max_blocks", [1, 2])
def test_stopping_before_convergence_is_reported(max_blocks, rng, searched):
    features, responses = simulate(rng, 120, 5, 700, 6, np.float32)
    ridge = Ridge(tolerance=0, max_blocks=max_blocks).fit(features, responses)
    assert not ridge.solution_.converged
    assert not ridge.summary()["converged"]
    assert np.isfinite(ridge.coef_).all()
    assert ridge.solution_.n_directions == 64 * max_blocks


def test_many_units_share_directions_and_predict_as_well(rng, searched):
    features, responses = simulate(rng, 120, 4, 400, 80, np.float32)
    held = Trajectory.from_steps(list(torch.from_numpy(features[90:]).unbind(1)))
    ridges = Ridge(tolerance=0.5), Ridge(tolerance=0)
    predictions = [ridge.fit(features[:90], responses[:90]).predict(held) for ridge in ridges]
    early = ridges[0].solution_
    assert early.converged
    assert early.n_directions % WIDTH == 0
    assert early.n_directions < 340 < ridges[1].solution_.n_directions
    scores = [np.corrcoef(p.ravel(), responses[90:].ravel())[0, 1] for p in predictions]
    assert abs(scores[0] - scores[1]) < 2e-3


def test_storage_in_16_bits_keeps_three_digits(rng):
    features, responses = simulate(rng, 60, 10, 80, 4, np.float32)
    steps = Trajectory.from_steps(list(torch.from_numpy(features).unbind(1)))
    whole, half = Ridge(), Ridge(store="bfloat16")
    for ridge in (whole, half):
        ridge.partial_fit(steps, responses, np.arange(60) % 5)
    kept = [rows for batches in half.rows_.values() for rows in batches]
    assert all(rows.features.dtype == torch.bfloat16 for rows in kept)
    assert half.row_bytes < 0.6 * whole.row_bytes
    predictions = [ridge.solve().predict(steps) for ridge in (whole, half)]
    assert 0 < relative_error(predictions[1], predictions[0]) < 0.02
    with pytest.raises(UnknownNameError, match="did you mean 'bfloat16'"):
        Ridge(store="bfloat").partial_fit(steps, responses, np.arange(60) % 5)


def test_small_batches_are_gathered_without_loss(rng):
    length = chunk_length(2)
    sizes = [length, 100, 0, 300, length - 1, length + 5, 3]
    total = sum(sizes)
    numbers = torch.arange(total, dtype=torch.float32)
    batches = []
    for start, size in zip(np.cumsum([0, *sizes]), sizes, strict=False):
        some = numbers[start : start + size]
        features = some[:, None].expand(-1, 2)
        image = torch.arange(size) // 2
        batches = join_small_batches([*batches, Rows(features, some, some[:, None], image)], length)
    assert [len(rows.ones) for rows in batches] == [length, length + 399, length + 5, 3]
    batches = join_small_batches(batches, 1)
    for name in ("ones", "targets"):
        found = torch.cat([getattr(rows, name).ravel() for rows in batches])
        torch.testing.assert_close(found, numbers, rtol=0, atol=0)
    assert len(batches[1].image.unique()) == 50 + 150 + length // 2
    torch.testing.assert_close(batches[1].features[:, 0], batches[1].ones, rtol=0, atol=0)


def test_units_of_any_magnitude_are_fitted_equally_well(rng):
    """Units of different magnitude share directions equally; a large unit does not delay the others."""
    features, responses = simulate(rng, 80, 6, 300, 48, np.float32)
    sizes = 10.0 ** (np.arange(48) % 7 - 3)[:, None]
    steps = Trajectory.from_steps(list(torch.from_numpy(features).unbind(1)))
    plain, scaled = (Ridge().fit(features, responses * size).predict(steps) for size in (1, sizes))
    assert relative_error(scaled / sizes, plain) < 0.01


@pytest.mark.parametrize("scale", [1e-25, 1e-12, 1e12])
@pytest.mark.parametrize("offset", [0, 1e4])
def test_units_of_measurement_and_offsets_do_not_matter(scale, offset, rng):
    features, responses = simulate(rng, 60, 10, 80, 4, np.float32)
    plain = Ridge().fit(features, responses)
    other = Ridge().fit(features * np.float32(scale), responses.astype(float) + offset)
    wanted, got = (
        ridge.predict(Trajectory.from_steps(list(torch.from_numpy(x).unbind(1))))
        for ridge, x in ((plain, features), (other, features * np.float32(scale)))
    )
    assert relative_error(got - offset, wanted) < 1e-3
    np.testing.assert_allclose(other.alpha_, plain.alpha_ * scale**2, rtol=1e-3)


def test_the_fit_of_a_unit_does_not_depend_on_other_units(rng):
    features, responses = simulate(rng, 80, 6, 400, 30, np.float32)
    responses[:, :29] = rng.normal(size=responses[:, :29].shape)
    held = Trajectory.from_steps(list(torch.from_numpy(features[60:]).unbind(1)))
    company = Ridge().fit(features[:60], responses[:60])
    alone = Ridge().fit(features[:60], responses[:60, 29:])
    scores = [
        np.corrcoef(ridge.predict(held)[:, -1].ravel(), responses[60:, 29].ravel())[0, 1]
        for ridge in (company, alone)
    ]
    assert abs(scores[0] - scores[1]) < 0.01


def test_a_layer_without_signal_predicts_the_mean(rng):
    still = Trajectory((torch.ones(1, 3), torch.zeros(1, 3)), (0,) * 10 + (1,) * 15)
    responses = rng.normal(size=(20, 2, 25))
    ridge = Ridge().partial_fit(still, responses, np.arange(20) % 5).solve()
    assert ridge.predict(still, 4).shape == (4, 2, 25)


def test_repeated_blocks_are_merged_without_changing_the_fit(rng):
    blocks = [torch.from_numpy(rng.normal(size=(40, 7))) for _ in range(3)]
    index = [0] * 5 + [1] * 10 + [2] * 10
    merged = Trajectory(tuple(blocks), tuple(index))
    responses = rng.normal(size=(40, 4, 25)) + merged.dense().numpy()[..., :4].swapaxes(1, 2)
    spelled = Trajectory.from_steps([blocks[k].clone() for k in index])
    assert len(spelled.blocks) == 25
    folds = np.arange(40) % 5
    fits = [Ridge(tolerance=0).partial_fit(t, responses, folds) for t in (merged, spelled)]
    assert len(fits[0].rows_[0][0].ones) <= 3 * 8
    coefs = [fit.solve().coef_ for fit in fits]
    np.testing.assert_allclose(coefs[0], coefs[1], atol=1e-6)


@pytest.mark.parametrize("first", [0, 300])
def test_an_unusual_first_image_hardly_changes_the_fit(first, rng):
    """The first image is the origin of features, but must not decide which rows are dropped."""
    features, responses = simulate(rng, 80, 12, 60, 4, np.float32)
    features[0] *= first
    ridge = Ridge(tolerance=0).fit(features, responses)
    centered = features.reshape(-1, 60) - features.reshape(-1, 60).mean(0, dtype=float)
    alphas = ridge.solution_.relative_alphas * np.square(centered).sum(dtype=float) / 60
    wanted = oracle(features, responses, alphas)
    np.testing.assert_allclose(ridge.alpha_, wanted.alpha, rtol=1e-3)
    others = features[1:].reshape(-1, 60)
    assert relative_error(others @ ridge.coef_.T + ridge.intercept_, wanted.predict(others)) < 1e-4


@pytest.mark.parametrize("n_shared", [1, 3, FEW_BLOCKS + 3])
def test_rows_shared_by_all_images_become_one_row_per_group(n_shared, rng):
    """All moments of a group's rows are preserved, and rows keep their group."""
    groups = np.array([2, 0, 2, 2, 0, 1])
    blocks = [torch.from_numpy(rng.normal(size=(1, 30)) + k) for k in range(n_shared)]
    blocks.insert(1, torch.from_numpy(rng.normal(size=(6, 30))))
    trajectory = Trajectory(tuple(blocks), tuple(step % len(blocks) for step in range(25)))
    responses, shift = rng.normal(size=(6, 2, 25)), torch.from_numpy(rng.normal(size=30))
    rows = compress(trajectory, responses, groups, shift, 2.0)
    assert len(rows.ones) == 6 + 3 * n_shared
    x = (trajectory.dense() - shift) / 2
    y = torch.from_numpy(responses).transpose(1, 2)
    for group in range(3):
        mine, theirs = torch.from_numpy(groups[rows.image] == group), torch.from_numpy(groups == group)
        some, ones, targets = rows.features[mine], rows.ones[mine], rows.targets[mine]
        a, b = x[theirs].flatten(0, 1), y[theirs].flatten(0, 1)
        exact: Any = {"rtol": 1e-9, "atol": 1e-9}
        torch.testing.assert_close(some.T @ some, a.T @ a, **exact)
        torch.testing.assert_close(some.T @ targets, a.T @ b, **exact)
        torch.testing.assert_close(some.T @ ones, a.sum(0), **exact)
        torch.testing.assert_close(targets.T @ ones, b.sum(0), **exact)
        torch.testing.assert_close(ones @ ones, torch.tensor(float(len(a))).double(), **exact)


def test_images_without_shared_rows_keep_their_own(rng):
    blocks = [torch.from_numpy(rng.normal(size=(n, 30))) for n in (1, 6, 1)]
    trajectory = Trajectory(tuple(blocks), (0, 1, 1, 2))
    for mapping, n_rows in ((SGD(), 6 * 3), (Ridge(), 6 + 2 * 2)):
        mapping.partial_fit(trajectory, rng.normal(size=(6, 2, 4)), np.arange(6) % 2)
        assert mapping.n_rows == n_rows
        if mapping.by_image:
            images = torch.cat([rows.image for batches in mapping.rows_.values() for rows in batches])
            assert images.bincount().tolist() == [3] * 6


def test_a_layer_independent_of_the_image_predicts_the_mean(rng):
    trajectory = Trajectory(tuple(torch.from_numpy(rng.normal(size=(1, 30))) for _ in range(2)), (0, 0, 1, 1))
    responses, folds = rng.normal(size=(20, 3, 4)), np.arange(20) % 5
    ridge = Ridge(relative_alphas=np.array([1e-9]), tolerance=0)
    predicted = ridge.partial_fit(trajectory, responses, folds).solve().predict(trajectory, 20)
    means = np.repeat(responses.reshape(20, 3, 2, 2).mean((0, 3)), 2, axis=1)
    np.testing.assert_allclose(predicted, np.broadcast_to(means, responses.shape), atol=1e-6)


def test_rotation_preserves_the_ones_and_skips_few_runs(rng):
    blocks = [torch.from_numpy(rng.normal(size=(6, 30)) * 1e-5**k + 3) for k in range(5)]
    responses = rng.normal(size=(6, 2, 25))
    for n_blocks in (FEW_BLOCKS, FEW_BLOCKS + 1):
        trajectory = Trajectory(tuple(blocks[:n_blocks]), tuple(step % n_blocks for step in range(25)))
        rows = compress(trajectory, responses, np.arange(6), torch.zeros(30, dtype=torch.float64))
        x, y = trajectory.dense().flatten(0, 1), torch.from_numpy(responses).transpose(1, 2).flatten(0, 1)
        torch.testing.assert_close(rows.ones @ rows.ones, torch.tensor(150.0).double(), rtol=1e-12, atol=0)
        torch.testing.assert_close(rows.ones @ rows.features, x.sum(0), rtol=1e-12, atol=0)
        torch.testing.assert_close(rows.ones @ rows.targets, y.sum(0), rtol=1e-9, atol=1e-9)
        if n_blocks == FEW_BLOCKS:
            assert len(rows.ones) == 6 * n_blocks
            torch.testing.assert_close(rows.features.T @ rows.features, x.T @ x, rtol=1e-12, atol=0)
            torch.testing.assert_close(rows.features.T @ rows.targets, x.T @ y, rtol=1e-9, atol=1e-9)
        else:
            assert len(rows.ones) < 6 * n_blocks


def test_identical_bins_become_one_row(rng):
    """Rounding errors must not count as differences between bins."""
    steps = torch.from_numpy(rng.normal(size=(8, 40)).astype(np.float32) + 50)
    trajectory = Trajectory.from_steps([steps.clone() for _ in range(10)])
    rows = compress(trajectory, rng.normal(size=(8, 3, 10)), np.arange(8), torch.zeros(40))
    assert len(rows.ones) == 8


def test_the_batch_size_does_not_change_the_fit(rng):
    features, responses = simulate(rng, 60, 12, 50, 4, np.float32)
    steps = torch.from_numpy(features)
    predictions = []
    for batch in (60, 7):
        ridge = Ridge()
        for start in range(0, 60, batch):
            some = slice(start, start + batch)
            trajectory = Trajectory.from_steps(list(steps[some].unbind(1)))
            ridge.partial_fit(trajectory, responses[some], (np.arange(60) % 5)[some])
        predictions.append(ridge.solve().predict(Trajectory.from_steps(list(steps.unbind(1)))))
    assert relative_error(predictions[0], predictions[1]) < 1e-4


def test_rotation_preserves_every_inner_product(rng):
    features, responses = simulate(rng, 8, 25, 30, 3, np.float64)
    features = features[:, [0, 1, 2, 3] + 21 * [4]] + 1e-6 * features  # nearly constant from step 4 on
    shift = torch.from_numpy(features.mean((0, 1)))
    rows = compress(
        Trajectory.from_steps(list(torch.from_numpy(features).unbind(1))), responses, np.arange(8), shift
    )
    x = (features - shift.numpy()).reshape(-1, 30)
    y = responses.swapaxes(1, 2).reshape(-1, 3)
    np.testing.assert_allclose(rows.features.T @ rows.features, x.T @ x, atol=1e-6 * np.square(x).sum())
    np.testing.assert_allclose(rows.features.T @ rows.ones, x.sum(0), atol=1e-3 * np.abs(x).sum(0).max())
    np.testing.assert_allclose(rows.features.T @ rows.targets, x.T @ y, atol=1e-3 * np.abs(x.T @ y).max())
    assert len(rows.ones) < len(x)


@pytest.mark.parametrize("solver", ["dual", "krylov"])
def test_responses_of_a_fold_do_not_influence_the_map_validated_on_it(solver, rng, monkeypatch):
    """Pure noise must score as noise in the inner folds; choosing directions from them would leak."""
    monkeypatch.setattr(ridge_module, "choose_solver", lambda n_rows, n_features: solver)
    features, _ = simulate(rng, 60, 5, 400, 1, np.float32)
    responses = rng.normal(size=(60, 30, 5)).astype(np.float32)
    ridge = Ridge().fit(features, responses)
    assert ridge.solution_.validation_loss.min(0).mean() > 0.98


@pytest.mark.parametrize("what", ["constant features", "a constant unit", "a constant feature among others"])
def test_constant_features_and_units_are_fitted(what, rng):
    features, responses = simulate(rng, 40, 5, 20, 3, np.float32)
    if what == "constant features":
        features[:] = 1.5
    elif what == "a constant unit":
        responses[:, 1] = 2.0
    else:
        features[..., 3] = 7.0
    ridge = Ridge().fit(features, responses)
    predicted = ridge.predict(Trajectory.from_steps(list(torch.from_numpy(features).unbind(1))))
    assert np.isfinite(predicted).all()
    if what == "constant features":
        np.testing.assert_allclose(predicted[0, :, 0], responses.mean((0, 2)), rtol=1e-4)
    if what == "a constant unit":
        np.testing.assert_allclose(predicted[:, 1], 2.0, rtol=1e-4)


def test_nan_responses_and_a_single_fold_are_refused(rng):
    features, responses = simulate(rng, 10, 5, 4, 2, np.float32)
    responses[0, 0, 0] = np.nan
    with pytest.raises(ContractError, match="finite"):
        Ridge().fit(features, responses)
    with pytest.raises(ContractError, match="at least 2 inner folds"):
        Ridge().fit(features, np.nan_to_num(responses), n_folds=1)
