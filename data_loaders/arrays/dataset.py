"""Recordings from an xarray Dataset or DataArray, by the names of its dims and coordinates."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from brainfit.contracts.recording import Recording, check_recording
from brainfit.errors import ContractError
from brainfit.support.messages import printable

from .recording import LABELS, SETTINGS, from_arrays

_DIMS = ("image", "unit", "time_bin")


def from_xarray(
    dataset: xr.Dataset | xr.DataArray,
    images: ArrayLike | str | os.PathLike[str] | None = None,
    *,
    regions: Mapping[str, str] | None = None,
    name: str | None = None,
) -> Recording:
    """Return the recording in an xarray Dataset, or in a DataArray of responses.

    Everything is found by name: dims are transposed to (image, trial, unit, time_bin); variables and
    coordinates that are called as arguments of `from_arrays` are these; further ones along images, units or
    time bins are kept as coordinates. Masked and declared missing values become NaN.

    Parameters
    ----------
    dataset
        A Dataset with a variable ``responses``, and ``images`` unless these are given; or the responses.
    images
        Images, as for `from_arrays`.
    regions
        As for `from_arrays`.
    name
        Name of the recording in results; by default that of the DataArray, or ``"xarray"``.

    Raises
    ------
    ContractError
        If something is missing, or is not of the form that `from_arrays` wants.

    Examples
    --------
    >>> responses = xr.DataArray(
    ...     np.zeros((3, 25, 4)), dims=("unit", "time_bin", "image"), coords={"region": ("unit", ["V4"] * 3)}
    ... )
    >>> from_xarray(responses, np.zeros((4, 8, 8))).responses.dims
    ('image', 'unit', 'time_bin')
    """
    if isinstance(dataset, xr.DataArray):
        dataset = xr.Dataset({"responses": dataset}, attrs={"name": dataset.name or "xarray"})
    if not isinstance(dataset, xr.Dataset):
        raise ContractError(
            f"dataset is a {type(dataset).__name__}; wanted an xarray.Dataset or an xarray.DataArray"
        )
    if "responses" not in dataset.data_vars:
        there = printable(", ".join(map(str, dataset.data_vars)) or "none", 200)
        raise ContractError(f"dataset has no variable 'responses'; it has {there}")
    if images is None:
        if "images" not in dataset.data_vars:
            raise ContractError("dataset has no variable 'images'; give the argument images")
        images = dataset["images"]
    elif "images" in dataset.data_vars:
        raise ContractError("dataset has images of its own; leave the argument images out")
    given: dict[str, Any] = {key: dataset[key] for key in (*LABELS, *SETTINGS) if key in dataset.variables}
    given |= {key: dataset.attrs[key] for key in SETTINGS if key in dataset.attrs}
    found = from_arrays(
        dataset["responses"],
        images,
        **given,
        regions=regions,
        name=str(name or dataset.attrs.get("name") or "xarray"),
    )
    more = {
        str(key): (variable.dims[0], np.asarray(variable.values))
        for key, variable in dataset.variables.items()
        if len(variable.dims) == 1
        and variable.dims[0] in _DIMS
        and str(key) not in (*found.responses.coords, *_DIMS)
    }
    recording = replace(
        found,
        responses=found.responses.assign_coords(more),
        provenance={**found.provenance, "source": "xarray"},
    )
    check_recording(recording)
    return recording
