"""Recordings from plain arrays, in memory or in one ``.npz`` file."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from brainfit.errors import BrainfitError, ContractError, IntegrityError
from brainfit.names import unknown_name
from brainfit.recording import REGIONS, Recording, check_recording

_REQUIRED = ("responses", "images")
_OPTIONAL = (
    "image_id", "object_name", "category_name", "variation",
    "unit_id", "region", "animal", "array", "time_bin_start", "time_bin_end",
)  # fmt: skip
# Whatever numpy, zipfile and zlib raise on a file that is not what it should be.
_UNREADABLE = (
    OSError, ValueError, EOFError, KeyError, TypeError, OverflowError, MemoryError, RuntimeError, SyntaxError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def from_arrays(
    responses: ArrayLike,
    images: ArrayLike,
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
) -> Recording:
    """Return a recording made of plain arrays.

    Parameters
    ----------
    responses
        Numbers, shape (image, trial, unit, time_bin), or averaged over trials (image, unit, time_bin),
        normalised as you wish; NaN pads images that were shown on fewer trials.
    images
        uint8 in [0, 255] or float in [0, 1], shape (image, height, width, 3), or gray
        (image, height, width); square; in the order of `responses`.
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

    Raises
    ------
    ContractError
        Naming the argument that does not have this form.

    Examples
    --------
    >>> recording = from_arrays(np.zeros((4, 2, 3, 25)), np.zeros((4, 8, 8)), region="pIT")
    >>> dict(recording.responses.sizes)
    {'image': 4, 'trial': 2, 'unit': 3, 'time_bin': 25}
    """
    values = _responses(responses)
    pixels = _pixels(images)
    n_images, n_units, n_bins = values.shape[0], values.shape[-2], values.shape[-1]
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
    image_coords = {
        "image_id": _labels("image_id", image_id, [f"image_{i:04d}" for i in range(n_images)]),
        "object_name": _labels("object_name", object_name, ["unknown"] * n_images),
        "category_name": _labels("category_name", category_name, ["unknown"] * n_images),
        "variation": _labels("variation", variation, [0] * n_images),
    }
    unit_coords = {
        "unit_id": _labels("unit_id", unit_id, [f"unit_{u:04d}" for u in range(n_units)]),
        "region": _labels("region", region, [""] * n_units),
        "animal": _labels("animal", animal, ["unknown"] * n_units),
        "array": _labels("array", array, ["unknown"] * n_units),
    }
    bin_coords = {
        "time_bin_start": _milliseconds("time_bin_start", time_bin_start, n_bins),
        "time_bin_end": _milliseconds("time_bin_end", time_bin_end, n_bins),
    }
    of_images = {key: ("image", v) for key, v in image_coords.items()}
    of_units = {key: ("unit", v) for key, v in unit_coords.items()}
    of_bins = {key: ("time_bin", v) for key, v in bin_coords.items()}
    dims = ("image", "trial", "unit", "time_bin") if values.ndim == 4 else ("image", "unit", "time_bin")
    recording = Recording(
        name=name,
        responses=xr.DataArray(values, dims=dims, coords={**of_images, **of_units, **of_bins}),
        stimuli=xr.DataArray(pixels, dims=("image", "height", "width", "channel")),
        provenance={"source": "arrays"},
    )
    check_recording(recording)
    _check_no_bin_is_empty(recording.responses)
    return replace(recording, stimuli=recording.stimuli.assign_coords(of_images))


def from_npz(path: str | os.PathLike[str]) -> Recording:
    """Return the recording in a ``.npz`` file, whose keys are the arguments of `from_arrays`.

    ``responses``, ``images`` and ``region`` are required. Pickled objects are never loaded. The
    recording is called as the file; its provenance holds the file's sha256.

    Raises
    ------
    IntegrityError
        If the file is missing, damaged, or not a ``.npz`` file.
    ContractError
        If a key is missing, unknown, or not of the form that `from_arrays` asks for.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            # Opened here and not by numpy, which leaves a damaged file open.
            arrays = _load(path, np.load(file, allow_pickle=False))
    except BrainfitError:
        raise
    except _UNREADABLE as error:
        raise IntegrityError(f"cannot read {path} as a .npz file: {_one_line(error)}") from error
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
            if key not in archive.files:
                raise ContractError(
                    f"{path}: key {key!r} is missing; it has {', '.join(archive.files) or 'none'}"
                )
        for key in archive.files:
            if key not in _REQUIRED + _OPTIONAL:
                raise ContractError(f"{path}: {unknown_name('key', key, _REQUIRED + _OPTIONAL)}")
        return {key: _read(path, archive, key) for key in archive.files}


