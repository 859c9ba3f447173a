"""Files that can be read to their end, and files that appear whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from brainfit.errors import ContractError, IntegrityError
from brainfit.support.messages import printable, reason


def file_path(value: object) -> Path:
    """Return the path that a caller gave.

    Raises
    ------
    ContractError
        If no file can be called so.
    """
    try:
        path = Path(value)  # pyright: ignore[reportArgumentType] - which is what is found out
        if b"\0" not in os.fsencode(path):
            return path
    except (TypeError, UnicodeEncodeError):
        pass
    raise ContractError(
        f"wanted the path of a file, which has no NUL and can be encoded; got {printable(repr(value))}"
    )


def regular_file(path: Path) -> int:
    """Return the size in bytes of what is to be read; a pipe or a device would be read without end.

    Raises
    ------
    IntegrityError
        If it is not there, or no ordinary file.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise IntegrityError(f"cannot read {printable(path, 300)}: {reason(error)}; wanted a file") from error
    if not stat.S_ISREG(found.st_mode):
        what = "Is a directory" if stat.S_ISDIR(found.st_mode) else "it is a pipe, a socket or a device"
        raise IntegrityError(f"cannot read {printable(path, 300)}: {what}; wanted an ordinary file")
    return found.st_size


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Give a new file to write to, which takes the place of `path` once it is whole; nothing else is left.

    Raises
    ------
    OSError
        If its folder cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix=".brainfit-", suffix=".partial", dir=path.parent) as folder:
        new = Path(folder, "new")
        yield new
        os.replace(new, path)
