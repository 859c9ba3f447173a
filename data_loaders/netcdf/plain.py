"""Recordings in netCDF and HDF5 files that somebody wrote with xarray, h5py or any other library."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import numpy as np
import xarray as xr

from brainfit.contracts.recording import Recording
from brainfit.errors import ContractError
from brainfit.support.lazy_arrays import lazy_variable
from brainfit.support.messages import printable
from brainfit.support.suggestions import unknown_name

from ..arrays.coercion import PIXEL_DIMS, RESPONSE_DIMS, order_by_name
from ..arrays.recording import from_arrays, label_recording, stimuli_of
from ..files.missing import check_bins
from ..files.variables import Variable, VariableFile, Variables
from .reader import pixel_reader, read_labels, response_reader

_SETTINGS = ("response_window", "on_ms", "off_ms")
"""Arguments of `from_arrays` that are no labels; they may be attributes of the file."""
_LABELS = tuple(
    name
    for name in inspect.signature(from_arrays).parameters
    if name not in ("responses", "images", "name", "regions", *_SETTINGS)
)
_ARGUMENTS = {"image": "image_id", "unit": "unit_id", "time_bin": "time_bin", "trial": None}
"""Argument that the coordinate with the name of a dim stands for."""
_UNNAMED = re.compile(r"(phony_)?dim_\d+")
"""Names that HDF5 and xarray give to dims that have no name."""
_ALIKE = 0.8
"""Similarity of two names of which one may be mistyped."""


def read_plain(file: VariableFile, data: Variables, regions: Mapping[str, str] | None) -> Recording:
    """Return the recording, with the defaults of `from_arrays`; see `from_netcdf`."""
    known = ("responses", "images", *_LABELS, *_SETTINGS)
    in_files = "images" not in data.variables and "image_file" in data.variables
    for name in known[: 1 if in_files else 2]:
        if name not in data.variables:
            raise ContractError(
                f"{file}: variable {name!r} is missing; it has "
                f"{printable(', '.join(data.variables) or 'none', 200)}"
            )
    with file.refusals_named():
        recording = _recording(file, data, known, in_files, regions)
        check_bins(recording.responses)
    return recording


def _recording(
    file: VariableFile,
    data: Variables,
    known: tuple[str, ...],
    in_files: bool,
    regions: Mapping[str, str] | None,
) -> Recording:
    responses = data.variables["responses"]
    dims, axes = _layout("responses", responses, RESPONSE_DIMS)
    read = response_reader(file, responses, axes)
    shape = tuple(responses.shape[axis] for axis in axes)
    ours = {responses.dims[axis]: dim for axis, dim in zip(axes, dims, strict=True)}
    labels, more = _labels(file, data, ours, known)
    if in_files:
        ids, n_images = labels.get("image_id"), shape[dims.index("image")]
        stimuli, columns = stimuli_of(file.path.parent, labels.pop("image_file"), ids, n_images)
        labels = {**columns, **labels}
    else:
        stimuli = _stimuli(file, data.variables["images"])
    values = lazy_variable(dims, shape, read.dtype, read)
    recording = label_recording(file.path.stem, values, stimuli, labels, _settings(file, data), regions)
    return replace(
        recording,
        responses=recording.responses.assign_coords(
            {name: label for name, label in more.items() if name not in recording.responses.coords}
        ),
        provenance={**recording.provenance, "source": "netcdf", "file": file.path.name},
    )


def _layout(
    key: str, variable: Variable, layouts: tuple[tuple[str, ...], ...]
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the dims of a recording that a variable has, and its axis for each; names are obeyed.

    Raises
    ------
    ContractError
        If it has another number of dims, or its names are not those of a layout.
    """
    if all(_UNNAMED.fullmatch(dim) for dim in variable.dims):
        for layout in layouts:
            if len(layout) == variable.ndim:
                return layout, tuple(range(variable.ndim))
    axes = order_by_name(key, variable.dims, layouts)
    return next(layout for layout in layouts if len(layout) == len(axes)), axes


def _labels(
    file: VariableFile, data: Variables, ours: Mapping[str, str], known: tuple[str, ...]
) -> tuple[dict[str, Any], dict[str, xr.Variable]]:
    """Return the labels that `from_arrays` knows, and others, by name.

    Raises
    ------
    ContractError
        If a variable is along no dim of the responses, or its name is nearly that of a label.
    """
    labels, others = {}, {}
    for name, variable in data.variables.items():
        if name in ("responses", "images", *_SETTINGS):
            continue
        index = variable.dims == (name,) and name in ours
        if name not in known and not index:
            if not {*variable.dims} <= {*ours} or get_close_matches(name, known, 1, _ALIKE):
                raise ContractError(f"{file}: {unknown_name('variable', printable(name), known)}")
            others[name] = _label(file, variable, ours)
        else:
            argument = _ARGUMENTS[ours[name]] if index else name
            if argument is not None and (name == argument or not index or argument not in data.variables):
                label = _label(file, variable, ours)
                # Without names in the file, dims of one length are alike.
                unnamed = all(_UNNAMED.fullmatch(dim) for dim in variable.dims)
                labels[argument] = label.values if unnamed else xr.DataArray(label)
    return labels, others


def _label(file: VariableFile, variable: Variable, ours: Mapping[str, str]) -> xr.Variable:
    values = read_labels(file, variable)
    if variable.dtype == "S1" and values.ndim == 1 and variable.dims[0] not in ours:  # one text in netCDF-3
        values = np.array("".join(values.tolist()))
    dims = tuple(ours.get(dim, dim) for dim in variable.dims[: values.ndim])
    return xr.Variable(dims, values, {k: v for k, v in variable.attributes.items() if k == "units"})


def _settings(file: VariableFile, data: Variables) -> dict[str, Any]:
    return {
        name: read_labels(file, data.variables[name]) if name in data.variables else data.attributes[name]
        for name in _SETTINGS
        if name in data.variables or name in data.attributes
    }


def _stimuli(file: VariableFile, images: Variable) -> xr.DataArray:
    dims, axes = _layout("images", images, PIXEL_DIMS)
    read = pixel_reader(file, images, axes)
    shape = tuple(images.shape[axis] for axis in axes)
    if len(dims) == 4:
        return xr.DataArray(lazy_variable(dims, shape, read.dtype, read))
    return xr.DataArray(lazy_variable(PIXEL_DIMS[0], (*shape, 3), read.dtype, _Gray(read)))


@dataclass(frozen=True)
class _Gray:
    """Reads gray images as images of three equal channels."""

    read: Callable[..., np.ndarray]

    def __call__(self, *positions: Any) -> np.ndarray:
        return np.repeat(self.read(*positions[:3])[..., None], len(positions[3]), axis=-1)