def _read(path: Path, archive: Any, key: str) -> np.ndarray:
    try:
        value = archive[key]
    except _UNREADABLE as error:
        if "allow_pickle" in str(error):
            raise ContractError(
                f"{path}: key {key!r} holds pickled Python objects, which are never loaded; "
                "save it as an array of numbers or of strings"
            ) from error
        raise IntegrityError(
            f"cannot read key {key!r} of {path}, it may be damaged: {_one_line(error)}"
        ) from error
    if not isinstance(value, np.ndarray):  # numpy gives the bytes of what is not an array
        raise IntegrityError(f"{path}: key {key!r} is not a numpy array")
    return value


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _array(key: str, value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ContractError(f"{key} cannot be made one array: {_one_line(error)}") from error


def _native(values: np.ndarray) -> np.ndarray:
    """Floats as float32 or float64, and integers, in this machine's byte order; anything else as it is."""
    if values.dtype.kind in "iu":
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype.kind != "f":
        return values
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as such
        return values.astype(np.float32 if values.dtype.itemsize <= 4 else np.float64, copy=False)


def _responses(value: Any) -> np.ndarray:
    values = _array("responses", value)
    if values.dtype.kind not in "fiu" or values.ndim not in (3, 4):
        raise ContractError(
            f"responses are {values.dtype} of shape {values.shape}; wanted numbers of shape "
            "(image, trial, unit, time_bin) or (image, unit, time_bin)"
        )
    values = _native(values.astype(np.float64) if values.dtype.kind in "iu" else values)
    infinite = np.count_nonzero(np.isinf(values))
    if infinite:
        raise ContractError(
            f"responses hold {infinite} infinite values; wanted finite numbers, or NaN for no trial"
        )
    return values


def _check_no_bin_is_empty(responses: xr.DataArray) -> None:
    """Refuse a bin without one number: a trial that lacks a bin does not count, so none would be left."""
    empty = np.flatnonzero(np.isnan(responses.values).all(axis=tuple(range(responses.ndim - 1))))
    if empty.size:
        first = responses.isel(time_bin=empty[0])
        span = f"{float(first['time_bin_start']):g}-{float(first['time_bin_end']):g} ms"
        others = f", as are {empty.size - 1} others; drop them" if empty.size > 1 else "; drop it"
        raise ContractError(f"time bin {empty[0]} ({span}) is NaN in every trial{others}")


def _pixels(value: Any) -> np.ndarray:
    pixels = _native(_array("images", value))
    if pixels.dtype != np.uint8 and pixels.dtype.kind != "f":
        raise ContractError(f"images are {pixels.dtype}; wanted uint8 in [0, 255] or float in [0, 1]")
    if pixels.ndim not in (3, 4):
        raise ContractError(
            f"images have shape {pixels.shape}; wanted (image, height, width, 3) or (image, height, width)"
        )
    if pixels.dtype.kind == "f" and not ((pixels >= 0) & (pixels <= 1)).all():  # NaN is neither
        raise ContractError("images are float but not all in [0, 1]; divide by 255, or convert to uint8")
    return np.repeat(pixels[..., None], 3, axis=-1) if pixels.ndim == 3 else pixels


def _labels(key: str, value: Any, default: list) -> np.ndarray:
    """Return one label an image or unit: strings, or numbers as they are; one label stands for all."""
    labels = _array(key, default if value is None else value)
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    if labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels.flat):
        labels = labels.astype(str)
    if labels.dtype.kind not in "Uiuf":
        raise ContractError(f"{key} is {labels.dtype}; wanted strings or numbers")
    if labels.ndim == 0:
        labels = np.repeat(labels, len(default))
    if labels.shape != (len(default),):
        raise ContractError(
            f"{key} has shape {labels.shape}; wanted {len(default)} entries, as responses has"
        )
    return _native(labels)


def _milliseconds(key: str, value: Any, n_bins: int) -> np.ndarray:
    times = _array(key, value)
    if times.dtype.kind not in "fiu" or times.shape != (n_bins,):
        raise ContractError(
            f"{key} is {times.dtype} of shape {times.shape}; wanted {n_bins} numbers, one a time bin"
        )
    return times.astype(np.float64)
