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

from brainfit.contracts.recording import Recording, check_recording, unique_unit_ids
from brainfit.contracts.regions import apply_declaration, check_declaration, own_regions
from brainfit.contracts.vocabulary import REGION_CHOICES
from brainfit.errors import BrainfitError, ContractError, IntegrityError
from brainfit.storage.atomic_files import file_path
from brainfit.support.memory import check_memory
from brainfit.support.messages import printable, reason
from brainfit.support.suggestions import unknown_name

from ..files.missing import check_bins
from ..images.brightness import darkness
from ..images.pixels import open_pictures
from ..images.table import load_stimuli
from .coercion import dims_of, labels_of, milliseconds_of, pixels_of, responses_of, whole_number_of

_REQUIRED = ("responses", "images")
LABELS = (
    "image_id", "object_name", "category_name", "variation", "split", "unit_id", "region", "animal", "array",
    "time_bin_start", "time_bin_end", "image_file",
)  # fmt: skip
"""Arguments of `from_arrays` that label images, units or bins."""
SETTINGS = ("response_window", "on_ms", "off_ms")
"""Arguments of `from_arrays` that hold for the whole recording."""
_OPTIONAL = (*LABELS, *SETTINGS)
_OF_UNITS = ("unit_id", "region", "animal", "array")
_INDEXES = {"image": "image_id", "unit": "unit_id"}
"""Argument that the coordinate with the name of a dim stands for."""
# Exceptions that numpy, zipfile and zlib raise on a damaged file.
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
    split: ArrayLike | None = None,
    unit_id: ArrayLike | None = None,
    region: ArrayLike | None = None,
    animal: ArrayLike | None = None,
    array: ArrayLike | None = None,
    time_bin_start: ArrayLike | None = None,
    time_bin_end: ArrayLike | None = None,
    image_file: ArrayLike | None = None,
    response_window: ArrayLike | None = None,
    on_ms: ArrayLike | None = None,
    off_ms: ArrayLike | None = None,
    regions: Mapping[str, str] | None = None,
) -> Recording:
    """Return a recording made of plain arrays.

    Parameters
    ----------
    responses
        Numbers, shape (image, trial, unit, time_bin), or averaged over trials (image, unit, time_bin),
        normalised as you wish. NaN, or a masked entry, stands where there is no response, as for images that
        were shown on fewer trials. Dims that have names, as those of an `xarray.DataArray`, are transposed,
        and its coordinates give the labels below where these are not given.
    images
        uint8 in [0, 255] or float in [0, 1], shape (image, height, width, 3), or gray
        (image, height, width); square; in the order of `responses`. Or the path of a folder or zip of image
        files, with `image_file`; or of a CSV with columns ``image_id`` and ``image_file``, and maybe labels,
        whose files are relative to its folder: its rows are found by `image_id`, or, without that, are in the
        order of `responses`. Files are decoded when their pixels are asked for.
    name
        Name of the recording in results.
    image_id, object_name, category_name, variation
        One entry per image. By default ``"image_0000"`` …, ``"unknown"``, ``"unknown"`` and 0.
        The split into training and test images is made within each object.
    split
        ``"train"`` or ``"test"``, one entry per image, where the split is prescribed.
    unit_id, animal, array
        One entry per unit. By default ``"unit_0000"`` …, ``"unknown"`` and ``"unknown"``. Ids that repeat
        between animals, or arrays, are made unique with their names.
    region
        One entry per unit, or one name for all: V1, V2, V4, pIT, cIT, aIT, or IT for units that are known no
        finer; others are declared by `regions`. There is no default.
    time_bin_start, time_bin_end
        In ms from image onset, one entry per bin. By default, for 25 bins only, 10 ms each from 0 ms.
    image_file
        Names of files relative to the folder or zip `images`, one entry per image.
    response_window
        Start and end in ms of the bins that are pooled in a score.
    on_ms, off_ms
        Duration in ms of an image, and of the gray after it, in the experiment.
    regions
        Region to take for each other name in `region`: ``{"VISp": "V1"}`` takes it for a standard one,
        ``{"VISp": "VISp"}`` keeps it as a region of this recording's own.

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
    dims = ("image", "trial", "unit", "time_bin") if values.ndim == 4 else ("image", "unit", "time_bin")
    named = _coordinates(responses, images)
    labels = {
        "image_id": image_id, "object_name": object_name, "category_name": category_name,
        "variation": variation, "split": split, "unit_id": unit_id, "region": region, "animal": animal,
        "array": array, "time_bin_start": time_bin_start, "time_bin_end": time_bin_end,
    }  # fmt: skip
    labels = {**named, **{key: value for key, value in labels.items() if value is not None}}
    stimuli, columns = stimuli_of(images, image_file, labels.get("image_id"), len(values))
    recording = label_recording(
        name, xr.Variable(dims, values), stimuli, {**columns, **labels},
        {"response_window": response_window, "on_ms": on_ms, "off_ms": off_ms}, regions,
    )  # fmt: skip
    check_bins(recording.responses)
    return recording


def label_recording(
    name: str,
    responses: xr.Variable,
    stimuli: xr.DataArray,
    labels: Mapping[str, Any],
    settings: Mapping[str, Any],
    regions: Mapping[str, str] | None = None,
) -> Recording:
    """Return a recording of responses and images, which may be lazy, with the defaults of `from_arrays`.

    Parameters
    ----------
    name
        Name of the recording.
    responses, stimuli
        Arrays with the dims and types of a recording; only their sizes are used.
    labels
        Labels by the names of arguments of `from_arrays`; ``time_bin`` may be a time axis. Others are unused.
    settings
        Arguments ``response_window``, ``on_ms`` and ``off_ms``; missing or None where they are not known.
    regions
        As for `from_arrays`.

    Raises
    ------
    ContractError
        Naming the label or setting that does not have the form of `from_arrays`.
    """
    n_images, n_units, n_bins = (responses.sizes[dim] for dim in ("image", "unit", "time_bin"))
    if labels.get("region") is None:
        raise ContractError(
            f"region is missing: give the region of each unit, or one for all: {', '.join(REGION_CHOICES)}"
        )
    defaults = {
        "image_id": [f"image_{i:04d}" for i in range(n_images)],
        "object_name": ["unknown"] * n_images,
        "category_name": ["unknown"] * n_images,
        "variation": [0] * n_images,
        "unit_id": [f"unit_{u:04d}" for u in range(n_units)],
        "region": [""] * n_units,
        "animal": ["unknown"] * n_units,
        "array": ["unknown"] * n_units,
        **({"split": [""] * n_images} if "split" in labels else {}),
    }
    coords: dict[str, tuple[str, np.ndarray]] = {}
    for key, default in defaults.items():
        dim = "unit" if key in _OF_UNITS else "image"
        coords[key] = (dim, labels_of(key, labels.get(key), default, dim))
    declared = check_declaration(regions)
    coords["region"] = ("unit", apply_declaration(coords["region"][1], declared))
    groups = [coords[key][1] for key in ("animal", "array") if key in labels]
    ids, how = unique_unit_ids(coords["unit_id"][1], *groups)
    coords["unit_id"] = ("unit", ids)
    bins = _bins(labels.get("time_bin_start"), labels.get("time_bin_end"), labels.get("time_bin"), n_bins)
    coords |= {f"time_bin_{edge}": ("time_bin", of) for edge, of in zip(("start", "end"), bins, strict=True)}
    window, on_ms, off_ms = (settings.get(key) for key in ("response_window", "on_ms", "off_ms"))
    if window is not None:
        window = milliseconds_of("response_window", window, 2)
    recording = Recording(
        name=name,
        responses=xr.DataArray(responses, coords=coords),
        stimuli=stimuli,
        provenance={
            "source": "arrays",
            **({"unit_ids": how} if how else {}),
            **({"regions": declared} if declared else {}),
        },
        response_window=None if window is None else (float(window[0]), float(window[1])),
        on_ms=None if on_ms is None else whole_number_of("on_ms", on_ms),
        off_ms=None if off_ms is None else whole_number_of("off_ms", off_ms),
        own_regions=own_regions(declared.values()),
    )
    check_recording(recording)
    remark = darkness(stimuli)
    of_images = {key: of for key, of in coords.items() if of[0] == "image"}
    return replace(
        recording,
        stimuli=recording.stimuli.assign_coords(of_images),
        provenance={**recording.provenance, **({"images": remark} if remark else {})},
    )


def _coordinates(responses: Any, images: Any) -> dict[str, Any]:
    """Return the coordinates of named responses by the names of arguments.

    Raises
    ------
    ContractError
        If the images have ids of their own in another order.
    """
    if dims_of(responses) is None or not hasattr(responses, "coords"):
        return {}
    found = {name: responses.coords[dim] for dim, name in _INDEXES.items() if dim in responses.coords}
    found |= {str(key): coord for key, coord in responses.coords.items()}
    ids = _own_ids(images)
    if ids is not None and "image_id" in found and not np.array_equal(ids, np.asarray(found["image_id"])):
        raise ContractError(
            "images and responses have other coordinates along 'image'; select the images in the order of "
            "the responses"
        )
    return found


def _own_ids(images: Any) -> np.ndarray | None:
    coords = getattr(images, "coords", {}) if dims_of(images) else {}
    key = next((key for key in ("image_id", "image") if key in coords), None)
    return None if key is None else np.asarray(coords[key])


def _bins(start: Any, end: Any, times: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges of time bins; `times` is a coordinate that says neither start, centre nor end."""
    if start is None and end is None:
        if times is not None:
            raise ContractError(
                "the coordinate time_bin does not say whether its times are starts, centres or ends of bins; "
                "give time_bin_start and time_bin_end, in ms from image onset"
            )
        if n == 25:
            start = np.arange(0, 250, 10)
            end = start + 10
    if start is None or end is None:
        raise ContractError(
            f"time_bin_start and time_bin_end are both needed for {n} time bins, in ms from onset; "
            "only 25 bins have a default, 10 ms each from 0 ms"
        )
    edges = (milliseconds_of("time_bin_start", start, n), milliseconds_of("time_bin_end", end, n))
    if times is not None:
        _check_times(np.asarray(times), *edges)
    return edges


