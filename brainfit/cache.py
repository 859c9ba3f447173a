"""Where brainfit keeps what it has downloaded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_path

from brainfit.errors import BrainfitError, IntegrityError
from brainfit.shown import reason

VARIABLE = "BRAINFIT_CACHE"


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
