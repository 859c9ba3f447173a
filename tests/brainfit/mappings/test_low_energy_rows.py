"""Rows that are dropped or kept in 16 bits must not cost accuracy."""

import numpy as np
import pytest
import torch

from brainfit.contracts.trajectory import Trajectory
from brainfit.mappings import base
from brainfit.mappings import ridge as ridge_module
from brainfit.mappings.ridge import Ridge
from brainfit.mappings.solvers import products
from brainfit.mappings.solvers.rows import LOW_ENERGY, compress, split_low_energy

FOLDS = np.arange(100) % 5


def trajectory(features):
    return Trajectory.from_steps(list(torch.from_numpy(features).unbind(1)))


def test_rows_are_separated_by_their_share_of_the_variance_of_an_image(rng):
    """This holds at any distance of an image from the origin, and beside much larger images."""
    x = rng.normal(size=(6, 10, 40)) * 0.3 ** np.arange(10)[:, None]
    x = (x + 3 * rng.normal(size=(6, 1, 40))) * 10.0 ** np.arange(6)[:, None, None]
    rows = compress(
        trajectory(x), rng.normal(size=(6, 2, 10)), np.arange(6), torch.zeros(40).double(), 1.0, 1e-3
    )
    plain, low = split_low_energy(rows)
    assert (plain.low_energy, low.low_energy) == (False, True)
    for name in ("features", "ones", "targets", "image"):
        assert len(getattr(plain, name)) + len(getattr(low, name)) == len(getattr(rows, name))
    for image in range(6):
        energy = np.linalg.svd(x[image] - x[image].mean(0), compute_uv=False)[:-1] ** 2
        share = energy / energy.sum()
        held = [part.features[part.image == image].square().sum(1).numpy() for part in (plain, low)]
        assert len(held[0]) == 1 + (share >= LOW_ENERGY**2).sum()
        wanted = energy[(share < LOW_ENERGY**2) & (share[::-1].cumsum()[::-1] > 1e-8)]
        np.testing.assert_allclose(np.sort(held[1]), np.sort(wanted), rtol=1e-6)


def test_rows_that_are_not_rotated_have_no_low_energy(rng):
    blocks = [torch.randn(5, 30) * size for size in (1, 1e-4, 1e-6)]
    rows = compress(Trajectory.from_steps(blocks), rng.normal(size=(5, 2, 3)), np.arange(5), torch.zeros(30))
    assert split_low_energy(rows) == [rows]


@pytest.fixture(scope="module")
def course():
    """Make a layer that is nearly all a shared time course, and responses to the remainder."""
    rng = np.random.default_rng(0)
    own = np.einsum("itk,kf->itf", rng.normal(size=(100, 16, 10)), rng.normal(size=(10, 4000)))
    features = 3000 * rng.normal(size=(16, 4000)) * 0.5 ** np.arange(16)[:, None] + own
    signal = np.einsum("itf,fu->iut", own, rng.normal(size=(4000, 5)))
    return features, signal + 0.05 * signal.std() * rng.normal(size=signal.shape)


def predicted(features, responses):
    ridge = Ridge(tolerance=0, max_blocks=24).partial_fit(trajectory(features), responses, FOLDS)
    ridge.solve()
    assert (
        ridge.solution_.validation_loss.argmin(0) == 0
    ).all()  # at the lowest penalty every direction matters
    return ridge.predict(trajectory(features))


@pytest.mark.parametrize("fast", [True, False], ids=["in 16 bits", "widened"])
def test_dropped_rows_do_not_matter_at_low_penalties(fast, course, monkeypatch):
    """Compare with float64, which test_ridge.py compares with sklearn; 2e-3 costs much more."""
    monkeypatch.setattr(ridge_module, "choose_solver", lambda n_rows, n_features: "krylov")
    monkeypatch.setattr(products, "multiplies_in_bfloat16", lambda _: fast)
    features, responses = course
    wanted = predicted(features, responses)
    single = predicted(features.astype(np.float32), responses.astype(np.float32))
    error = np.sqrt(((single - wanted) ** 2).mean()) / wanted.std()
    assert error < 8e-3
    monkeypatch.setattr(Ridge, "_row_tolerance", base.TOLERANCE)
    coarse = predicted(features.astype(np.float32), responses.astype(np.float32))
    assert np.sqrt(((coarse - wanted) ** 2).mean()) / wanted.std() > 3 * error


def test_low_energy_rows_are_stored_in_16_bits_except_in_float64(course):
    features, responses = course
    for dtype, expected in ((np.float32, {torch.float32, torch.bfloat16}), (np.float64, {torch.float64})):
        ridge = Ridge().partial_fit(trajectory(features.astype(dtype)), responses, FOLDS)
        batches = [rows for batches in ridge.rows_.values() for rows in batches]
        assert {rows.features.dtype for rows in batches} == expected
        assert all(rows.low_energy is (rows.features.dtype == torch.bfloat16) for rows in batches)
