"""Divide trials into two halves: by block where trials are blocks, else image by image.

Trials are blocks where every image has the same ones, as in an experiment that shows all images once before
it shows any of them again. A response level that drifts from block to block is then common to all images. If
each image's trials were halved independently, that level would cancel in the average of all trials but would
make the two halves disagree, so that reliability comes out too low. Halving blocks, the same for all images,
keeps the level constant over images, which no correlation sees.
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np


def are_blocks(present: np.ndarray) -> bool:
    """Return True if every image has the same trials.

    Parameters
    ----------
    present
        Shape (image, trial), bool: which trials exist.

    Examples
    --------
    >>> are_blocks(np.array([[True, True, False], [True, True, False]]))
    True
    >>> are_blocks(np.array([[True, True, False], [True, True, True]]))
    False
    """
    return bool((present == present[:1]).all())


def trial_order(trials: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Order trials by their values, missing ones last, so that their order in the array does not matter.

    Parameters
    ----------
    trials
        Shape (image, trial, time_bin), finite; missing trials hold any number.
    present
        Shape (image, trial), bool.

    Returns
    -------
    array of int, shape (image, trial)
        For each image the positions of its trials, in the order of a weighted sum of their values with
        arbitrary fixed weights, in which only equal trials tie. It is the same for all images where trials
        are blocks.
    """
    n_images, _, n_bins = trials.shape
    key = np.einsum("itb,ib->it", trials, np.random.default_rng(0).random((n_images, n_bins)))
    if are_blocks(present):
        return np.broadcast_to(np.lexsort((key.sum(axis=0), ~present[0])), present.shape)
    return np.lexsort((key, ~present), axis=1)


def halves_of_blocks(n_blocks: int, n_splits: int, rng: np.random.Generator) -> np.ndarray:
    """Draw halves of blocks: all there are, if they are no more than `n_splits`, or else random ones.

    Returns
    -------
    array of bool, shape (split, block)
        True for blocks of the first half; if their number is odd, the second half has one more.
    """
    half = n_blocks // 2
    n_all = comb(n_blocks, half) // (1 if n_blocks % 2 else 2)
    if n_all > n_splits:
        rank = rng.random((n_splits, n_blocks)).argsort(axis=1).argsort(axis=1)
        return rank < half
    rest = range(n_blocks) if n_blocks % 2 else range(1, n_blocks)  # of two equal halves one has block 0
    first = np.zeros((n_all, n_blocks), bool)
    for split, chosen in enumerate(combinations(rest, half)):
        first[split, list(chosen)] = True
    return first


def halves_of_images(keys: np.ndarray, n_trials: np.ndarray) -> np.ndarray:
    """Choose half of each image's trials: those of smallest key.

    Parameters
    ----------
    keys
        Random numbers, shape (split, image, trial).
    n_trials
        Trials of each image, the first of its row, shape (image,).

    Returns
    -------
    array of bool, shape (split, image, trial)
        True for trials of the first half; if their number is odd, the second half has one more.
    """
    missing = np.arange(keys.shape[2]) >= n_trials[:, None]
    chosen = np.empty(keys.shape, bool)
    half = n_trials // 2
    for split, of_split in enumerate(keys):
        of_split = np.where(missing, np.inf, of_split) if missing.any() else of_split
        largest = np.take_along_axis(np.sort(of_split, axis=1), half[:, None] - 1, axis=1)
        np.less_equal(of_split, largest, out=chosen[split])
        for image in np.flatnonzero(chosen[split].sum(axis=1) > half):  # two keys are equal
            chosen[split, image] = False
            chosen[split, image, of_split[image].argsort()[: half[image]]] = True
    return chosen
