"""Halves of trials: their choice, their size, and independence of the order of trials."""

from math import comb

import numpy as np
import pytest

from brainfit.statistics.halves import (
    halves_of_blocks,
    halves_of_images,
    halves_of_incomplete_blocks,
    trial_order,
)


@pytest.mark.parametrize(
    ("n_blocks", "n_splits"), [(2, 100), (3, 100), (4, 100), (7, 100), (8, 35), (9, 10), (50, 9)]
)
def test_halves_of_blocks_are_all_halves_or_random_ones(n_blocks, n_splits, rng):
    first = halves_of_blocks(n_blocks, n_splits, rng)
    assert (first.sum(axis=1) == n_blocks // 2).all()
    n_all = comb(n_blocks, n_blocks // 2) // (2 - n_blocks % 2)
    assert len(first) == min(n_all, n_splits)
    if n_all <= n_splits:
        either_way = {tuple(row) for row in first} | {tuple(~row) for row in first if n_blocks % 2 == 0}
        assert len(either_way) == comb(n_blocks, n_blocks // 2)


def test_each_image_gives_half_of_its_trials(rng):
    n_trials = np.array([2, 5, 9, 12])
    chosen = halves_of_images(rng.random((20, 4, 12)), n_trials)
    np.testing.assert_array_equal(chosen.sum(axis=2), np.tile(n_trials // 2, (20, 1)))
    assert not chosen[:, np.arange(12) >= n_trials[:, None]].any()


def test_halves_of_images_are_exact_where_keys_are_equal(rng):
    chosen = halves_of_images(np.floor(3 * rng.random((20, 5, 8))), np.full(5, 8))
    assert (chosen.sum(axis=2) == 4).all()


@pytest.mark.parametrize("n_blocks", [4, 7, 10])
def test_halves_of_incomplete_blocks_are_equal_and_change_no_more_than_needed(n_blocks, rng):
    present = rng.random((30, n_blocks)) < 0.8
    present[:, :2] = True
    first = halves_of_blocks(n_blocks, 12, rng)
    chosen = halves_of_incomplete_blocks(first, present, rng)
    n_trials, size = present.sum(axis=1), chosen.sum(axis=2)
    assert not (chosen & ~present).any()
    assert ((size == n_trials // 2) | (size == n_trials - n_trials // 2)).all()
    in_first = (present & first[:, None]).sum(axis=2)
    changed = ((chosen != first[:, None]) & present).sum(axis=2)
    np.testing.assert_array_equal(changed, np.abs(size - in_first))
    complete = present.all(axis=1)
    np.testing.assert_array_equal(chosen[:, complete], np.repeat(first[:, None], complete.sum(), axis=1))


@pytest.mark.parametrize("missing", ["none", "last", "anywhere"])
def test_halves_follow_the_content_of_trials_not_their_order(missing, rng):
    trials = rng.poisson(2.0, size=(6, 9, 3)).astype(float)
    present = np.ones((6, 9), bool)
    if missing != "none":
        present[:3, 6:] = False
    if missing == "anywhere":
        present[4, 2:5] = False
    trials[~present] = 0
    order = trial_order(trials, present)
    turned = rng.permutation(9)
    again = trial_order(trials[:, turned], present[:, turned])
    for array in (trials, present[..., None]):
        first = np.take_along_axis(array, order[..., None], axis=1)
        second = np.take_along_axis(array[:, turned], again[..., None], axis=1)
        np.testing.assert_array_equal(first.sum(axis=2), second.sum(axis=2))
    if missing == "anywhere":
        assert (order == order[:1]).all()
    else:
        assert (np.diff(np.take_along_axis(present, order, axis=1).astype(int), axis=1) <= 0).all()
