"""Recordings from plain arrays, in memory or in one ``.npz`` file; their images may be files."""

from __future__ import annotations

import hashlib
import os
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from brainfit.contracts.recording import Recording, check_recording
from brainfit.contracts.vocabulary import REGIONS
from brainfit.errors import BrainfitError, ContractError, IntegrityError
from brainfit.storage.atomic_files import file_path
from brainfit.support.memory import check_memory
from brainfit.support.messages import printable, reason
from brainfit.support.suggestions import unknown_name

from ..images.pixels import open_pictures
from ..images.table import load_stimuli
from .coercion import labels_of, milliseconds_of, pixels_of, responses_of

_REQUIRED = ("responses", "images")
_OPTIONAL = (
    "image_id", "object_name", "category_name", "variation",
    "unit_id", "region", "animal", "array", "time_bin_start", "time_bin_end", "image_file",
)  # fmt: skip
# Whatever numpy, zipfile and zlib raise on a file that is not what it should be.
_UNREADABLE = (
    OSError, ValueError, EOFError, KeyError, TypeError, OverflowError, MemoryError, RuntimeError, SyntaxError,
    tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def from_arrays(
    responses: ArrayLike,
    images: ArrayLike | os.PathLike[str],
    *,
    name: str = "arrays",
    image_id: ArrayLike | None = None,
    object_name: ArrayLike | None = None,
    category_name: ArrayLike | None = None,
    variation: ArrayLike | None = None,
    unit_id: ArrayLike | None = None,
    region: ArrayLike | None = None,
    animal: ArrayLike | None = None,
    array: ArrayLike | None = None,
    time_bin_start: ArrayLike | None = None,
    time_bin_end: ArrayLike | None = None,
    image_file: ArrayLike | None = None,
) -> Recording:
    """Return a recording made of plain arrays.

    Parameters
    ----------
    responses
        Numbers, shape (image, trial, unit, time_bin), or averaged over trials (image, unit, time_bin),
        normalised as you wish; NaN pads images that were shown on fewer trials.
    images
        uint8 in [0, 255] or float in [0, 1], shape (image, height, width, 3), or gray
        (image, height, width); square; in the order of `responses`. Or the path of a folder or zip of image
        files, with `image_file`; or of a CSV with columns ``image_id`` and ``image_file``, and maybe labels,
        whose files are relative to its folder: its rows are found by `image_id`, or, without that, are in the
        order of `responses`. Files are decoded when their pixels are asked for.
    name
        How the recording is called in results.
    image_id, object_name, category_name, variation
        One entry an image. By default ``"image_0000"`` …, ``"unknown"``, ``"unknown"`` and 0.
        The split into training and test images is made within each object.
    unit_id, animal, array
        One entry a unit. By default ``"unit_0000"`` …, ``"unknown"`` and ``"unknown"``.
    region
        One entry a unit, or one name for all: V1, V2, V4, pIT, cIT or aIT. There is no default.
    time_bin_start, time_bin_end
        In ms from image onset, one entry a bin. By default, for 25 bins only, 10 ms each from 0 ms.
    image_file
        Names of files relative to the folder or zip `images`, one entry an image.

    Raises
    ------
    ContractError
        Naming the argument that does not have this form.
    IntegrityError
        If a file of images cannot be read.

    Examples
    --------
    >>> recording = from_arrays(np.zeros((4, 2, 3, 25)), np.zeros((4, 8, 8)), region="pIT")
    >>> dict(recording.responses.sizes)
    {'image': 4, 'trial': 2, 'unit': 3, 'time_bin': 25}
    """
    values = responses_of(responses)
    n_images, n_units, n_bins = values.shape[0], values.shape[-2], values.shape[-1]
    stimuli, columns = _stimuli(images, image_file, image_id, n_images)
    if region is None:
        raise ContractError(
            f"region is missing: give the region of each unit, or one for all: {', '.join(REGIONS)}"
        )
    if time_bin_start is None and time_bin_end is None and n_bins == 25:
        time_bin_start = np.arange(0, 250, 10)
        time_bin_end = time_bin_start + 10
    if time_bin_start is None or time_bin_end is None:
        raise ContractError(
            f"time_bin_start and time_bin_end are both needed for {n_bins} time bins, in ms from onset; "
            "only 25 bins have a default, 10 ms each from 0 ms"
        )
    of_image = {
        "image_id": (image_id, [f"image_{i:04d}" for i in range(n_images)]),
        "object_name": (object_name, ["unknown"] * n_images),
        "category_name": (category_name, ["unknown"] * n_images),
        "variation": (variation, [0] * n_images),
    }
    image_coords = {
        key: labels_of(key, columns.get(key) if value is None else value, default)
        for key, (value, default) in of_image.items()
    }
    unit_coords = {
        "unit_id": labels_of("unit_id", unit_id, [f"unit_{u:04d}" for u in range(n_units)]),
        "region": labels_of("region", region, [""] * n_units),
        "animal": labels_of("animal", animal, ["unknown"] * n_units),
        "array": labels_of("array", array, ["unknown"] * n_units),
    }
    bin_coords = {
        "time_bin_start": milliseconds_of("time_bin_start", time_bin_start, n_bins),
        "time_bin_end": milliseconds_of("time_bin_end", time_bin_end, n_bins),
    }
    of_images = {key: ("image", v) for key, v in image_coords.items()}
    of_units = {key: ("unit", v) for key, v in unit_coords.items()}
    of_bins = {key: ("time_bin", v) for key, v in bin_coords.items()}
    dims = ("image", "trial", "unit", "time_bin") if values.ndim == 4 else ("image", "unit", "time_bin")
    recording = Recording(
        name=name,
        responses=xr.DataArray(values, dims=dims, coords={**of_images, **of_units, **of_bins}),
        stimuli=stimuli,
        provenance={"source": "arrays"},
    )
    check_recording(recording)
    _check_no_bin_is_empty(recording.responses)
    return replace(recording, stimuli=recording.stimuli.assign_coords(of_images))


def _stimuli(
    images: Any, image_file: ArrayLike | None, image_id: ArrayLike | None, n_images: int
) -> tuple[xr.DataArray, Mapping[str, np.ndarray]]:
    """Return the images, and the columns of the table that names their files, if there is one."""
    if not isinstance(images, str | os.PathLike):
        if image_file is not None:
            raise ContractError("image_file names the files of a folder or zip; give its path as images")
        return xr.DataArray(pixels_of(images), dims=("image", "height", "width", "channel")), {}
    place = file_path(images)
    if image_file is not None:
        return open_pictures(place, labels_of("image_file", image_file, [""] * n_images).tolist()), {}
    ids = None if image_id is None else labels_of("image_id", image_id, [""] * n_images)
    found = load_stimuli(place, place.parent, ids if ids is None else ids.astype(str).tolist())
    if found.pixels.sizes["image"] != n_images:
        raise ContractError(
            f"{place} has {found.pixels.sizes['image']} images but responses has {n_images}; give the "
            "image_id of each row of responses"
        )
    return found.pixels, found.columns


def from_npz(path: str | os.PathLike[str]) -> Recording:
    """Return the recording in a ``.npz`` file, whose keys are the arguments of `from_arrays`.

    ``responses``, ``region`` and ``images`` are required; in place of the last, ``image_file`` may name image
    files relative to the folder of the ``.npz``. Pickled objects are never loaded. The recording is called
    as the file; its provenance holds the file's sha256.

    Raises
    ------
    IntegrityError
        If the file is missing, damaged, or not a ``.npz`` file.
    ContractError
        If a key is missing, unknown, or not of the form that `from_arrays` asks for.
    ResourceError
        If its arrays do not fit into memory.
    """
    path = Path(path)
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what Python 2 wrote, which is read all the same
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            # Opened here and not by numpy, which leaves a damaged file open.
            arrays = _load(path, np.load(file, allow_pickle=False))
    except BrainfitError:
        raise
    except _UNREADABLE as error:
        raise IntegrityError(f"cannot read {path} as a .npz file: {reason(error)}") from error
    if "images" not in arrays:
        arrays["images"] = path.parent
    try:
        recording = from_arrays(**arrays, name=path.stem)
    except ContractError as error:
        raise ContractError(f"{path}: {error}") from error
    return replace(recording, provenance={"source": "npz", "file": path.name, "sha256": digest})


def _load(path: Path, archive: Any) -> dict[str, Any]:
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise IntegrityError(
            f"{path} holds one array; wanted a .npz file with the keys {', '.join(_REQUIRED)}, …"
        )
    with archive:
        for key in _REQUIRED:
            if key not in archive.files and not (key == "images" and "image_file" in archive.files):
                raise ContractError(
                    f"{path}: key {key!r} is missing; it has {', '.join(archive.files) or 'none'}"
                )
        for key in archive.files:
            if key not in _REQUIRED + _OPTIONAL:
                raise ContractError(f"{path}: {unknown_name('key', key, _REQUIRED + _OPTIONAL)}")
        entries = [] if archive.zip is None else archive.zip.infolist()
        if odd := [e for e in entries if e.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]:
            raise IntegrityError(
                f"{path}: {printable(odd[0].filename)} is neither stored nor deflated; save it with numpy"
            )
        check_memory(
            {f"unpacking {path.name}": sum(entry.file_size for entry in entries)},
            "save it as netCDF, which is read a part at a time",
        )
        return {key: _read(path, archive, key) for key in archive.files}


def _read(path: Path, archive: Any, key: str) -> np.ndarray:
    try:
        value = archive[key]
    except _UNREADABLE as error:
        if "Object arrays" in str(error):
            raise ContractError(
                f"{path}: key {key!r} holds pickled Python objects, which are never loaded; "
                "save it as an array of numbers or of strings"
            ) from error
        raise IntegrityError(
            f"cannot read key {key!r} of {path}, it may be damaged: {reason(error)}"
        ) from error
    if not isinstance(value, np.ndarray):  # numpy gives the bytes of what is not an array
        raise IntegrityError(f"{path}: key {key!r} is not a numpy array")
    return value


def _check_no_bin_is_empty(responses: xr.DataArray) -> None:
    """Refuse a bin without one number: a trial that lacks a bin does not count, so none would be left."""
    empty = np.flatnonzero(np.isnan(responses.values).all(axis=tuple(range(responses.ndim - 1))))
    if empty.size:
        first = responses.isel(time_bin=empty[0])
        span = f"{float(first['time_bin_start']):g}-{float(first['time_bin_end']):g} ms"
        others = f", as are {empty.size - 1} others; drop them" if empty.size > 1 else "; drop it"
        raise ContractError(f"time bin {empty[0]} ({span}) is NaN in every trial{others}")
