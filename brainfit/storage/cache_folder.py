"""Where brainfit keeps what it has fetched and computed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from platformdirs import user_cache_path

from brainfit.errors import BrainfitError, IntegrityError
from brainfit.support.messages import reason

VARIABLE = "BRAINFIT_CACHE"
PARTS = ("features", "recordings", "weights")
"""Folders of the cache that brainfit makes."""


def folder(*parts: str) -> Path:
    """Return a folder of the cache: below $BRAINFIT_CACHE, or else where the system keeps caches.

    It may not be there: only `writing` makes it.

    Raises
    ------
    IntegrityError
        If $BRAINFIT_CACHE begins with the home folder of nobody, or there is no current folder.
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
    """Make that folder, for what is written within the block.

    Raises
    ------
    IntegrityError
        If it cannot be made, or the block fails with an `OSError`.
    """
    place = folder(*parts)
    try:
        place.mkdir(parents=True, exist_ok=True)
        yield place
    except BrainfitError:
        raise
    except OSError as error:
        raise IntegrityError(
            f"cannot write to the cache {place}: {reason(error)}; "
            f"free it, or set {VARIABLE} to a folder that can be written"
        ) from error


def contents() -> dict[str, int]:
    """Return how many bytes each part of the cache holds, by the names of the parts; what is not there is 0.

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
    """Remove all parts of the cache that brainfit made, and return how many bytes that were.

    Anything else in its folder, which the user may have chosen, stays.

    Raises
    ------
    IntegrityError
        If something cannot be removed.
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
    """Return the bytes of a file, or of all files below a folder; of what goes away meanwhile, none."""
    if item.is_dir() and not item.is_symlink():
        return sum(map(_size, item.iterdir()))
    with suppress(FileNotFoundError):
        return item.lstat().st_size
    return 0
