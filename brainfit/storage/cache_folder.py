"""The folder in which brainfit keeps fetched files and computed features."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from platformdirs import user_cache_path

from brainfit.errors import BrainfitError, IntegrityError
from brainfit.support.messages import reason

VARIABLE = "BRAINFIT_CACHE"
PARTS = ("features", "recordings", "tasks", "weights")
"""Subfolders that brainfit makes."""
REMEDY = f"change its mode, or set {VARIABLE} to a folder that only you, or a group you trust, can write"
"""Advice for a cache that is not trusted."""


def folder(*parts: str) -> Path:
    """Return a folder of the cache, in $BRAINFIT_CACHE or the system's place for caches; it may not exist.

    Raises
    ------
    IntegrityError
        If $BRAINFIT_CACHE begins with the home folder of an unknown user, or the current folder is gone.
    """
    chosen = os.environ.get(VARIABLE)
    try:
        root = Path(chosen).expanduser() if chosen else user_cache_path("brainfit")
        return root.absolute().joinpath(*parts)
    except (OSError, RuntimeError) as error:
        raise IntegrityError(
            f"{VARIABLE} is {chosen or ''!r}: {reason(error)}; set it to a folder that can be written"
        ) from error


@contextmanager
def writing(*parts: str) -> Iterator[Path]:
    """Make a folder of the cache, to be written within the block.

    Raises
    ------
    IntegrityError
        If others could forge its files, it cannot be made, or the block fails with an `OSError`.
    """
    place = folder(*parts)
    try:
        require_trusted(*parts)
        place.mkdir(parents=True, exist_ok=True)
        yield place
    except BrainfitError:
        raise
    except OSError as error:
        raise IntegrityError(
            f"cannot write to the cache {place}: {reason(error)}; "
            f"free it, or set {VARIABLE} to a folder that can be written"
        ) from error


def distrust(*parts: str) -> str | None:
    """Return why files in a folder of the cache could be another user's forgery, as one clause.

    A folder is trusted if it belongs to this user or to root and is not writable for everybody, or if it is
    shared with a group of this user. The cache itself and every folder on the way must be so, because whoever
    can write to one of them can put another folder in the next one's place. None if all are trusted, or do
    not exist.
    """
    if os.name != "posix":
        return None
    for depth in range(len(parts) + 1):
        place = folder(*parts[:depth])
        with suppress(FileNotFoundError, NotADirectoryError):
            if why := _objection(place.stat()):
                return f"{place}: {why}"
    return None


def require_trusted(*parts: str) -> None:
    """Refuse to read fetched files from a folder of the cache in which others could have put them.

    Raises
    ------
    IntegrityError
        Naming the folder, and what to do.
    """
    if why := distrust(*parts):
        raise IntegrityError(f"the cache is not used: {why}; {REMEDY}")


def _objection(facts: os.stat_result) -> str | None:
    if facts.st_mode & stat.S_IWOTH:
        return "every user can write to it"
    shared = facts.st_mode & stat.S_IWGRP and facts.st_gid in {os.getegid(), *os.getgroups()}
    return None if facts.st_uid in (os.geteuid(), 0) or shared else "it belongs to another user"


def contents() -> dict[str, int]:
    """Return the size in bytes of each part of the cache by its name, 0 for a part that does not exist.

    Raises
    ------
    IntegrityError
        If the cache cannot be read.
    """
    root = folder()
    sizes: dict[str, int] = dict.fromkeys(map(str, PARTS), 0)
    try:
        for item in sorted(root.iterdir()) if root.is_dir() else ():
            sizes[item.name] = _size(item)
    except OSError as error:
        raise IntegrityError(f"cannot read the cache {root}: {reason(error)}") from error
    return sizes


def clear() -> int:
    """Remove all parts of the cache that brainfit made, and return their size in bytes.

    Other files in the folder, which the user may have chosen, stay.

    Raises
    ------
    IntegrityError
        If a file cannot be removed.
    """
    held, root = contents(), folder()
    for name in PARTS:
        try:
            shutil.rmtree(root / name)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise IntegrityError(f"cannot remove {root / name}: {reason(error)}") from error
    return sum(held[name] for name in PARTS)


def _size(item: Path) -> int:
    """Return the size in bytes of a file or of all files below a folder; files that vanish count 0."""
    if item.is_dir() and not item.is_symlink():
        return sum(map(_size, item.iterdir()))
    with suppress(FileNotFoundError):
        return item.lstat().st_size
    return 0
