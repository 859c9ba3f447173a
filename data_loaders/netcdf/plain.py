"""Recordings in netCDF files that somebody wrote with `xarray.Dataset.to_netcdf`, or in any other way."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import netCDF4
import numpy as np
import xarray as xr

from brainfit.contracts.recording import Recording
from brainfit.errors import ContractError
from brainfit.support.lazy_arrays import lazy_variable
from brainfit.support.messages import printable
from brainfit.support.suggestions import unknown_name

from ..arrays.recording import from_arrays
from .file import NetCDFFile, plain_values

_DIMS = {3: ("image", "unit", "time_bin"), 4: ("image", "trial", "unit", "time_bin")}
_PIXELS = ("image", "height", "width", "channel")
_LABELS = tuple(
    name for name in inspect.signature(from_arrays).parameters if name not in ("responses", "images", "name")
)
_INDEXES = {"image": "image_id", "unit": "unit_id", "time_bin": "", "trial": ""}
"""What the coordinate that is called as its dim, as xarray has them, stands for."""
_ALIKE = 0.8  # of two names, of which one may be mistyped


def read_plain(file: NetCDFFile, data: netCDF4.Dataset) -> Recording:
    """Return the recording, with the defaults of `from_arrays`; see `from_netcdf`."""
    known = ("responses", "images", *_LABELS)
    in_files = "images" not in data.variables and "image_file" in data.variables
    for name in known[: 1 if in_files else 2]:
        if name not in data.variables:
            raise ContractError(
                f"{file}: variable {name!r} is missing; it has "
                f"{printable(', '.join(data.variables) or 'none', 200)}"
            )
    responses = data["responses"]
    dims = _dims(file, responses)
    ours = dict(zip(responses.dimensions, dims, strict=True))
    more, given = {}, {name: data[name] for name in _LABELS if name in data.variables}
    for name, variable in data.variables.items():
        if variable.dimensions == (name,) and name in ours:
            given.setdefault(_INDEXES[ours[name]], variable)
        elif name not in known:
            if not set(variable.dimensions) <= {*ours} or get_close_matches(name, known, 1, _ALIKE):
                raise ContractError(f"{file}: {unknown_name('variable', printable(name), known)}")
            of = tuple(ours[dim] for dim in variable.dimensions)
            more[name] = (of, plain_values(file, variable))
    # It makes labels of what is given and defaults, and judges types, from arrays that take no room.
    averaged = [size for size, dim in zip(responses.shape, dims, strict=True) if dim != "trial"]
    given.pop("", None)
    labels: dict[str, Any] = {name: plain_values(file, variable) for name, variable in given.items()}
    try:
        recording = from_arrays(
            np.broadcast_to(_first(file, responses), averaged),
            file.path.parent if in_files else _small(file, data["images"]),
            **labels,
        )
    except ContractError as error:
        raise ContractError(f"{file}: {error}") from error
    if not in_files:
        pixels = _pixels(file, data["images"], recording.stimuli.dtype)
        recording = replace(recording, stimuli=xr.DataArray(pixels, coords=dict(recording.stimuli.coords)))
    dtype = recording.responses.dtype
    read = _Checked(file, file.reader("responses", dtype, raw=False), finite_responses)
    values = lazy_variable(dims, responses.shape, dtype, read)
    return replace(
        recording,
        name=file.path.stem,
        responses=xr.DataArray(values, coords={**more, **recording.responses.coords}),
        provenance={"source": "netcdf", "file": file.path.name},
    )


def _small(file: NetCDFFile, images: netCDF4.Variable) -> np.ndarray:
    """Return as many black images of one pixel, of the type and the channels that the images have."""
    shape = (*images.shape[:1], *(1,) * len(images.shape[1:3]), *images.shape[3:])
    return np.broadcast_to(_first(file, images), shape)


def _pixels(file: NetCDFFile, images: netCDF4.Variable, dtype: np.dtype) -> xr.Variable:
    look = _Checked(file, file.reader("images", dtype, raw=False), pixels_in_range)
    gray = images.ndim == 3
    return lazy_variable(_PIXELS, (*images.shape[:3], 3), dtype, _Gray(look) if gray else look)


def _dims(file: NetCDFFile, responses: netCDF4.Variable) -> tuple[str, ...]:
    """Return the names that the dims of responses have here; a file may have others, but in this order."""
    dims = _DIMS.get(responses.ndim, ())
    if not dims or (responses.dimensions != dims and {*responses.dimensions} & {*_DIMS[4]}):
        raise ContractError(
            f"{file}: responses have dims {responses.dimensions}; wanted {_DIMS[4]} or, averaged over "
            f"trials, {_DIMS[3]}; transpose or rename them"
        )
    return dims


def _first(file: NetCDFFile, variable: netCDF4.Variable) -> np.ndarray:
    """Return a zero of the type that values of the variable have once they are read."""
    return np.zeros((), plain_values(file, variable, (slice(1),) * variable.ndim).dtype)


@dataclass(frozen=True)
class _Checked:
    """Reads values and refuses those that no recording may have."""

    file: NetCDFFile
    read: Callable[..., np.ndarray]
    objection: Callable[[np.ndarray], str | None]

    def __call__(self, *positions: np.ndarray) -> np.ndarray:
        values = self.read(*positions)
        if wrong := self.objection(values):
            raise ContractError(f"{self.file}: {wrong}")
        return values


@dataclass(frozen=True)
class _Gray:
    """Reads gray images as such of three equal channels."""

    read: Callable[..., np.ndarray]

    def __call__(self, *positions: Any) -> np.ndarray:
        return np.repeat(self.read(*positions[:3])[..., None], len(positions[3]), axis=-1)


def finite_responses(values: np.ndarray) -> str | None:
    """Say what is wrong with responses, if anything."""
    return (
        "responses hold infinite values; wanted numbers, or NaN for no trial"
        if np.isinf(values).any()
        else None
    )


def pixels_in_range(values: np.ndarray) -> str | None:
    """Say what is wrong with pixels, if anything."""
    if values.dtype.kind != "f" or ((values >= 0) & (values <= 1)).all():  # NaN is neither
        return None
    return "images are float but not all in [0, 1]; divide by 255, or convert to uint8"
