"""Open and write files safely: no pipes, no links, and new files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from brainfit.errors import ContractError, IntegrityError
from brainfit.support.messages import printable, reason


def file_path(value: object) -> Path:
    """Return a caller's value as a path.

    Raises
    ------
    ContractError
        If no file can have that name.
    """
    try:
        path = Path(value)  # pyright: ignore[reportArgumentType] - the check that is made here
        if b"\0" not in os.fsencode(path):
            return path
    except (TypeError, UnicodeEncodeError):
        pass
    raise ContractError(
        f"wanted the path of a file, which has no NUL and can be encoded; got {printable(repr(value))}"
    )


def regular_file(path: Path) -> int:
    """Return the size in bytes of a file that is about to be read.

    Raises
    ------
    IntegrityError
        If it does not exist or is not an ordinary file; a pipe or a device could be read without end.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as error:  # ValueError for a name that no file can have
        raise IntegrityError(f"cannot read {printable(path, 300)}: {reason(error)}; wanted a file") from error
    if not stat.S_ISREG(found.st_mode):
        what = "Is a directory" if stat.S_ISDIR(found.st_mode) else "it is a pipe, a socket or a device"
        raise IntegrityError(f"cannot read {printable(path, 300)}: {what}; wanted an ordinary file")
    return found.st_size


def open_no_link(path: Path, mode: str) -> IO[Any]:
    """Open a file as `open` does, but not through a link, and without waiting for a pipe.

    Raises
    ------
    OSError
        If it cannot be opened, or is a link (`errno.ELOOP`).
    """
    more = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return open(path, mode, opener=lambda name, flags: os.open(name, flags | more, 0o666))


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yield the path of a new file, which replaces `path` once the block has ended without an error.

    The new file is made in a private folder beside `path`, so its name cannot be predicted.

    Raises
    ------
    OSError
        If the folder of `path` cannot be written, or netCDF cannot write the file, such as on a full disk.
    """
    with tempfile.TemporaryDirectory(prefix=".brainfit-", suffix=".partial", dir=path.parent) as folder:
        new = Path(folder, "new")
        try:
            yield new
        except RuntimeError as error:
            if not str(error).startswith("NetCDF: "):
                raise
            raise OSError(errno.EIO, f"{error} (is the disk full?)") from error
        os.replace(new, path)
