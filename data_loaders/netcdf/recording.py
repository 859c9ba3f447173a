"""Recordings in one netCDF file, which holds what `from_arrays` takes, under the same names.

Variables ``responses`` (image, trial, unit, time_bin), or averaged (image, unit, time_bin), and ``images``
(image, height, width, channel), beside the labels of images, units and time bins. What `to_netcdf` writes
comes back equal, types of labels, name and provenance included: these stand as JSON in the attribute
``brainfit_recording``, sealed with the labels by their sha256. Of responses and images HDF5 keeps a checksum
of each chunk, so that damage is found when it is read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import xarray as xr

from brainfit.contracts.recording import Recording, check_recording
from brainfit.errors import ContractError, IntegrityError
from brainfit.storage.atomic_files import file_path
from brainfit.support.lazy_arrays import lazy_variable
from brainfit.support.messages import printable, reason
from brainfit.support.progress import progress_bar

from ..files.slabs import blocks, chunk_shape
from ..files.staged import check_free, staged
from .file import NetCDFFile
from .plain import read_plain

FORMAT = 1
_MARK = "brainfit_recording"
_SEAL = "brainfit_recording_sha256"
_VARIABLES = {"responses": "responses", "stimuli": "images"}
_UNITS = 16
"""That share a chunk: a region is read without most of the others."""
_STORED = {"b": "i1", "f2": "f4"}
"""As what types are stored that netCDF does not have."""
_LONGEST = 1000
"""Characters a label, up to which the width of a type of text is restored."""


def to_netcdf(
    recording: Recording, path: str | os.PathLike[str], *, overwrite: bool = False, progress: bool = False
) -> Path:
    """Write a recording so that `from_netcdf` returns it equal; what is lazy is never held whole.

    The file gets its name once it is whole and on the disk.

    Parameters
    ----------
    recording
        Any that `brainfit.check_recording` accepts.
    path
        Where to, usually with the suffix ``.nc``.
    overwrite
        Whether a file that is there may be replaced.
    progress
        Whether to show a progress bar on stderr.

    Returns
    -------
    Path
        That of the file.

    Raises
    ------
    ContractError
        If it is no recording, or holds what netCDF and JSON cannot; or if there is a file already, and it is
        not to be replaced.
    IntegrityError
        If it cannot be written; nothing is left behind.
    """
    check_recording(recording)
    path = file_path(path)
    check_free(path, overwrite)
    labels, said = _described(recording)
    with staged(path, overwrite) as partial, netCDF4.Dataset(partial, "w") as data:
        for key, label in labels.items():
            _write_label(data, key, label)
        for part, name in _VARIABLES.items():
            _write_array(data, name, getattr(recording, part), progress)
        data.setncattr_string(_MARK, json.dumps(said))
        data.setncattr_string(_SEAL, _seal(said, labels))
    return path


def from_netcdf(path: str | os.PathLike[str]) -> Recording:
    """Return the recording in a netCDF file.

    Only labels are read now; responses and images are, for what is selected, when they are asked for.

    Parameters
    ----------
    path
        A file of `to_netcdf`. Or one with the variables ``responses``, ``images``, ``region`` and what else
        `from_arrays` takes, with its defaults; ``image_file``, in place of ``images``, has names of files
        relative to the folder of this one. Other variables along images, units or time bins are kept as
        coordinates, but those that are called as their dim: they give ids where there are none. The
        recording is called as the file.

    Raises
    ------
    IntegrityError
        If the file is missing or damaged; what is read later is checked then.
    ContractError
        If a variable is missing or not of its form.
    """
    file = NetCDFFile.find(path)
    with file.opened() as data:
        file.check_sizes(data)
        recording = _read(file, data) if _MARK in data.ncattrs() else read_plain(file, data)
    try:
        check_recording(recording)
    except ContractError as error:
        raise ContractError(f"{file}: {error}") from error
    return recording


def _described(recording: Recording) -> tuple[dict[str, xr.Variable], dict[str, Any]]:
    """Return the labels by the names of their variables, and what the file says of the recording."""
    labels: dict[str, xr.Variable] = {}
    said: dict[str, Any] = {"format": FORMAT, "name": recording.name, "simulated": recording.simulated}
    for part, prefix in (("responses", ""), ("stimuli", "images_")):
        array: xr.DataArray = getattr(recording, part)
        keys = {}
        for name, coord in array.coords.items():
            label = coord.variable.to_base_variable()
            same = name in labels and labels[str(name)].dtype == label.dtype
            key = str(name) if same and labels[str(name)].identical(label) else f"{prefix}{name}"
            if key in _VARIABLES.values() or (key in labels and not labels[key].identical(label)):
                raise ContractError(
                    f"recording {recording.name!r}: a coordinate cannot be called {key!r}; rename or drop it"
                )
            keys[name], labels[key] = key, label
        if array.dtype.itemsize > 8:
            raise ContractError(
                f"recording {recording.name!r}: {part} are {array.dtype}, which netCDF does not have; make "
                "them float64"
            )
        said[part] = {"name": array.name, "dtype": array.dtype.str, "attrs": array.attrs, "coords": keys}
    said["labels"] = {key: {"dtype": v.dtype.str, "attrs": v.attrs} for key, v in labels.items()}
    try:
        return labels, json.loads(json.dumps({**said, "provenance": recording.provenance}))
    except (TypeError, ValueError, RecursionError) as error:
        raise ContractError(
            f"recording {recording.name!r}: its provenance and attributes are to be JSON values: "
            f"{reason(error)}"
        ) from error


def _write_label(data: Any, key: str, label: xr.Variable) -> None:
    for dim, size in label.sizes.items():
        if dim not in data.dimensions:
            data.createDimension(str(dim), size)
    variable = data.createVariable(key, _stored(label.dtype), label.dims, fill_value=False)
    values = label.values
    variable[...] = values.astype(object) if values.dtype.kind in "UO" else values


def _write_array(data: Any, name: str, array: xr.DataArray, progress: bool) -> None:
    for dim, size in array.sizes.items():
        if dim not in data.dimensions:
            data.createDimension(str(dim), size)
    most = [_UNITS if dim == "unit" else size for dim, size in array.sizes.items()]
    chunks = chunk_shape(array.shape, array.dtype.itemsize, most)
    variable = data.createVariable(
        name,
        _stored(array.dtype),
        array.dims,
        compression="zlib",
        complevel=1,
        fletcher32=True,
        chunksizes=chunks,
        fill_value=False,
    )
    row_bytes = array.dtype.itemsize * array[:1].size
    with progress_bar(f"write {name} (images)", array.sizes["image"], shown=progress) as advance:
        for images in blocks(array.sizes["image"], row_bytes, chunks[0]):
            variable[images] = array[images].values
            advance(images.stop - images.start)


def _stored(dtype: np.dtype) -> Any:
    return (
        str
        if dtype.kind in "UO"
        else _STORED.get(dtype.kind, _STORED.get(dtype.str[1:], dtype.newbyteorder("=")))
    )


def _read(file: NetCDFFile, data: netCDF4.Dataset) -> Recording:
    """Read what `to_netcdf` wrote."""
    said = json.loads(data.getncattr(_MARK))
    if said["format"] != FORMAT:
        raise IntegrityError(
            f"{file} is of format {printable(said['format'])}, this brainfit reads {FORMAT}; update brainfit"
        )
    labels = {key: _read_label(data[key], facts) for key, facts in said["labels"].items()}
    if _seal(said, labels) != data.getncattr(_SEAL):
        raise IntegrityError(
            f"{file} is not as it was written (the sha256 of its labels differs); write it again"
        )
    arrays = {}
    for part, name in _VARIABLES.items():
        facts, variable = said[part], data[name]
        dtype = np.dtype(facts["dtype"])
        lazy = lazy_variable(variable.dimensions, variable.shape, dtype, file.reader(name, dtype, raw=True))
        coords = {coord: labels[key] for coord, key in facts["coords"].items()}
        arrays[part] = xr.DataArray(lazy, coords=coords, name=facts["name"], attrs=facts["attrs"])
    return Recording(
        name=said["name"], simulated=said["simulated"] is True, provenance=dict(said["provenance"]), **arrays
    )


def _read_label(variable: netCDF4.Variable, facts: Mapping[str, Any]) -> xr.Variable:
    variable.set_auto_maskandscale(False)
    values, dtype = np.asarray(variable[...]), np.dtype(facts["dtype"])
    if dtype.kind == "U":
        text = values.astype(str)
        width = dtype.itemsize // 4
        values = text.astype(dtype) if text.dtype.itemsize // 4 <= width <= _LONGEST else text
    else:
        values = values.astype(dtype)
    return xr.Variable(variable.dimensions, values, facts["attrs"])


def _seal(said: Mapping[str, Any], labels: Mapping[str, xr.Variable]) -> str:
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for key in sorted(labels):
        values = labels[key].values
        text = values.dtype.kind in "UO"
        content = json.dumps(values.tolist()).encode() if text else np.ascontiguousarray(values).tobytes()
        digest.update(f"\n{key} {labels[key].dims} {labels[key].shape} {len(content)}\n".encode() + content)
    return digest.hexdigest()
