"""Turn the bytes of an image into the square that a network is shown.

Training crops, resizes and flips at random, validation takes the centre, as in He et al. (2016) and the code
that followed it.

References
----------
.. [1] He et al. (2016), Deep residual learning for image recognition. CVPR. arXiv:1512.03385, section 3.4.
.. [2] Szegedy et al. (2015), Going deeper with convolutions. CVPR. arXiv:1409.4842, section 6: crops of 8 to
   100 % of the area.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps

from brainfit.errors import ContractError
from brainfit.support.messages import printable, reason

SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm")
_AREA, _RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
_CENTRE = 224 / 256  # side of the centre crop, as a share of the shorter side
_TRIES = 10
_SAMPLE = 32
_UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
_log = logging.getLogger(__name__)


def training_crop(
    source: Path | IO[bytes], name: str, size: int, numbers: tuple[int, int, int]
) -> np.ndarray | None:
    """Return a random crop, uint8, shape (3, size, size), or None, with a warning, if it cannot be read.

    Parameters
    ----------
    source
        The file.
    name
        Its name in the warning.
    size
        Pixels a side.
    numbers
        Seed, epoch and position, which name the random numbers.
    """
    seed, epoch, position = numbers
    rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, epoch, position, 0]))
    return _read(source, name, size, lambda image: _random_crop(image, size, rng))


def validation_crop(source: Path | IO[bytes], name: str, size: int) -> np.ndarray | None:
    """Return the centre, uint8, shape (3, size, size), or None, with a warning, if it cannot be read."""
    return _read(source, name, size, lambda image: _centre_crop(image, size))


def check_sizes(label: str, n_images: int, opened: Callable[[int], Path | IO[bytes]], size: int) -> None:
    """Check that most of a sample of images have the pixels that are asked for.

    Parameters
    ----------
    label
        Name of the images in the message.
    n_images
        Number of images, of which 32 are looked at, evenly spaced.
    opened
        Function that opens the image at a position.
    size
        Pixels a side.

    Raises
    ------
    ContractError
        If none of the sample can be read, or most of them are smaller than `size`.
    """
    sample = np.unique(np.linspace(0, n_images - 1, _SAMPLE).astype(int))
    sides = []
    for k in sample:
        with suppress(*_UNREADABLE), Image.open(opened(int(k))) as image:
            sides.append(min(image.size))
    if not sides:
        raise ContractError(f"none of {len(sample)} images of {label} can be read; are they images?")
    side = int(np.median(sides))
    if side < size:
        raise ContractError(
            f"most images of {label} are smaller than image_size={size}: the median of their shorter sides "
            f"is {side} pixels; give --image-size {side} or less"
        )


def _read(
    source: Path | IO[bytes], name: str, size: int, crop: Callable[[Image.Image], Image.Image]
) -> np.ndarray | None:
    try:
        with Image.open(source) as file:
            if file.format == "JPEG" and min(file.size) > 4 * size:
                file.draft("RGB", (2 * size, 2 * size))
            ImageOps.exif_transpose(file, in_place=True)
            pixels = np.asarray(crop(file if file.mode == "RGB" else file.convert("RGB")))
    except _UNREADABLE as error:
        _log.warning("image %s cannot be read and is skipped: %s", printable(name), reason(error))
        return None
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


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
