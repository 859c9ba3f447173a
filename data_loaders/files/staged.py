"""Write a file under a temporary name, and give it its own once it is whole and on the disk."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from brainfit.errors import BrainfitError, ContractError, IntegrityError
from brainfit.support.messages import printable, reason


def check_free(path: Path, overwrite: bool) -> None:
    """Check, before any work, that a netCDF file can be written to `path`.

    Raises
    ------
    ContractError
        If something exists there that must not be replaced, or the path is not UTF-8.
    """
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError as error:
        raise ContractError(
            f"cannot write {printable(path, 300)}: netCDF wants a path in UTF-8; choose another name or "
            "folder"
        ) from error
    if os.path.lexists(path) and (path.is_dir() or not overwrite):
        raise ContractError(
            f"{printable(path, 300)} is there already; choose another name, or replace it (--force)"
        )


@contextmanager
def staged(path: Path, overwrite: bool) -> Iterator[Path]:
    """Yield the path of a new file beside `path`, which takes its place at the end; nothing else is left.

    Raises
    ------
    ContractError
        If a file exists by then that must not be replaced.
    IntegrityError
        If the file cannot be written.
    """
    try:
        # Unlike `replaced` of atomic_files, this can ask whether the disk is full while the partial file
        # exists.
        folder = tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".partial")
    except OSError as error:
        raise IntegrityError(
            f"cannot write {printable(path, 300)}: {reason(error)}; choose another folder"
        ) from error
    partial = Path(folder, "recording.nc")
    try:
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        check_free(path, overwrite)  # another process may have written it meanwhile
        os.replace(partial, path)
    except BrainfitError:
        raise
    except (OSError, RuntimeError) as error:  # netCDF4 raises "HDF error" for any failure of the disk
        full = getattr(error, "errno", None) == errno.ENOSPC or shutil.disk_usage(folder).free < 1 << 20
        why = "No space left on device; free some" if full else f"{reason(error)}; choose another folder"
        raise IntegrityError(f"cannot write {printable(path, 300)}: {why}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
