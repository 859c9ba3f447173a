"""Splits of images: shares, balance within objects, and seeds."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainfit.errors import ContractError
from brainfit.statistics.splits import image_folds, sample_images, train_test_split

NOTHING: Any = None
NAMES = np.repeat([f"object {k}" for k in range(64)], 10)


def test_a_quarter_of_each_object_is_held_out():
    train, test = train_test_split(NAMES)
    assert len(test) == 160
    assert len(train) == 480
    assert set(np.unique(NAMES[test], return_counts=True)[1]) <= {2, 3}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from("abcde"), min_size=12, max_size=80), st.integers(0, 99))
def test_train_and_test_partition_the_images(names, seed):
    names = np.array(names)
    train, test = train_test_split(names, seed=seed)
    assert sorted([*train, *test]) == list(range(len(names)))
    assert abs(len(test) - len(names) / 4) < 1
    for name in set(names):
        assert abs((names[test] == name).sum() - (names == name).sum() / 4) <= 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from("abcde"), min_size=5, max_size=80), st.integers(1, 5), st.integers(0, 99))
def test_folds_and_samples_are_balanced(names, n, seed):
    names = np.array(names)
    sizes = np.bincount(image_folds(names, n, seed=seed), minlength=n)
    assert sizes.max() - sizes.min() <= 1
    chosen = sample_images(names, n, seed=seed)
    assert len(set(chosen)) == n
    for name in set(names):
        assert abs((names[chosen] == name).sum() - (names == name).sum() * n / len(names)) <= 1


def test_a_split_depends_on_the_seed():
    same, again = train_test_split(NAMES, seed=3)[1], train_test_split(NAMES, seed=3)[1]
    np.testing.assert_array_equal(same, again)
    assert (train_test_split(NAMES, seed=4)[1] != same).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: train_test_split(NAMES[:3]), "give more images"),
        (lambda: image_folds(NAMES[:3], 5), "cannot make 5 folds"),
        (lambda: sample_images(NAMES, 641), "641 images were asked for, but there are 640"),
        (lambda: train_test_split(NAMES, seed=-1), "whole number from 0 up"),
        (lambda: train_test_split(NAMES, seed=NOTHING), "a seed is a whole number from 0 up, got None"),
        (lambda: train_test_split(NAMES, test_fraction=0), "strictly between 0 and 1, got 0"),
        (lambda: train_test_split(NAMES, test_fraction=1.0), "between 0 and 1"),
        (lambda: train_test_split(NAMES, test_fraction=float("nan")), "between 0 and 1"),
        (lambda: train_test_split(NAMES, test_fraction=NOTHING), "test_fraction is a number"),
        (lambda: sample_images(NAMES, 0), "n_images is a whole number from 1 up, got 0"),
        (lambda: sample_images(NAMES, NOTHING), "n_images is a whole number"),
        (lambda: image_folds(NAMES, 0), "n_folds is a whole number from 1 up"),
    ],
)
def test_impossible_splits_are_refused(call, message):
    with pytest.raises(ContractError, match=message):
        call()
