"""Images in folders, one a class, as ImageNet comes: ``train/<class>/*`` and ``val/<class>/*``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from brainfit.errors import ContractError, IntegrityError
from brainfit.support.arguments import whole_number
from brainfit.support.messages import printable, reason

from .crops import SUFFIXES, check_sizes, training_crop, validation_crop


@dataclass(frozen=True)
class ImageFolder:
    """A task in folders; satisfies `brainfit.contracts.task.Task`. `image_folder` makes one.

    Attributes
    ----------
    folder
        The folder with ``train`` and ``val``.
    image_size
        Pixels a side.
    classes
        Names of the folders, sorted.
    train, val
        Paths of the images below `folder`, and the class of each.
    content
        Hash of all names and sizes.
    seed
        Seed of crops and flips.
    """

    folder: Path
    image_size: int
    classes: Sequence[str]
    train: Sequence[tuple[str, int]]
    val: Sequence[tuple[str, int]]
    content: str
    seed: int = 0
    name: str = field(default="imagefolder", init=False)

    @property
    def n_train(self) -> int:
        """Number of training images."""
        return len(self.train)

    @property
    def n_val(self) -> int:
        """Number of validation images."""
        return len(self.val)

    def train_example(self, epoch: int, position: int) -> tuple[np.ndarray, int] | None:
        """Return a random crop of a training image, uint8, shape (3, size, size), and its class."""
        path, label = self.train[position]
        pixels = training_crop(self.folder / path, path, self.image_size, (self.seed, epoch, position))
        return None if pixels is None else (pixels, label)

    def val_example(self, position: int) -> tuple[np.ndarray, int] | None:
        """Return the centre of a validation image, uint8, shape (3, size, size), and its class."""
        path, label = self.val[position]
        pixels = validation_crop(self.folder / path, path, self.image_size)
        return None if pixels is None else (pixels, label)


def image_folder(folder: str | os.PathLike[str], image_size: int = 128, seed: int = 0) -> ImageFolder:
    """Return the task of the images in a folder; names and sizes of files and a few images are read.

    Parameters
    ----------
    folder
        A folder with ``train/<class>/`` and ``val/<class>/``.
    image_size
        Pixels a side.
    seed
        Seed of crops and flips.

    Raises
    ------
    IntegrityError
        If the folder cannot be read.
    ContractError
        If there are no images, fewer than two classes, a class has images in one part only, or most images
        are smaller than `image_size`. Single images that are smaller are enlarged.
    """
    root = Path(folder)
    size = whole_number("image_size", image_size, least=8)
    found = {part: _listed(root, part) for part in ("train", "val")}
    classes = tuple(found["train"])
    if len(classes) < 2:
        raise ContractError(
            f"{printable(root / 'train')} has images of {len(classes)} class{'es' * (len(classes) != 1)}; "
            "wanted a folder with images for each of two classes or more"
        )
    missing = sorted(set(classes) - set(found["val"]))
    extra = sorted(set(found["val"]) - set(classes))
    for names, there, here in ((missing, "train", "val"), (extra, "val", "train")):
        if names:
            listed = ", ".join(map(printable, names[:5])) + (", …" if len(names) > 5 else "")
            raise ContractError(f"{len(names)} classes have images in {there} but not in {here}: {listed}")
    content = hashlib.sha256()
    parts = {}
    for part, by_class in found.items():
        rows = [(f"{part}/{name}/{file}", k) for k, name in enumerate(classes) for file, _ in by_class[name]]
        sizes = [length for name in classes for _, length in by_class[name]]
        for (path, _), length in zip(rows, sizes, strict=True):
            content.update(f"{path}\0{length}\n".encode("utf-8", "surrogateescape"))
        parts[part] = rows
    for part, rows in parts.items():
        check_sizes(printable(root / part), len(rows), partial(_path_of, root, rows), size)
    return ImageFolder(root, size, classes, parts["train"], parts["val"], content.hexdigest(), seed)


def _path_of(root: Path, rows: Sequence[tuple[str, int]], position: int) -> Path:
    return root / rows[position][0]


def _listed(root: Path, part: str) -> dict[str, list[tuple[str, int]]]:
    """Return name and size of the images of each class, sorted."""
    try:
        folders = sorted(entry.name for entry in os.scandir(root / part) if entry.is_dir())
        found = {
            name: sorted(
                (entry.name, entry.stat().st_size)
                for entry in os.scandir(root / part / name)
                if entry.name.lower().endswith(SUFFIXES) and entry.is_file()
            )
            for name in folders
        }
    except OSError as error:
        raise IntegrityError(
            f"cannot read {printable(root / part)}: {reason(error)}; wanted a folder with train/<class>/ and "
            "val/<class>/"
        ) from error
    return {name: files for name, files in found.items() if files}
