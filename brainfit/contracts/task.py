"""Define what a network can be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

Example = tuple[np.ndarray, int]
"""Pixels, uint8, shape (channel, image_size, image_size) with 1 or 3 channels, and the class."""


class Task(Protocol):
    """Labelled images for training and validation.

    An example is a function of its address alone, never of what was asked before: that is what makes a
    training run that was stopped and resumed equal to one that was not.
    """

    @property
    def name(self) -> str:
        """Name that results show."""
        ...

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes, in the order of the network's outputs."""
        ...

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""
        ...

    @property
    def n_train(self) -> int:
        """Number of training images in an epoch."""
        ...

    @property
    def n_val(self) -> int:
        """Number of validation images."""
        ...

    @property
    def content(self) -> str:
        """Hash of everything that decides the images and their classes."""
        ...

    def train_example(self, epoch: int, position: int) -> Example | None:
        """Return one training image as it is shown in an epoch, or None if it cannot be read.

        Parameters
        ----------
        epoch
            From 0.
        position
            From 0 to ``n_train - 1``.
        """
        ...

    def val_example(self, position: int) -> Example | None:
        """Return one validation image, or None if it cannot be read; `position` is below ``n_val``."""
        ...
