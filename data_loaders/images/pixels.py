"""Decode image files when their pixels are asked for, upright as every viewer shows them."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from PIL import Image, UnidentifiedImageError

from brainfit.errors import BrainfitError, ContractError, IntegrityError
from brainfit.storage.atomic_files import file_path
from brainfit.support.lazy_arrays import lazy_variable
from brainfit.support.messages import printable, reason

from .files import Open, check_files, label, opened

_FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
_OPAQUE = ("1", "L", "P", "RGB")
_WITH_ALPHA = ("LA", "PA", "RGBA")
_MOST_PIXELS = 2**26
"""8192 × 8192, fewer than those of which Pillow warns as a decompression bomb."""
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""Turn that makes an image upright, by its EXIF orientation."""
# Exceptions that Pillow and zipfile raise on a damaged file.
_UNREADABLE = (
    OSError, ValueError, EOFError, KeyError, IndexError, TypeError, AttributeError, OverflowError,
    MemoryError, RuntimeError, SyntaxError, AssertionError, ZeroDivisionError, struct.error, zlib.error,
    zipfile.BadZipFile, Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip


@dataclass(frozen=True)
class _Pictures:
    """Files of a folder or zip, which is opened for each read, so that this can be pickled and shared."""

    place: Path
    names: tuple[str, ...]
    size: tuple[int, int]

    def read(
        self, images: np.ndarray, rows: np.ndarray, columns: np.ndarray, channels: np.ndarray
    ) -> np.ndarray:
        part = np.ix_(rows, columns, channels)
        pixels = np.empty((len(images), len(rows), len(columns), len(channels)), np.uint8)
        with opened(self.place) as open_file:
            for at, image in enumerate(images):
                whole = _decoded(self.place, self.names[image], open_file)
                if whole.shape[:2] != self.size:
                    raise IntegrityError(
                        f"{label(self.place, self.names[image])} has another size than when it was loaded"
                    )
                pixels[at] = whole[part]
        return pixels


def open_pictures(place: Path, names: Sequence[str]) -> xr.DataArray:
    """Return the images in files, read when values are asked for.

    Every file is opened here for its size and kind, so that faults are known before any work; thousands take
    a fraction of a second. Images are turned upright by their EXIF orientation. An alpha channel is dropped
    if it is opaque throughout.

    Parameters
    ----------
    place
        A folder or a zip.
    names
        Names of the files, PNG, JPEG, BMP or TIFF, relative to `place`, with ``/``; one per image.

    Returns
    -------
    xarray.DataArray
        Dims ``("image", "height", "width", "channel")``, uint8 in [0, 255], RGB; gray is three
        equal channels.

    Raises
    ------
    ContractError
        If a name leaves the folder, a file is missing, is no 8-bit gray or RGB image, or differs from the
        others in size.
    IntegrityError
        If a file or the zip is damaged, or its size is far from that of an image.
    """
    place, names = file_path(place), tuple(names)
    if not names:
        raise ContractError(f"no image file of {printable(place, 300)} is named; wanted one for each image")
    distinct = list(dict.fromkeys(names))
    check_files(place, distinct)
    with opened(place) as open_file:
        sizes = {name: _size(place, name, open_file) for name in distinct}
    size = _common_size(place, sizes)
    dims, shape = ("image", "height", "width", "channel"), (len(names), *size, 3)
    return xr.DataArray(lazy_variable(dims, shape, np.uint8, _Pictures(place, names, size).read))


def _common_size(place: Path, sizes: dict[str, tuple[int, int]]) -> tuple[int, int]:
    (size, most), *others = Counter(sizes.values()).most_common()
    if others:
        odd = next(name for name, found in sizes.items() if found == others[0][0])
        raise ContractError(
            f"images differ in size: {most} have {size[0]} × {size[1]} pixels (height × width), "
            f"{len(sizes) - most} have not, such as {label(place, odd)} with "
            f"{sizes[odd][0]} × {sizes[odd][1]}; bring them to one size"
        )
    return size


def _size(place: Path, name: str, open_file: Open) -> tuple[int, int]:
    with _reading(place, name), open_file(name) as file, _image(place, name, file) as image:
        # For the orientation, Pillow may decode the whole image; square ones keep their size.
        upright = image if image.height == image.width else _upright(image)
        return upright.height, upright.width


def _upright(image: Image.Image) -> Image.Image:
    """Return an image turned by its EXIF orientation; Pillow itself turns TIFF, and removes the tag."""
    image.load()
    turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    return image if turn is None else image.transpose(turn)


def _decoded(place: Path, name: str, open_file: Open) -> np.ndarray:
    with _reading(place, name), open_file(name) as file:
        content = io.BytesIO(file.read())  # to its end, where a zip keeps its checksum
        with _image(place, name, content) as image:
            upright = _upright(image)
            if image.mode not in _WITH_ALPHA and "transparency" not in image.info:
                return np.asarray(upright.convert("RGB"))
            pixels = np.asarray(upright.convert("RGBA"))
    if pixels[..., 3].min() < 255:
        raise ContractError(
            f"{label(place, name)} is transparent in part; put it onto the background that was shown, and "
            "save it without alpha"
        )
    return pixels[..., :3]


def _image(place: Path, name: str, file) -> Image.Image:
    image = Image.open(file, formats=_FORMATS)
    wrong = None
    if image.width * image.height > _MOST_PIXELS:
        wrong = f"{image.height} × {image.width} pixels"
    elif image.mode[0] in "IF" or ";16" in str(getattr(image, "tile", "")):
        wrong = "more than 8 bits a channel"  # Pillow would cut them off silently
    elif image.mode not in _OPAQUE + _WITH_ALPHA:
        wrong = f"{image.mode} pixels"
    elif getattr(image, "is_animated", False):
        wrong = "several frames"
    if wrong:
        image.close()
        raise ContractError(f"{label(place, name)} has {wrong}; wanted one 8-bit gray or RGB image")
    return image


@contextmanager
def _reading(place: Path, name: str) -> Iterator[None]:
    """Turn whatever decoding a file raises into one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except BrainfitError:
        raise
    except UnidentifiedImageError as error:
        raise IntegrityError(
            f"cannot read {label(place, name)} as an image: it is none of {', '.join(_FORMATS)}, or its "
            "first bytes are damaged; convert it to PNG"
        ) from error
    except _UNREADABLE as error:
        raise IntegrityError(f"cannot read {label(place, name)} as an image: {reason(error)}") from error
