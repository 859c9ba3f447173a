"""Divide trials into two halves: by block where trials are blocks, else image by image.

A response level that drifts from block to block (`brainfit.statistics.blocks`) is common to all images. If
each image's trials were halved independently, that level would cancel in the average of all trials but would
make the two halves disagree, so that reliability comes out too low. Halving blocks, the same for all images,
keeps the level constant over images, which no correlation sees. An image that lacks trials of some blocks
keeps to the same halves as far as they leave it two equal halves.
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np

from brainfit.statistics.blocks import are_blocks


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
        arbitrary fixed weights, in which only equal trials tie. Where trials are blocks it is the same for
        all images, and blocks that no image has come last.
    """
    n_images, _, n_bins = trials.shape
    key = np.einsum("itb,ib->it", trials, np.random.default_rng(0).random((n_images, n_bins)))
    if are_blocks(present):
        total = np.where(present, key, 0).sum(axis=0)
        return np.broadcast_to(np.lexsort((total, ~present.any(axis=0))), present.shape)
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


def halves_of_incomplete_blocks(
    first: np.ndarray, present: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Choose half of each image's trials, the same blocks for all images as far as possible.

    Parameters
    ----------
    first
        Which blocks form the first half, shape (split, block).
    present
        Which blocks each image has, shape (image, block), bool.
    rng
        Decides which trials change sides where an image has too many in one half.

    Returns
    -------
    array of bool, shape (split, image, block)
        Of an odd number of trials either half has one more.
    """
    n_trials = present.sum(axis=1)
    chosen = np.empty((len(first), *present.shape), bool)
    for split, of_split in enumerate(first):
        size = np.clip((present & of_split).sum(axis=1), n_trials // 2, n_trials - n_trials // 2)
        order = np.lexsort((rng.random(len(of_split)), ~of_split))
        ranked = present[:, order]
        chosen[split][:, order] = ranked & (ranked.cumsum(axis=1) <= size[:, None])
    return chosen