def _check_times(times: np.ndarray, start: np.ndarray, end: np.ndarray) -> None:
    """Refuse a time axis that contradicts the edges of its bins; one that only counts them does not."""
    counts = times.dtype.kind in "iu" and np.array_equal(times, np.arange(len(start)))
    if counts or times.dtype.kind not in "iuf" or times.shape != start.shape:
        return
    if not ((times >= start) & (times <= end)).all():
        raise ContractError(
            f"the coordinate time_bin, {times[0]:g} to {times[-1]:g}, does not lie in the bins that "
            f"time_bin_start and time_bin_end give, {start[0]:g} to {end[-1]:g} ms; correct one of them"
        )


def stimuli_of(
    images: Any, image_file: Any, image_id: Any, n_images: int
) -> tuple[xr.DataArray, Mapping[str, np.ndarray]]:
    """Return the images, and the columns of the table that names their files, if there is one."""
    if not isinstance(images, str | os.PathLike):
        if image_file is not None:
            raise ContractError("image_file names the files of a folder or zip; give its path as images")
        return xr.DataArray(pixels_of(images), dims=("image", "height", "width", "channel")), {}
    place = file_path(images)
    if image_file is not None:
        files = labels_of("image_file", image_file, [""] * n_images, "image")
        return open_pictures(place, files.tolist()), {}
    ids = None if image_id is None else labels_of("image_id", image_id, [""] * n_images, "image")
    found = load_stimuli(place, place.parent, ids if ids is None else ids.astype(str).tolist())
    if found.pixels.sizes["image"] != n_images:
        raise ContractError(
            f"{printable(place, 300)} has {found.pixels.sizes['image']} images but responses has {n_images}; "
            "without image_id, row k of the table must be image k of responses: delete the rows of other "
            "images, or give image_id, by which rows are found"
        )
    return found.pixels, found.columns


