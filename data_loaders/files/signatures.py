"""Recognise kinds of files by their first bytes. Imports no library that reads them."""

from __future__ import annotations

from pathlib import Path

from brainfit.errors import ContractError
from brainfit.support.messages import printable

_HDF5 = b"\x89HDF\r\n\x1a\n"
_CLASSIC = (b"CDF\x01", b"CDF\x02", b"CDF\x05")


def is_hdf5(path: Path) -> bool:
    """Return True if the signature of HDF5 is where it may be: at the start, or after a user block."""
    with path.open("rb") as file:
        for place in (0, *(512 << k for k in range(12))):
            file.seek(place)
            if (found := file.read(len(_HDF5))) == _HDF5:
                return True
            if len(found) < len(_HDF5):
                return False
    return False


def is_classic_netcdf(path: Path) -> bool:
    """Return True if a file begins as one of the three kinds of netCDF that are not HDF5."""
    with path.open("rb") as file:
        return file.read(4) in _CLASSIC


def is_matlab(path: Path) -> bool:
    """Return True if a file was written by MATLAB's ``save``, in version 5, 7 or 7.3."""
    with path.open("rb") as file:
        return file.read(19) in (b"MATLAB 7.3 MAT-file", b"MATLAB 5.0 MAT-file")


def check_not_matlab(path: Path) -> None:
    """Raise if a file was written by MATLAB's ``save``: read as plain HDF5, its axes would be reversed.

    Raises
    ------
    ContractError
        If it is a MAT-file of version 5, 7 or 7.3.
    """
    with path.open("rb") as file:
        start = file.read(19)
    if start == b"MATLAB 7.3 MAT-file":
        raise ContractError(
            f"{printable(path, 300)} is a MATLAB 7.3 file, in which the axes of every array are reversed "
            "and text is stored as numbers; read it with data_loaders.from_mat"
        )
    if start == b"MATLAB 5.0 MAT-file":
        raise ContractError(f"{printable(path, 300)} is a MATLAB 5 file; read it with data_loaders.from_mat")
