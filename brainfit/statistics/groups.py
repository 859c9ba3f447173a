"""Images that show the same picture: they are split, folded and resampled together."""

from __future__ import annotations

import numpy as np


def number_groups(labels: np.ndarray | None, n_images: int) -> tuple[np.ndarray, np.ndarray]:
    """Assign numbers to groups of images, in the order of their first image.

    Parameters
    ----------
    labels
        Images with the same label are one group, shape (image,), any labels; None: each image is its own.
    n_images
        Number of images.

    Returns
    -------
    first, group
        The first image of each group, shape (group,), and each image's group, shape (image,).

    Examples
    --------
    >>> number_groups(np.array(["cat", "ape", "cat"]), 3)
    (array([0, 1]), array([0, 1, 0]))
    """
    if labels is None:
        return np.arange(n_images), np.arange(n_images)
    _, first, group = np.unique(labels, return_index=True, return_inverse=True, axis=0)
    order = np.argsort(first)
    position = np.empty(len(order), int)
    position[order] = np.arange(len(order))
    return first[order], position[group.ravel()]
