"""Image files as pixels that are decoded when they are asked for."""

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
from PIL import Image

from brainfit.errors import BrainfitError, ContractError, IntegrityError
from brainfit.storage.atomic_files import file_path
from brainfit.support.lazy_arrays import lazy_variable
from brainfit.support.messages import reason

from .files import Open, check_files, label, opened

_FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
_OPAQUE = ("1", "L", "P", "RGB")
_WITH_ALPHA = ("LA", "PA", "RGBA")
_MOST_PIXELS = 2**26
"""8192 × 8192: less than what Pillow warns of as a decompression bomb."""
# Whatever Pillow and zipfile raise on a file that is not what it should be.
_UNREADABLE = (
    OSError, ValueError, EOFError, KeyError, IndexError, TypeError, AttributeError, OverflowError,
    MemoryError, RuntimeError, SyntaxError, AssertionError, ZeroDivisionError, struct.error, zlib.error,
    zipfile.BadZipFile, Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip


@dataclass(frozen=True)
class _Pictures:
    """Files of a folder or zip that is opened anew for each read, so this can be pickled and shared."""

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

    Every file is opened here for its size and kind, so that what is off is known before any work; some
    thousands take a fraction of a second. An alpha channel is dropped where it says that all is opaque.

    Parameters
    ----------
    place
        A folder or a zip.
    names
        Of the files, PNG, JPEG, BMP or TIFF, relative to `place`, with ``/``; one an image.

    Returns
    -------
    xarray.DataArray
        Dims ``("image", "height", "width", "channel")``, uint8 in [0, 255], RGB; gray is three
        equal channels.

    Raises
    ------
    ContractError
        If a name leaves the folder, a file is not there, or one is not an 8-bit gray or RGB image, or not of
        the size of the others.
    IntegrityError
        If a file or the zip is damaged, or its size is far from that of an image.
    """
    place, names = file_path(place), tuple(names)
    if not names:
        raise ContractError(f"no image file of {place} is named; wanted one for each image")
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
        return image.height, image.width


def _decoded(place: Path, name: str, open_file: Open) -> np.ndarray:
    with _reading(place, name), open_file(name) as file:
        content = io.BytesIO(file.read())  # to its end, where a zip has its checksum
        with _image(place, name, content) as image:
            if image.mode not in _WITH_ALPHA and "transparency" not in image.info:
                return np.asarray(image.convert("RGB"))
            pixels = np.asarray(image.convert("RGBA"))
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
        wrong = "more than 8 bits a channel"  # which Pillow would cut off in silence
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
    """Make one line of all that a file can do to who decodes it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what Pillow finds odd in metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except BrainfitError:
        raise
    except _UNREADABLE as error:
        raise IntegrityError(f"cannot read {label(place, name)} as an image: {reason(error)}") from error
