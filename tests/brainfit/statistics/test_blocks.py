"""Levels of blocks against a dense least-squares solution."""

import numpy as np
import pytest

from brainfit.statistics.blocks import BlockLevels, are_blocks

PRESENT = {
    "complete": lambda rng: np.ones((12, 5), bool),
    "some missing": lambda rng: _some(rng, 30, 6, 0.2),
    "half missing": lambda rng: _some(rng, 60, 8, 0.5),
    "two sets of images with blocks of their own": lambda rng: np.kron(np.eye(2), np.ones((20, 4))) > 0,
}


def _some(rng, n_images, n_trials, share):
    present = rng.random((n_images, n_trials)) >= share
    present[:, :2] = True
    return present


@pytest.mark.parametrize("make", PRESENT.values(), ids=PRESENT)
def test_residuals_and_degrees_of_freedom_are_those_of_dense_least_squares(make, rng):
    present = make(rng)
    image, block = np.nonzero(present)
    design = np.concatenate([np.eye(present.shape[0])[image], np.eye(present.shape[1])[block]], axis=1)
    trials = rng.normal(size=present.shape) + 3 * rng.normal(size=(1, present.shape[1]))
    hat = design @ np.linalg.pinv(design)
    wanted = trials[present] - hat @ trials[present]

    fit = BlockLevels.of(present)
    mean = np.where(present, trials, 0).sum(axis=1) / present.sum(axis=1)
    residual = np.where(present, trials - mean[:, None], 0)
    found = fit.without(residual, fit.levels(residual), present)
    np.testing.assert_allclose(found[present], wanted, atol=1e-12)
    assert not found[~present].any()
    freedom = np.bincount(image, weights=1 - np.diag(hat))
    np.testing.assert_allclose(fit.freedom, freedom, atol=1e-12)
    assert fit.n_levels == np.linalg.matrix_rank(design) - present.shape[0]


def test_rare_blocks_share_a_level_and_too_few_trials_have_none():
    """Each image has trials of its own: nothing separates a block from its image."""
    present = np.kron(np.eye(8), np.ones((1, 3))) > 0
    fit = BlockLevels.of(present)
    assert fit.n_levels == 0
    np.testing.assert_allclose(fit.freedom, 2)


def test_positions_are_blocks_unless_images_only_differ_in_their_number_of_trials(rng):
    present = np.ones((8, 4), bool)
    present[:, 2] = False
    assert are_blocks(present)  # a position that no image has
    present[1, 3] = False
    assert are_blocks(present)  # one trial of many
    present[2:5, 3] = False
    assert not are_blocks(present)  # three trials or two
    present[6, 1] = False
    assert are_blocks(present)  # two trials each, but different ones
    for _ in range(5):
        assert are_blocks(present[:, rng.permutation(4)])
