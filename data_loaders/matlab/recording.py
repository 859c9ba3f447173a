"""Read a recording from the variables of a MATLAB file, called as the arguments of `from_arrays`."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from brainfit.contracts.recording import Recording
from brainfit.errors import ContractError
from brainfit.storage.atomic_files import file_path
from brainfit.support.messages import printable
from brainfit.support.suggestions import unknown_name

from ..arrays.recording import from_arrays
from ..files.child import in_child
from ..files.hdf5 import SourceFile
from ..files.matlab import matlab_names, matlab_variables

KNOWN = tuple(name for name in inspect.signature(from_arrays).parameters if name not in ("name", "regions"))
"""Names of the variables that are read."""
_ALIKE = 0.8
_SETTINGS = ("response_window", "on_ms", "off_ms")


def from_mat(
    path: str | os.PathLike[str],
    *,
    images: ArrayLike | str | os.PathLike[str] | None = None,
    regions: Mapping[str, str] | None = None,
) -> Recording:
    """Return the recording in a MATLAB file of version 5, 7 or 7.3.

    Its variables are called as the arguments of `from_arrays` and have their shapes as MATLAB shows them:
    ``responses`` (image, trial, unit, time_bin), ``images`` (image, height, width, 3), ``region`` and others
    as text, a matrix of characters or a cell of text. MATLAB drops a last axis of length 1: with one
    ``time_bin_start``, responses of three axes are (image, trial, unit).

    Parameters
    ----------
    path
        Path of the file.
    images
        Images, as for `from_arrays`, where the file has none; with a variable ``image_file``, by default the
        folder of the file.
    regions
        As for `from_arrays`.

    Raises
    ------
    IntegrityError
        If the file is missing or damaged.
    ContractError
        If a variable is missing or not of its form, or is called almost as one of them.
    ResourceError
        If its arrays do not fit into memory.
    """
    path = file_path(path)
    source = SourceFile.at(path)
    arrays, others = in_child(path, _read, path)
    if images is not None:
        if "images" in arrays:
            raise ContractError(f"{source} has images of its own; leave the argument images out")
        arrays["images"] = images
    elif "images" not in arrays and "image_file" in arrays:
        arrays["images"] = path.parent
    for name in ("responses", "images"):
        if name not in arrays:
            there = printable(", ".join([*arrays, *others]) or "nothing", 200)
            raise ContractError(f"{source}: variable {name!r} is missing; it has {there}")
    try:
        recording = from_arrays(**arrays, name=path.stem, regions=regions)
    except ContractError as error:
        raise ContractError(f"{source}, read as a MATLAB file: {error}") from error
    origin: dict[str, Any] = {"source": "matlab", "file": path.name}
    if others:
        origin["unused"] = printable(", ".join(others), 300)
    return replace(recording, provenance={**recording.provenance, **origin})


def _read(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the arguments of `from_arrays` in a file, and the names of its other variables."""
    names = matlab_names(path)
    known = [name for name in names if name in KNOWN]
    others = [name for name in names if name not in KNOWN]
    for name in others:
        if get_close_matches(name.lower(), KNOWN, 1, _ALIKE):
            raise ContractError(f"{printable(path, 300)}: {unknown_name('variable', printable(name), KNOWN)}")
    arrays: dict[str, Any] = matlab_variables(path, known)
    for name, values in arrays.items():
        if name not in ("responses", "images"):
            arrays[name] = (
                values.item() if values.size == 1 and name != "response_window" else _vector(values)
            )
    return _with_last_axis(arrays), others


def _vector(values: np.ndarray) -> np.ndarray:
    """Return a row or column of MATLAB as a vector."""
    return values.ravel() if values.ndim == 2 and 1 in values.shape else values


def _with_last_axis(arrays: dict[str, Any]) -> dict[str, Any]:
    """Return the arrays with the axis of a single time bin or image channel that MATLAB dropped."""
    for edge in ("time_bin_start", "time_bin_end"):
        if edge in arrays:
            arrays[edge] = np.atleast_1d(arrays[edge])
    start, responses = arrays.get("time_bin_start"), arrays.get("responses")
    if start is not None and responses is not None and start.size == 1 and responses.ndim == 3:
        arrays["responses"] = responses[..., None]
    return arrays
