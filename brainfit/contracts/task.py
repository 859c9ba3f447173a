"""Define what a network can be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from brainfit.errors import ContractError

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


def check_task(task: Task) -> None:
    """Check the first examples of a task: one training and one validation image.

    Raises
    ------
    ContractError
        If an image or a class is not as `Example` says, or the same address gives two images.
    """
    for part, ask in (
        ("training", lambda: task.train_example(0, 0)),
        ("validation", lambda: task.val_example(0)),
    ):
        example, again = ask(), ask()
        if example is None or again is None:
            continue
        label = f"task {task.name!r}: its first {part} example"
        pixels, number = example
        wanted = [(channels, task.image_size, task.image_size) for channels in (1, 3)]
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape not in wanted:
            got = (
                f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
            )
            raise ContractError(f"{label} has pixels {got}; wanted uint8 {wanted[0]} or {wanted[1]}")
        if not isinstance(number, int | np.integer) or not 0 <= number < len(task.classes):
            raise ContractError(
                f"{label} has class {number!r}; wanted a whole number from 0 to {len(task.classes) - 1}"
            )
        if not np.array_equal(pixels, again[0]) or number != again[1]:
            raise ContractError(
                f"{label} differs when it is asked for again; make it depend on its address alone (epoch and "
                "position), so that a run can be resumed exactly"
            )
