"""Find the images that an NWB file holds; their pixels are read when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import xarray as xr

from brainfit.errors import ContractError
from brainfit.support.lazy_arrays import lazy_variable
from brainfit.support.messages import printable

from ..files.hdf5 import Hdf5File, member, native, select

_DIMS = ("image", "height", "width", "channel")


@dataclass(frozen=True)
class Templates:
    """Images in a file.

    Attributes
    ----------
    source
        File that holds them.
    where
        Name of the data set of each image, and the image's row in it, or -1 if the image is all of it.
    size
        Height and width of each image, in pixels.
    dtype
        Type of the pixels: uint8 or float.
    """

    source: Hdf5File
    where: tuple[tuple[str, int], ...]
    size: tuple[int, int]
    dtype: np.dtype

    def lazy(self) -> xr.DataArray:
        """Return the lazy images, with dims ``("image", "height", "width", "channel")``."""
        shape = (len(self.where), *self.size, 3)
        return xr.DataArray(lazy_variable(_DIMS, shape, self.dtype, self.read))

    def read(
        self, images: np.ndarray, rows: np.ndarray, columns: np.ndarray, channels: np.ndarray
    ) -> np.ndarray:
        """Return the outer selection at these positions."""
        pixels = np.empty((len(images), len(rows), len(columns), len(channels)), self.dtype)
        with self.source.opened() as file:
            for at, (name, row) in enumerate(self.where[i] for i in images):
                data = member(file, name, h5py.Dataset)
                whole = [] if row < 0 else [np.array([row])]
                gray = data.ndim - len(whole) == 2
                part = select(data, [*whole, rows, columns, *([] if gray else [channels])])
                part = part if row < 0 else part[0]
                pixels[at] = part[..., None] if gray else part
        return pixels


def template_images(source: Hdf5File, nwb: Any, image_id: np.ndarray) -> Templates | None:
    """Return the images of these ids in the stimulus templates, or None if there are no templates.

    Text is the name of an image in any collection of images. A number is a row of the only series of images,
    or a position in the stated order of the only collection, from 0 on.

    Parameters
    ----------
    source, nwb
        The file, and its content as read by pynwb.
    image_id
        Names or numbers of images.

    Raises
    ------
    ContractError
        If an image is missing, could be one of several, or is not gray or RGB of the size of the others.
    """
    templates = list(nwb.stimulus_template.values())
    collections = [one for one in templates if hasattr(one, "images")]
    series = [
        one for one in templates if not hasattr(one, "images") and getattr(one, "data", None) is not None
    ]
    if not collections and not series:
        return None
    if image_id.dtype.kind == "U":
        where = _by_name(collections, image_id.tolist())
    elif len(collections) + len(series) > 1:
        names = ", ".join(repr(one.name) for one in templates)
        raise ContractError(
            f"images are numbered, and the numbers may be rows of any of {printable(names, 200)}"
        )
    elif series:
        where = _rows(series[0], image_id)
    else:
        where = _in_order(collections[0], image_id)
    with source.opened() as file:
        shapes = {name: _form(member(file, name, h5py.Dataset), row >= 0) for name, row in where}
    if len(set(shapes.values())) > 1:
        forms = sorted({f"{height} × {width} {dtype}" for height, width, dtype in shapes.values()})
        raise ContractError(f"images differ in size or type: {', '.join(forms)}; bring them to one")
    height, width, dtype = next(iter(shapes.values()))
    return Templates(source, tuple(where), (height, width), dtype)


def _by_name(collections: list[Any], names: list[str]) -> list[tuple[str, int]]:
    images: dict[str, str] = {}
    for collection in collections:
        for name, image in collection.images.items():
            if name in images:
                raise ContractError(
                    f"image {printable(repr(name))} is in two collections of stimulus templates"
                )
            images[name] = str(image.data.name)
    if missing := [name for name in names if name not in images]:
        raise ContractError(
            f"the stimulus templates lack {len(missing)} of {len(names)} images that were shown, such as "
            f"{printable(repr(missing[0]))}; they have {printable(', '.join(images) or 'none by name', 100)}"
        )
    return [(images[name], -1) for name in names]


def _in_order(collection: Any, numbers: np.ndarray) -> list[tuple[str, int]]:
    order = collection.order_of_images
    if order is None:
        raise ContractError(
            f"images are numbered, but {collection.name!r} of the stimulus templates states no "
            "order (order_of_images)"
        )
    images = [str(image.data.name) for image in order.data]
    _check_range(collection.name, numbers, len(images))
    return [(images[number], -1) for number in numbers.tolist()]


def _rows(series: Any, numbers: np.ndarray) -> list[tuple[str, int]]:
    _check_range(series.name, numbers, len(series.data))
    return [(str(series.data.name), number) for number in numbers.tolist()]


def _check_range(name: str, numbers: np.ndarray, n: int) -> None:
    if numbers.max() >= n:
        raise ContractError(f"image {numbers.max()} was shown, but {name!r} has {n} images, counted from 0")


def _form(data: h5py.Dataset, of_rows: bool) -> tuple[int, int, np.dtype]:
    shape = data.shape[1:] if of_rows else data.shape
    right = data.dtype == np.uint8 or data.dtype.kind == "f"
    if not right or len(shape) not in (2, 3) or shape[2:] not in ((), (3,)):
        raise ContractError(
            f"image {printable(data.name)} is {data.dtype} of shape {shape}; wanted (height, width) or "
            "(height, width, 3), uint8 or float in [0, 1]"
        )
    return shape[0], shape[1], native(data.dtype)
