"""Splits of images into training, test and folds: within object, and never within an image.

What is split is always images, so a trial or a time bin of a test image cannot reach training.
"""

from __future__ import annotations

import numpy as np

from brainfit.errors import ContractError
from brainfit.support.arguments import fraction, whole_number
from brainfit.support.seeds import generator


def train_test_split(
    object_names: np.ndarray, *, test_fraction: float = 0.25, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Split images 75/25 within each object.

    Images are put in order object by object, shuffled within the object, and every fourth one is
    taken for the test: the test set has the asked share overall, and each object gives its share
    to within one image, however few images it has.

    Parameters
    ----------
    object_names
        One name an image, shape (image,).
    test_fraction
        Share of images held out, between 0 and 1, neither of them.
    seed
        Whole number from 0 up; same seed, same split.

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
    order, phase = _dealt(object_names, generator(seed, "train-test split"))
    turn = np.floor((np.arange(len(order) + 1) + phase) * test_fraction)
    is_test = np.zeros(len(order), bool)
    is_test[order] = np.diff(turn) > 0
    train, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
    if len(train) < 2 or len(test) < 2:
        raise ContractError(
            f"{len(order)} images split into {len(train)} for training and {len(test)} for test; "
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
        If there are not so many.
    """
    n_images = whole_number("n_images", n_images, least=1)
    if n_images > len(object_names):
        raise ContractError(f"{n_images} images were asked for, but there are {len(object_names)}")
    order, phase = _dealt(object_names, generator(seed, "sample of images"))
    turn = np.floor((np.arange(len(order) + 1) * n_images + phase) / len(order))
    return np.sort(order[np.diff(turn) > 0])


def image_folds(object_names: np.ndarray, n_folds: int, *, seed: int = 0) -> np.ndarray:
    """Give each image one of `n_folds` inner folds, balanced overall and within object.

    Returns
    -------
    array of int, shape (image,)
        The fold in which each image is held out.
    """
    n_folds = whole_number("n_folds", n_folds, least=1)
    order, phase = _dealt(object_names, generator(seed, "inner folds"))
    if len(order) < n_folds:
        raise ContractError(f"{len(order)} training images cannot make {n_folds} folds; give more images")
    fold = np.empty(len(order), int)
    fold[order] = (np.arange(len(order)) + int(phase * n_folds)) % n_folds
    return fold


def _dealt(object_names: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Order that goes object by object, both shuffled, and where in the round to start."""
    _, codes = np.unique(np.asarray(object_names).astype(str), return_inverse=True)
    shuffled_objects = rng.permutation(codes.max() + 1)[codes]
    order = np.lexsort((rng.random(len(codes)), shuffled_objects))
    return order, float(rng.random())
