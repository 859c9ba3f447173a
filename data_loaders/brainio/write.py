"""Write recordings in BrainIO's netCDF layout, with their stimuli beside them as a CSV and a zip."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import netCDF4
import numpy as np
import xarray as xr

from brainfit.contracts.recording import Recording, check_recording
from brainfit.contracts.vocabulary import IT_REGIONS
from brainfit.errors import BrainfitError, ContractError, IntegrityError
from brainfit.storage.atomic_files import file_path
from brainfit.support.arguments import text
from brainfit.support.messages import printable, reason

from ..images.table import write_stimuli
from .labels import IMAGE_DEFAULTS, IMAGE_EXTRAS, UNIT_EXTRAS
from .stimuli import store_name

_IDENTIFIER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_BUDGET = 64 * 2**20
_CHUNK = (16, 512)
"""Units and presentations in a compressed chunk, which holds all time bins."""


def to_brainio(recording: Recording, folder: str | os.PathLike[str], *, identifier: str) -> Path:
    """Write a recording as BrainIO stores it, and return the path of its netCDF file.

    ``assy_<identifier>.nc`` holds the responses, ``stimulus_<identifier>.csv`` and ``.zip`` the images, as
    PNG; the dots of the identifier become ``_``. Trials that are all NaN are left out, unless later trials of
    the image follow. `from_brainio` reads back an equal recording, except that images are in the order of
    their names, ids are text, responses are float32 or float64, and of the provenance only ``simulated`` is
    kept. Responses are read and written a few images at a time.

    Parameters
    ----------
    recording
        Recording with uint8 images, since PNG holds no others.
    folder
        Folder for the files, made if it is missing.
    identifier
        Name such as ``dicarlo.MajajHong2015``: letters, digits, dots, ``-`` and ``_``.

    Returns
    -------
    Path
        Path of ``assy_<identifier>.nc``.

    Raises
    ------
    ContractError
        If the images are float, or the identifier cannot be part of a file name.
    IntegrityError
        If one of the files exists, or cannot be written.
    """
    check_recording(recording)
    if not _IDENTIFIER.fullmatch(text("identifier", identifier)):
        raise ContractError(
            f"identifier is letters, digits, dots, - and _, such as dicarlo.MajajHong2015; got {identifier!r}"
        )
    if recording.stimuli.dtype != np.uint8:
        raise ContractError(
            f"recording {recording.name!r} has {recording.stimuli.dtype} images, which PNG does not hold; "
            "make them uint8 in [0, 255], or save the recording as one .nc file"
        )
    folder = file_path(folder)
    names = [f"{store_name('stimulus', identifier)}{end}" for end in (".csv", ".zip")]
    names.append(f"{store_name('assy', identifier)}.nc")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if there := [name for name in names if os.path.lexists(folder / name)]:
            raise IntegrityError(
                f"{printable(folder / there[0], 300)} is there already; remove it, or choose another folder "
                "or identifier"
            )
        staging = Path(tempfile.mkdtemp(prefix=".brainio-", dir=folder))
        try:
            write_stimuli(
                recording.stimuli, _image_columns(recording.responses), *(staging / n for n in names[:2])
            )
            _write(recording, staging / names[2], identifier)
            for name in names:  # the responses come last, so that where they are, all files are
                os.replace(staging / name, folder / name)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except BrainfitError:
        raise
    except (OSError, RuntimeError) as error:  # netCDF4 raises RuntimeError on a full disk
        raise IntegrityError(f"cannot write to {printable(folder, 300)}: {reason(error)}") from error
    return folder / names[2]


def _image_columns(responses: xr.DataArray) -> dict[str, np.ndarray]:
    names = ("image_id", *IMAGE_DEFAULTS, *IMAGE_EXTRAS)
    return {name: responses[name].values for name in names if name in responses.coords}


def _write(recording: Recording, path: Path, identifier: str) -> None:
    responses = recording.responses
    trials = responses if recording.has_trials else responses.expand_dims("trial", axis=1)
    image, trial = np.nonzero(
        _written(trials) if recording.has_trials else np.ones((trials.shape[0], 1), bool)
    )
    units = responses.transpose("unit", ...)
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.setncatts({"identifier": identifier, "stimulus_set_identifier": identifier})
        if recording.simulated:
            dataset.setncattr("simulated", np.int8(1))
        sizes = (units.sizes["unit"], image.size, units.sizes["time_bin"])
        for dim, size in zip(("neuroid", "presentation", "time_bin"), sizes, strict=True):
            dataset.createDimension(dim, size)
        for name, values in _image_columns(responses).items():
            _label(dataset, name, "presentation", values[image])
        _label(dataset, "stimulus_id", "presentation", responses["image_id"].values[image])
        if recording.has_trials:
            _label(dataset, "repetition", "presentation", trial)
        for name, values in _unit_labels(responses).items():
            _label(dataset, name, "neuroid", values)
        for name in ("time_bin_start", "time_bin_end"):
            _label(dataset, name, "time_bin", responses[name].values)
        labels = " ".join(dataset.variables)
        data = dataset.createVariable(
            "data",
            np.float32 if np.can_cast(responses.dtype, np.float32) else np.float64,
            ("neuroid", "presentation", "time_bin"),
            compression="zlib",
            complevel=1,
            chunksizes=(min(_CHUNK[0], sizes[0]), min(_CHUNK[1], sizes[1]), sizes[2]),
            fill_value=np.nan,
        )
        data.setncattr("coordinates", labels)  # by which xarray tells labels from data
        for some in _some_images(trials):
            here = (image >= some.start) & (image < some.stop)
            values = trials.isel(image=some).values[image[here] - some.start, trial[here]]
            first = int(np.searchsorted(image, some.start))
            data[:, first : first + len(values)] = np.swapaxes(values, 0, 1)


def _written(trials: xr.DataArray) -> np.ndarray:
    """Return True for each trial that is stored, shape (image, trial): up to the image's last with a number.

    At least one is stored. If no image has the last trial, the first keeps all, so that their number is read
    back.
    """
    seen = np.zeros(trials.shape[:2], bool)
    for some in _some_images(trials):
        seen[some] = ~np.isnan(trials.isel(image=some).values.astype(float, copy=False)).all(axis=(2, 3))
    stored = np.flip(np.maximum.accumulate(np.flip(seen, 1), axis=1), 1)
    stored[:, 0] = True
    if not stored[:, -1].any():
        stored[0] = True
    return stored


def _some_images(trials: xr.DataArray) -> Iterator[slice]:
    some = max(1, _BUDGET // max(trials.dtype.itemsize * trials.size // trials.shape[0], 1))
    return (slice(start, start + some) for start in range(0, trials.shape[0], some))


def _unit_labels(responses: xr.DataArray) -> dict[str, np.ndarray]:
    region = responses["region"].values.astype(str)
    labels = {
        "neuroid_id": responses["unit_id"].values,
        "subregion": region,
        "region": np.where(np.isin(region, IT_REGIONS), "IT", region),
        "animal": responses["animal"].values,
        "arr": responses["array"].values,
    }
    return labels | {name: responses[name].values for name in UNIT_EXTRAS if name in responses.coords}


def _label(dataset: netCDF4.Dataset, name: str, dim: str, values: np.ndarray) -> None:
    values = values.astype(np.int8) if values.dtype.kind == "b" else values  # netCDF has no booleans
    kind = str if values.dtype.kind in "UO" else values.dtype.newbyteorder("=")
    variable = dataset.createVariable(name, kind, (dim,))
    variable[...] = values.astype(object) if kind is str else values
