"""Images in folders, one a class, as ImageNet comes: ``train/<class>/*`` and ``val/<class>/*``.

Training crops, resizes and flips at random, validation takes the centre, as in He et al. (2016) and the code
that followed it. The random numbers of an image are named by the seed, the epoch and its position.

References
----------
.. [1] He et al. (2016), Deep residual learning for image recognition. CVPR. arXiv:1512.03385, section 3.4.
.. [2] Szegedy et al. (2015), Going deeper with convolutions. CVPR. arXiv:1409.4842, section 6: crops of 8 to
   100 % of the area.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from brainfit.errors import ContractError, IntegrityError
from brainfit.support.arguments import whole_number
from brainfit.support.messages import printable, reason

SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm")
_AREA, _RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
_CENTRE = 224 / 256  # side of the centre crop, as a share of the shorter side
_TRIES = 10
_log = logging.getLogger(__name__)


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
        rng = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, epoch, position, 0]))
        return self._read(path, label, lambda image: _random_crop(image, self.image_size, rng))

    def val_example(self, position: int) -> tuple[np.ndarray, int] | None:
        """Return the centre of a validation image, uint8, shape (3, size, size), and its class."""
        path, label = self.val[position]
        return self._read(path, label, lambda image: _centre_crop(image, self.image_size))

    def _read(
        self, path: str, label: int, crop: Callable[[Image.Image], Image.Image]
    ) -> tuple[np.ndarray, int] | None:
        try:
            with Image.open(self.folder / path) as file:
                if file.format == "JPEG" and min(file.size) > 4 * self.image_size:
                    file.draft("RGB", (2 * self.image_size, 2 * self.image_size))
                image = ImageOps.exif_transpose(file).convert("RGB")
            pixels = np.asarray(crop(image))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            _log.warning("image %s cannot be read and is skipped: %s", printable(path), reason(error))
            return None
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)), label


def image_folder(folder: str | os.PathLike[str], image_size: int = 128, seed: int = 0) -> ImageFolder:
    """Return the task of the images in a folder; only names and sizes of files are read.

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
        If there are no images, fewer than two classes, or a class has images in one part only.
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
    return ImageFolder(root, size, classes, parts["train"], parts["val"], content.hexdigest(), seed)


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


def _random_crop(image: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
    """Return a crop of random area and ratio [2]_, flipped in half of the cases."""
    width, height = image.size
    box = None
    for _ in range(_TRIES):
        area = width * height * rng.uniform(*_AREA)
        ratio = math.exp(rng.uniform(*np.log(_RATIO)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
            box = (left, top, left + w, top + h)
            break
    if box is None:
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        box = (left, top, left + side, top + side)
    resized = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    return ImageOps.mirror(resized) if rng.random() < 0.5 else resized


def _centre_crop(image: Image.Image, size: int) -> Image.Image:
    """Return the centre square, 7/8 of the shorter side wide."""
    width, height = image.size
    side = _CENTRE * min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box)
