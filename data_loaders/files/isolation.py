"""Read HDF5 and netCDF files in a process of their own, within limits of time and memory.

The C libraries that read them crash on some damaged files, hang on others, and take gigabytes for a third
kind. Every public reader of such files is decorated with `isolated`, so that each of these ends in one line.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Any, TypeVar, cast

from brainfit.errors import IntegrityError, ResourceError
from brainfit.storage.atomic_files import file_path, regular_file
from brainfit.support.messages import format_bytes, printable, reason

from .child import in_child
from .signatures import is_classic_netcdf, is_hdf5

_LEAST = 2**30
"""Memory that reading any file may take, in bytes."""
_TIMES = 8
"""Memory for each byte that a file has, or declares to hold: text takes more in memory than in a file."""

Reader = TypeVar("Reader", bound=Callable[..., Any])


def isolated(reader: Reader) -> Reader:
    """Make a reader call itself in a new process if its file is HDF5 or netCDF.

    Parameters
    ----------
    reader
        A function of a module whose first argument is the path of a file, and whose result and other
        arguments can be pickled. It reads the structure and the labels of the file; lazy values of its result
        are read in the caller's process.

    Returns
    -------
    Callable
        The same function. It raises `IntegrityError` for a file on which the library crashes or does not end,
        and `ResourceError` for one that takes more memory than a sound file of its size.
    """

    @wraps(reader)
    def read(path: Any, *arguments: Any, **options: Any) -> Any:
        path = file_path(path)
        regular_file(path)
        try:
            hdf5 = is_hdf5(path)
            classic = is_classic_netcdf(path)
        except OSError as error:
            raise IntegrityError(f"cannot read {printable(path, 300)}: {reason(error)}") from error
        if not (hdf5 or classic):
            return reader(path, *arguments, **options)
        # Pickle finds the decorated function by its name; in the child `in_child` calls it directly.
        call = partial(_undecorated, read, path, *arguments, **options)
        return in_child(path, _limited, path, hdf5, call)

    return cast(Reader, read)


def _undecorated(read: Any, *arguments: Any, **options: Any) -> Any:
    return read.__wrapped__(*arguments, **options)


def _limited(path: Path, hdf5: bool, call: Callable[[], Any]) -> Any:
    """Return what a call returns that reads a file, within the memory that a sound file needs.

    Sizes that an HDF5 file declares are looked at first, so that a well compressed one has room.

    Raises
    ------
    ResourceError
        If the call takes more memory.
    """
    from .hdf5 import SourceFile, declared_bytes

    source = SourceFile.at(path)
    declared = 0
    if hdf5:
        with _at_most(source, _LEAST + _TIMES * source.size), source.errors_named("HDF5"):
            declared = declared_bytes(source)
    with _at_most(source, _LEAST + _TIMES * (source.size + declared)):
        return call()


@contextmanager
def _at_most(source: object, n_bytes: int) -> Iterator[None]:
    """Limit the memory that this process can take inside the block to `n_bytes` more, on Linux."""
    if sys.platform != "linux":
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _data_bytes() + n_bytes
    ours = soft == resource.RLIM_INFINITY or limit < soft
    if ours:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    except (ResourceError, MemoryError) as error:
        if not ours:
            raise
        raise ResourceError(
            f"reading {source} takes more than {format_bytes(n_bytes)} of memory, which is far more than a "
            "file needs that holds what this one declares; it may be damaged: get it anew"
        ) from error
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int:
    """Return the memory of this process that counts towards its limit of data, in bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    return pages * os.sysconf("SC_PAGE_SIZE")
