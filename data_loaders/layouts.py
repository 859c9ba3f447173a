"""Which layout a file has, said by what is in it and not by its name, and the loader that reads it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from brainfit.contracts.recording import Recording
from brainfit.errors import ContractError, IntegrityError
from brainfit.storage.atomic_files import file_path, regular_file
from brainfit.support.messages import printable, reason

from .files.child import in_child

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_CLASSIC = (b"CDF\x01", b"CDF\x02", b"CDF\x05")
_HDF5 = b"\x89HDF\r\n\x1a\n"
LAYOUTS = {
    "npz": "a .npz file",
    "netcdf": "netCDF with a variable 'responses'",
    "brainio": "BrainIO netCDF with dims 'neuroid' and 'presentation'",
    "hvm": "HvM HDF5 with groups 'image_meta' and 'neural_meta'",
    "nwb": "NWB with an attribute 'nwb_version'",
}
"""What tells each layout."""


def layout_of(path: str | os.PathLike[str]) -> str:
    """Return which of `LAYOUTS` a file has; only its beginning and the names in it are read.

    Raises
    ------
    IntegrityError
        If it is missing or cannot be read.
    ContractError
        If it has none of them.
    """
    path = file_path(path)
    start, hdf5 = _beginning(path)
    if start.startswith(_ZIP):
        return "npz"
    if not hdf5 and not start.startswith(_CLASSIC):
        raise _no_layout(path, "no zip, HDF5 or netCDF file" if start else "empty")
    names, attributes = _inside_hdf5(path) if hdf5 else _inside_classic(path)
    if {"neuroid", "presentation"} <= names:
        return "brainio"
    if "nwb_version" in attributes:
        return "nwb"
    if {"image_meta", "neural_meta"} <= names:
        return "hvm"
    if names & {"responses", "images"}:
        return "netcdf"
    raise _no_layout(path, f"one that holds {printable(', '.join(sorted(names)) or 'nothing', 200)}")


def read(path: str | os.PathLike[str], *, stimuli: str | os.PathLike[str] | None = None) -> Recording:
    """Return the recording in a file, whichever of `LAYOUTS` it has.

    What says what an HDF5 file holds is read by another process, since the library crashes on some damaged
    files, and hangs on others.

    Parameters
    ----------
    path
        The file.
    stimuli
        For BrainIO, which keeps images apart: the CSV of its stimuli, whose zip lies beside it.

    Raises
    ------
    IntegrityError
        If a file is missing or damaged.
    ContractError
        If it has no layout that is known, or not what its layout asks for.
    """
    path = file_path(path)
    _, hdf5 = _beginning(path)
    return in_child(path, _read, path, stimuli) if hdf5 else _read(path, stimuli)


def _read(path: Path, stimuli: str | os.PathLike[str] | None) -> Recording:
    layout = layout_of(path)
    if layout == "brainio":
        from .brainio.recording import from_brainio

        return from_brainio(path, stimuli=stimuli)
    if stimuli is not None:
        raise ContractError(f"{printable(path, 300)} has images of its own ({layout}); leave the stimuli out")
    if layout == "npz":
        from .arrays.recording import from_npz as load
    elif layout == "hvm":
        from .hvm.recording import from_hvm as load
    elif layout == "nwb":
        from .nwb.recording import from_nwb as load
    else:
        from .netcdf.recording import from_netcdf as load
    return load(path)


def _beginning(path: Path) -> tuple[bytes, bool]:
    """Return the first bytes of a file, and whether it is HDF5."""
    regular_file(path)
    try:
        with path.open("rb") as file:
            return file.read(8), _is_hdf5(file)
    except OSError as error:
        raise IntegrityError(f"cannot read {printable(path, 300)}: {reason(error)}") from error


def _is_hdf5(file: BinaryIO) -> bool:
    """Whether the signature of HDF5 stands where it may: at the start, or behind a block of the user's."""
    for place in (0, *(512 << k for k in range(12))):
        file.seek(place)
        if (found := file.read(len(_HDF5))) == _HDF5:
            return True
        if len(found) < len(_HDF5):
            return False
    return False


def _inside_hdf5(path: Path) -> tuple[set[str], set[str]]:
    from .files.hdf5 import Hdf5File

    with Hdf5File.at(path).opened() as file:
        return {str(name) for name in file}, {*file.attrs}


def _inside_classic(path: Path) -> tuple[set[str], set[str]]:
    from .netcdf.file import NetCDFFile

    with NetCDFFile.find(path).opened() as data:
        return {*data.variables, *data.dimensions}, {*data.ncattrs()}


def _no_layout(path: Path, what: str) -> ContractError:
    return ContractError(
        f"cannot tell the layout of {printable(path, 300)}: it is {what}; wanted {', or '.join(LAYOUTS.values())}"
    )
