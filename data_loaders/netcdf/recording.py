"""Recordings in one netCDF file, which holds the arguments of `from_arrays` under the same names.

Variables ``responses`` (image, trial, unit, time_bin), or averaged (image, unit, time_bin), and ``images``
(image, height, width, channel), beside the labels of images, units and time bins. A recording that
`to_netcdf` writes comes back equal. Types of labels, name and provenance are JSON in the attribute
``brainfit_recording``.

Damage is found without fail. The file holds a digest of every chunk of responses and images, and a sha256 of
these digests, the labels and the JSON. The sha256 is checked when the file is loaded. The digests are checked
whenever values are read: no value is returned from a chunk whose digest differs, whatever bit of the file,
even of HDF5's index of chunks, is wrong.
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

from ..files.isolation import isolated
from ..files.slabs import blocks, chunk_shape
from ..files.staged import check_free, staged
from ..files.variables import Variable, VariableFile, Variables
from .digests import DigestReader, chunk_digests
from .plain import read_plain

FORMAT = 2
_MARK = "brainfit_recording"
_SEAL = "brainfit_recording_sha256"
_VARIABLES = {"responses": "responses", "stimuli": "images"}
_SETTINGS = ("response_window", "on_ms", "off_ms", "own_regions")
_DIGESTS = "brainfit_digests_of_{}"
_UNITS = 16
"""Units in one chunk: a region is read without most of the other units."""
_STORED = {"b": "i1", "f2": "f4"}
"""Types that take the place of those that netCDF does not have."""
_LONGEST = 1000
"""Width of text, in characters, up to which the type of a label is restored."""


def to_netcdf(
    recording: Recording, path: str | os.PathLike[str], *, overwrite: bool = False, progress: bool = False
) -> Path:
    """Write a recording so that `from_netcdf` returns it equal; lazy arrays are never held whole.

    The file gets its name once it is complete and on the disk.

    Parameters
    ----------
    recording
        Any recording that `brainfit.check_recording` accepts.
    path
        Path of the file, usually with the suffix ``.nc``.
    overwrite
        True if an existing file may be replaced.
    progress
        True to show a progress bar on stderr.

    Returns
    -------
    Path
        Path of the file.

    Raises
    ------
    ContractError
        If it is no recording, or holds what netCDF and JSON cannot; or if the file exists and may not be
        replaced.
    IntegrityError
        If the file cannot be written; nothing is left behind.
    """
    check_recording(recording)
    path = file_path(path)
    check_free(path, overwrite)
    labels, facts = _described(recording)
    with staged(path, overwrite) as partial, netCDF4.Dataset(partial, "w") as data:
        for key, label in labels.items():
            _write_label(data, key, label)
        digests = {}
        for part, name in _VARIABLES.items():
            digests[name] = _write_array(data, name, getattr(recording, part), progress)
            _write_label(data, _DIGESTS.format(name), xr.Variable(f"chunk_of_{name}", digests[name]))
        data.setncattr_string(_MARK, json.dumps(facts))
        data.setncattr_string(_SEAL, _seal(facts, labels, digests))
    return path


@isolated
def from_netcdf(path: str | os.PathLike[str], *, regions: Mapping[str, str] | None = None) -> Recording:
    """Return the recording in a netCDF or HDF5 file.

    Labels and usually one image are read now; responses and other images when their values are asked for.

    Parameters
    ----------
    path
        A file of `to_netcdf`. Or a file of others with the variables ``responses``, ``images``, ``region``
        and any other argument of `from_arrays`, with its defaults; ``image_file``, in place of ``images``,
        has names of files relative to the folder of this one. Dims that have names are transposed to the
        order of a recording; names that do not fit are refused. Missing values are found by the conventions
        of netCDF and CF. Coordinates with the names of dims give ids where there are none. Other variables
        along images, units or time bins are kept as coordinates. The recording has the name of the file.
    regions
        As for `from_arrays`; a file of `to_netcdf` keeps its own declaration.

    Raises
    ------
    IntegrityError
        If the file is missing or damaged; damage of values is found when they are read.
    ContractError
        If a variable is missing or not of its form, or if the file reads other files.
    """
    file = VariableFile.at(path)
    with file.opened() as data:
        own = _MARK in data.attributes
        if own and regions is not None:
            raise ContractError(f"{file} keeps the regions that were declared for it; leave regions out")
        recording = _read(file, data) if own else read_plain(file, data, regions)
    with file.refusals_named():
        check_recording(recording)
    return recording


def _described(recording: Recording) -> tuple[dict[str, xr.Variable], dict[str, Any]]:
    """Return the labels by the names of their variables, and all other facts as JSON values."""
    from brainfit.support.provenance import json_values  # imports torch, which readers do without

    labels: dict[str, xr.Variable] = {}
    facts: dict[str, Any] = {"format": FORMAT, "name": recording.name, "simulated": recording.simulated}
    facts |= {name: getattr(recording, name) for name in _SETTINGS}
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
        facts[part] = {"name": array.name, "dtype": array.dtype.str, "attrs": array.attrs, "coords": keys}
    facts["labels"] = {key: {"dtype": v.dtype.str, "attrs": v.attrs} for key, v in labels.items()}
    try:
        return labels, json.loads(json.dumps({**facts, "provenance": json_values(recording.provenance)}))
    except (TypeError, ValueError, RecursionError) as error:
        raise ContractError(
            f"recording {recording.name!r}: its attributes cannot be written as JSON ({reason(error)}); "
            "make them text or numbers"
        ) from error


def _write_label(data: Any, key: str, label: xr.Variable) -> None:
    for dim, size in label.sizes.items():
        if dim not in data.dimensions:
            data.createDimension(str(dim), size)
    variable = data.createVariable(key, _stored(label.dtype), label.dims, fill_value=False)
    values = label.values
    variable[...] = values.astype(object) if values.dtype.kind in "UO" else values


def _write_array(data: Any, name: str, array: xr.DataArray, progress: bool) -> np.ndarray:
    """Write an array a few images at a time, and return the digests of its chunks."""
    for dim, size in array.sizes.items():
        if dim not in data.dimensions:
            data.createDimension(dim, size)
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
        fill_value=np.nan if array.dtype.kind == "f" else False,
    )
    digests, row_bytes = [], array.dtype.itemsize * array[:1].size
    with progress_bar(f"write {name} (images)", array.sizes["image"], shown=progress) as advance:
        for images in blocks(array.sizes["image"], row_bytes, chunks[0]):
            values = array[images].values.astype(variable.dtype)
            variable[images] = values
            digests.append(chunk_digests(values, chunks))
            advance(images.stop - images.start)
    return np.concatenate(digests)


def _stored(dtype: np.dtype) -> Any:
    return (
        str
        if dtype.kind in "UO"
        else _STORED.get(dtype.kind, _STORED.get(dtype.str[1:], dtype.newbyteorder("=")))
    )


def _read(file: VariableFile, data: Variables) -> Recording:
    """Read a file of `to_netcdf`."""
    facts = json.loads(data.attributes[_MARK])
    if facts["format"] != FORMAT:
        raise IntegrityError(
            f"{file} is of format {printable(facts['format'])}, and this brainfit reads {FORMAT}; convert "
            "its source again (brainfit data convert)"
        )
    labels = {key: _read_label(data.variables[key], of) for key, of in facts["labels"].items()}
    digests = {name: data.variables[_DIGESTS.format(name)].read() for name in _VARIABLES.values()}
    if _seal(facts, labels, digests) != data.attributes[_SEAL]:
        raise IntegrityError(
            f"{file} is not as it was written (the sha256 of its labels and digests differs); write it again"
        )
    arrays = {}
    for part, name in _VARIABLES.items():
        of, variable = facts[part], data.variables[name]
        dtype = np.dtype(of["dtype"])
        read = DigestReader.of(file, variable, digests[name], dtype)
        coords = {coord: labels[key] for coord, key in of["coords"].items()}
        lazy = lazy_variable(variable.dims, variable.shape, dtype, read)
        arrays[part] = xr.DataArray(lazy, coords=coords, name=of["name"], attrs=of["attrs"])
    settings = {name: facts[name] for name in _SETTINGS if name in facts}
    for name, value in settings.items():
        settings[name] = tuple(value) if isinstance(value, list) else value
    return Recording(
        name=facts["name"],
        simulated=facts["simulated"] is True,
        provenance=dict(facts["provenance"]),
        **settings,
        **arrays,
    )


def _read_label(variable: Variable, facts: Mapping[str, Any]) -> xr.Variable:
    values, dtype = variable.read(), np.dtype(facts["dtype"])
    if dtype.kind == "U":
        text = values.astype(str)
        width = dtype.itemsize // 4
        values = text.astype(dtype) if text.dtype.itemsize // 4 <= width <= _LONGEST else text
    else:
        values = values.astype(dtype)
    return xr.Variable(variable.dims, values, facts["attrs"])


def _seal(
    facts: Mapping[str, Any], labels: Mapping[str, xr.Variable], digests: Mapping[str, np.ndarray]
) -> str:
    """Return the sha256 of all that the file holds, of its values through the digests of their chunks."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for key in sorted(labels):
        values = labels[key].values
        text = values.dtype.kind in "UO"
        content = json.dumps(values.tolist()).encode() if text else np.ascontiguousarray(values).tobytes()
        digest.update(f"\n{key} {labels[key].dims} {labels[key].shape} {len(content)}\n".encode() + content)
    for name in sorted(digests):
        digest.update(f"\n{name}\n".encode() + digests[name].astype("<u8").tobytes())
    return digest.hexdigest()
