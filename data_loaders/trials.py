"""Arrange presentations as trials of images."""

from __future__ import annotations

import numpy as np

from brainfit.errors import ContractError
from brainfit.support.messages import printable

_MOSTLY_EMPTY = 64
"""Largest ratio of the table of trials to the presentations in it."""


def trial_table(images: np.ndarray, repetition: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Group presentations by the image shown.

    Parameters
    ----------
    images
        Image of each presentation, shape (presentation,).
    repetition
        Number of the repetition of that image, shape (presentation,). Presentations of an image with equal
        numbers keep the order of the file, as all do if this is None.

    Returns
    -------
    names, table
        Images in order of their names, shape (image,), and the position of the presentation of each trial,
        shape (image, trial), -1 where an image has fewer trials than others.

    Raises
    ------
    ContractError
        If one image was shown so much more often than the others that the table would be almost empty.
    """
    names, image, counts = np.unique(images, return_inverse=True, return_counts=True)
    n_trials = int(counts.max())
    if names.size * n_trials > max(_MOSTLY_EMPTY * images.size, 2**20):
        often = printable(repr(names[counts.argmax()].item()))
        raise ContractError(
            f"image {often} was shown {n_trials} times, and {names.size} images {images.size} times in all; "
            "leave it out, or give a part of its trials"
        )
    order = np.lexsort(
        (np.arange(images.size), np.zeros(images.size) if repetition is None else repetition, image)
    )
    trial = np.arange(images.size) - np.repeat(np.cumsum(counts) - counts, counts)
    table = np.full((names.size, n_trials), -1)
    table[image[order], trial] = order
    return names, table
