"""Split images into training, test and folds: within object, and never within an image.

Whole images are split, so a trial or a time bin of a test image cannot reach training; and images that show
the same picture form a group that stays together.
"""

from __future__ import annotations

import numpy as np

from brainfit.errors import ContractError
from brainfit.statistics.groups import number_groups
from brainfit.support.arguments import fraction, whole_number
from brainfit.support.seeds import generator


def train_test_split(
    object_names: np.ndarray,
    *,
    test_fraction: float = 0.25,
    seed: int = 0,
    groups: np.ndarray | None = None,
    candidates: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Split images within each object, by default 75 % for training and 25 % for test.

    Images are put in order object by object, shuffled within the object, and every fourth one is taken for
    the test: the test set has the requested share overall, and each object gives its share to within one
    image, however few images it has.

    Parameters
    ----------
    object_names
        The object that each image shows, shape (image,).
    test_fraction
        Share of images held out, between 0 and 1, exclusive.
    seed
        Whole number from 0 up; the same seed gives the same split.
    groups
        Images of one group go to the same side, shape (image,), any labels; by default each is its own group.
    candidates
        Images that may be held out, shape (image,), bool; by default all. A group is a candidate if all of
        its images are. Where fewer than `test_fraction` of the images are, all of them are held out.

    Returns
    -------
    train, test
        Sorted positions of images.

    Raises
    ------
    ContractError
        If an argument is out of range, or fewer than two images are left on either side.

    References
    ----------
    Nayebi et al. (2018), arXiv:1807.00053, supplement 6.6: 75 % within each object category.
    """
    test_fraction = fraction("test_fraction", test_fraction)
    object_names = np.asarray(object_names)
    first, group = number_groups(groups, len(object_names))
    eligible = np.ones(len(first), bool)
    if candidates is not None:
        eligible[group[~np.asarray(candidates, bool)]] = False
    is_test = np.zeros(len(first), bool)
    if eligible.any():
        order, phase = _dealt(object_names[first[eligible]], generator(seed, "train-test split"))
        share = test_fraction if eligible.all() else min(test_fraction * len(first) / len(order), 1.0)
        turn = np.floor((np.arange(len(order) + 1) + phase) * share)
        is_test[np.flatnonzero(eligible)[order]] = np.diff(turn) > 0
    train, test = np.flatnonzero(~is_test[group]), np.flatnonzero(is_test[group])
    if len(train) < 2 or len(test) < 2:
        alike = "" if len(first) == len(group) else f", of which {len(first)} are different pictures,"
        raise ContractError(
            f"{len(group)} images{alike} split into {len(train)} for training and {len(test)} for test; "
            "at least 2 of each are needed, so give more images"
        )
    return train, test


def sample_images(object_names: np.ndarray, n_images: int, *, seed: int = 0) -> np.ndarray:
    """Draw `n_images` images, each object giving its share to within one image.

    Returns
    -------
    array of int
        Sorted positions of images.

    Raises
    ------
    ContractError
        If there are fewer images.
    """
    n_images = whole_number("n_images", n_images, least=1)
    if n_images > len(object_names):
        raise ContractError(f"{n_images} images were asked for, but there are {len(object_names)}")
    order, phase = _dealt(object_names, generator(seed, "sample of images"))
    turn = np.floor((np.arange(len(order) + 1) * n_images + phase) / len(order))
    return np.sort(order[np.diff(turn) > 0])


def image_folds(
    object_names: np.ndarray, n_folds: int, *, seed: int = 0, groups: np.ndarray | None = None
) -> np.ndarray:
    """Assign each image to one of `n_folds` inner folds, balanced overall and within object.

    Parameters
    ----------
    object_names, seed, groups
        As for `train_test_split`; images of one group are in the same fold.
    n_folds
        Number of folds.

    Returns
    -------
    array of int, shape (image,)
        The fold in which each image is held out.
    """
    n_folds = whole_number("n_folds", n_folds, least=1)
    object_names = np.asarray(object_names)
    first, group = number_groups(groups, len(object_names))
    order, phase = _dealt(object_names[first], generator(seed, "inner folds"))
    if len(order) < n_folds:
        raise ContractError(f"{len(order)} training images cannot make {n_folds} folds; give more images")
    fold = np.empty(len(order), int)
    fold[order] = (np.arange(len(order)) + int(phase * n_folds)) % n_folds
    return fold[group]


def _dealt(object_names: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Return an order that goes object by object, both shuffled, and where in the round to start."""
    _, codes = np.unique(np.asarray(object_names).astype(str), return_inverse=True)
    shuffled_objects = rng.permutation(codes.max() + 1)[codes]
    order = np.lexsort((rng.random(len(codes)), shuffled_objects))
    return order, float(rng.random())