def from_npz(path: str | os.PathLike[str], *, regions: Mapping[str, str] | None = None) -> Recording:
    """Return the recording in a ``.npz`` file, whose keys are the arguments of `from_arrays`.

    ``responses``, ``region`` and ``images`` are required; in place of the last, ``image_file`` may name image
    files relative to the folder of the ``.npz``. Pickled objects are never loaded. The recording has the name
    of the file; its provenance holds the file's sha256. `regions` is that of `from_arrays`.

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
            warnings.simplefilter("ignore")  # NumPy warns of files of Python 2, but reads them
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            # Opened here and not by NumPy, which leaves a damaged file open.
            arrays = _load(path, np.load(file, allow_pickle=False))
    except BrainfitError:
        raise
    except _UNREADABLE as error:
        raise IntegrityError(f"cannot read {printable(path, 300)} as a .npz file: {reason(error)}") from error
    if "images" not in arrays:
        arrays["images"] = path.parent
    try:
        recording = from_arrays(**arrays, name=path.stem, regions=regions)
    except ContractError as error:
        raise ContractError(f"{printable(path, 300)}: {error}") from error
    origin = {"source": "npz", "file": path.name, "sha256": digest}
    return replace(recording, provenance={**recording.provenance, **origin})


def _load(path: Path, archive: Any) -> dict[str, Any]:
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise IntegrityError(
            f"{printable(path, 300)} holds one array; wanted a .npz file with the keys "
            f"{', '.join(_REQUIRED)}, …"
        )
    with archive:
        for key in _REQUIRED:
            if key not in archive.files and not (key == "images" and "image_file" in archive.files):
                raise ContractError(
                    f"{printable(path, 300)}: key {printable(repr(key))} is missing; it has "
                    f"{printable(', '.join(archive.files) or 'none', 200)}"
                )
        for key in archive.files:
            if key not in _REQUIRED + _OPTIONAL:
                raise ContractError(
                    f"{printable(path, 300)}: {unknown_name('key', printable(key), _REQUIRED + _OPTIONAL)}"
                )
        entries = [] if archive.zip is None else archive.zip.infolist()
        if odd := [e for e in entries if e.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]:
            raise IntegrityError(
                f"{printable(path, 300)}: {printable(odd[0].filename)} is neither stored nor deflated; save "
                "it with numpy"
            )
        check_memory(
            {f"unpacking {printable(path.name)}": sum(entry.file_size for entry in entries)},
            "save it as netCDF, which is read a part at a time",
        )
        return {key: _read(path, archive, key) for key in archive.files}


def _read(path: Path, archive: Any, key: str) -> np.ndarray:
    try:
        value = archive[key]
    except _UNREADABLE as error:
        if "Object arrays" in str(error):
            raise ContractError(
                f"{printable(path, 300)}: key {printable(repr(key))} holds Python objects, which "
                "are never loaded; save numbers, or text as .astype(str)"
            ) from error
        raise IntegrityError(
            f"cannot read key {printable(repr(key))} of {printable(path, 300)}, it may be damaged: "
            f"{reason(error)}"
        ) from error
    if not isinstance(value, np.ndarray):  # NumPy gives the bytes of members that are no arrays
        raise IntegrityError(f"{printable(path, 300)}: key {printable(repr(key))} is not a numpy array")
    return value
