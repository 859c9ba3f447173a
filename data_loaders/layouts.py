"""Detect the layout of a recording's file from its content, never from its name, and read it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from brainfit.contracts.recording import Recording
from brainfit.errors import ContractError, IntegrityError
from brainfit.storage.atomic_files import file_path, regular_file
from brainfit.support.messages import printable, reason

from .files.child import in_child
from .files.isolation import isolated
from .files.signatures import is_classic_netcdf, is_hdf5, is_matlab

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
LAYOUTS = {
    "npz": "a .npz file",
    "netcdf": "netCDF with a variable 'responses'",
    "brainio": "BrainIO netCDF with dims 'neuroid' and 'presentation'",
    "hvm": "HvM HDF5 with groups 'image_meta' and 'neural_meta'",
    "nwb": "NWB with an attribute 'nwb_version'",
    "matlab": "a MATLAB file with a variable 'responses'",
}
"""Layouts by name, and the content that identifies each."""


@isolated
def layout_of(path: str | os.PathLike[str]) -> str:
    """Return the key in `LAYOUTS` of a file's layout; only its first bytes and its names are read.

    Raises
    ------
    IntegrityError
        If the file is missing or cannot be read.
    ContractError
        If the layout is none of `LAYOUTS`.
    """
    path = file_path(path)
    start, known = _beginning(path)
    if start.startswith(_ZIP):
        return "npz"
    if is_matlab(path):
        return _of_matlab(path)
    if not known:
        raise _no_layout(path, "no zip, HDF5 or netCDF file" if start else "empty")
    names, attributes = _names_inside(path)
    if {"neuroid", "presentation"} <= names:
        return "brainio"
    if "nwb_version" in attributes:
        return "nwb"
    if {"image_meta", "neural_meta"} <= names:
        return "hvm"
    if names & {"responses", "images"}:
        return "netcdf"
    raise _no_layout(path, f"one that holds {printable(', '.join(sorted(names)) or 'nothing', 200)}")


@isolated
def read(
    path: str | os.PathLike[str],
    *,
    stimuli: str | os.PathLike[str] | None = None,
    presentations: str | None = None,
    regions: Mapping[str, str] | None = None,
) -> Recording:
    """Return the recording in a file that has one of `LAYOUTS`.

    Parameters
    ----------
    path
        Path of the file.
    stimuli
        Table of the stimuli for BrainIO, which keeps images apart: a CSV with a zip beside it.
    presentations
        Name of the table of presentations for NWB, needed where a file has several.
    regions
        Region to take for each name that is no standard region, as for `from_arrays`.

    Raises
    ------
    IntegrityError
        If a file is missing or damaged.
    ContractError
        If the layout is unknown, its content is not what the layout asks for, or an option is for another
        layout.
    ResourceError
        If memory runs out.
    """
    path = file_path(path)
    layout = layout_of(path)
    if stimuli is not None and layout != "brainio":
        raise ContractError(f"{printable(path, 300)} has images of its own ({layout}); leave the stimuli out")
    if presentations is not None and layout != "nwb":
        raise ContractError(
            f"{printable(path, 300)} has no tables of presentations to choose from ({layout}); leave the "
            "option presentations out"
        )
    if layout == "brainio":
        from .brainio.recording import from_brainio

        return from_brainio(path, stimuli=stimuli, regions=regions)
    if layout == "nwb":
        from .nwb.recording import from_nwb

        return from_nwb(path, presentations=presentations, regions=regions)
    if layout == "hvm":
        from .hvm.recording import from_hvm

        if regions is not None:
            raise ContractError(f"{printable(path, 300)} names regions by itself (hvm); leave regions out")
        return from_hvm(path)
    if layout == "npz":
        from .arrays.recording import from_npz as load
    elif layout == "matlab":
        from .matlab.recording import from_mat as load
    else:
        from .netcdf.recording import from_netcdf as load
    return load(path, regions=regions)


def _beginning(path: Path) -> tuple[bytes, bool]:
    """Return the first bytes of a file, and True if it is HDF5 or netCDF."""
    regular_file(path)
    try:
        with path.open("rb") as file:
            return file.read(8), is_hdf5(path) or is_classic_netcdf(path)
    except OSError as error:
        raise IntegrityError(f"cannot read {printable(path, 300)}: {reason(error)}") from error


def _names_inside(path: Path) -> tuple[set[str], set[str]]:
    """Return the names of members and dimensions, and of attributes, at the top of a file."""
    from .files.hdf5 import Hdf5File
    from .files.variables import VariableFile

    if is_hdf5(path):
        with Hdf5File.at(path).opened() as file:
            names: set[str] = {str(name) for name in file}
            return names, {str(name) for name in file.attrs}
    with VariableFile.at(path).opened() as data:
        return {*data.variables, *data.sizes}, {*data.attributes}


def _of_matlab(path: Path) -> str:
    """Return the layout of a MATLAB file by the names of its variables."""
    from .files.matlab import matlab_names

    names = in_child(path, matlab_names, path)
    if "responses" in names:
        return "matlab"
    if "ALLMUA" in names:
        raise ContractError(
            f"{printable(path, 300)} holds the trials of TVSD, whose images and monkey it does not name; "
            "read it with data_loaders.tvsd.from_tvsd(path, images, monkey=…)"
        )
    raise _no_layout(path, f"a MATLAB file that holds {printable(', '.join(names) or 'nothing', 200)}")


def _no_layout(path: Path, what: str) -> ContractError:
    return ContractError(
        f"cannot tell the layout of {printable(path, 300)}: it is {what}; wanted "
        f"{', or '.join(LAYOUTS.values())}"
    )
