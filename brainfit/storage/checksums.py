"""Check files against their published hashes, or against the hash that is kept beside them.

Files without a published hash are trusted on first use: the sha256 of the first one is written to
``<name>.sha256``, in the format of `sha256sum`, and must match from then on.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from brainfit.errors import BrainfitError, ContractError, IntegrityError
from brainfit.storage.atomic_files import file_path, regular_file, replaced
from brainfit.support.messages import printable, reason

_PIECE = 1 << 20
_DIGITS = {"sha256": (8, 64), "sha1": (40, 40)}
"""Smallest and largest number of digits of a published hash."""

Published = Mapping[str, str]
"""Hexadecimal digits in lower case by the name of the algorithm; a sha256 may be cut short."""


class Digest:
    """Running sha256 of bytes, with the other hashes that are published for them."""

    def __init__(self, published: Published) -> None:
        names = {"sha256", *published}
        self._running = {name: hashlib.new(name, usedforsecurity=False) for name in names}

    def update(self, piece: bytes) -> None:
        """Add the next bytes."""
        for running in self._running.values():
            running.update(piece)

    def update_from(self, path: Path) -> None:
        """Add the bytes of a file."""
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                self.update(piece)

    def hexdigests(self) -> dict[str, str]:
        """Return the hashes so far by the names of the algorithms."""
        return {name: running.hexdigest() for name, running in self._running.items()}


def published_hashes(*, sha256: str | None = None, sha1: str | None = None) -> dict[str, str]:
    """Return the given hashes by the names of their algorithms, in lower case.

    Raises
    ------
    ContractError
        If one is malformed.
    """
    given = {"sha256": sha256, "sha1": sha1}
    published = {name: digits for name, digits in given.items() if digits is not None}
    for name, digits in published.items():
        least, most = _DIGITS[name]
        if not isinstance(digits, str) or not re.fullmatch(f"[0-9a-fA-F]{{{least},{most}}}", digits):
            wanted = f"{least} to {most}" if least < most else most
            raise ContractError(
                f"a published {name} is {printable(repr(digits), 100)}; wanted {wanted} hexadecimal digits"
            )
    return {name: digits.lower() for name, digits in published.items()}


def check_file(path: str | os.PathLike[str], *, sha256: str | None = None, sha1: str | None = None) -> str:
    """Check a file against its published hashes, or the one kept beside it; without either, keep its hash.

    Parameters
    ----------
    path
        Path of the file.
    sha256, sha1
        Published hashes in hexadecimal digits; the first 8 or more digits of `sha256` suffice.

    Returns
    -------
    str
        The sha256 of the file.

    Raises
    ------
    ContractError
        If the path or a hash is malformed.
    IntegrityError
        If the file has another hash, or cannot be read.
    """
    path = file_path(path)
    published = published_hashes(sha256=sha256, sha1=sha1)
    regular_file(path)
    digest = Digest(published)
    try:
        digest.update_from(path)
        wrong = objection(path, digest, published)
    except OSError as error:
        raise (
            error
            if isinstance(error, BrainfitError)
            else IntegrityError(f"cannot read {path}: {reason(error)}")
        ) from error
    if wrong:
        raise IntegrityError(f"{path} is not what it should be: {wrong}; delete it, and ask for it again")
    with suppress(OSError):  # its folder may be read-only
        record(path, digest, published)
    return digest.hexdigests()["sha256"]


def objection(path: Path, digest: Digest, published: Published) -> str | None:
    """Return why a file with this digest cannot be the one at `path`; None if it can.

    Raises
    ------
    IntegrityError
        If the file kept beside it holds no hash.
    """
    got = digest.hexdigests()
    for name, wanted in published.items():
        if not got[name].startswith(wanted):
            return f"got {name} {got[name]}, wanted {wanted} as published"
    kept = _beside(path)
    if is_full_hash(published) or not kept.is_file():
        return None
    with kept.open("rb") as file:
        wanted = file.read(65).decode("utf-8", "replace").partition(" ")[0]
    if not re.fullmatch("[0-9a-f]{64}", wanted):
        raise IntegrityError(f"{kept} does not begin with a sha256; delete it to trust {path.name} again")
    if got["sha256"] == wanted:
        return None
    day = time.strftime("%Y-%m-%d", time.localtime(kept.stat().st_mtime))
    to_accept = f"to accept the new file delete {kept}"
    return f"got sha256 {got['sha256']}, wanted {wanted} as first seen on {day} ({to_accept})"


def record(path: Path, digest: Digest, published: Published) -> None:
    """Keep the sha256 beside `path` if none is kept yet and no full hash is published."""
    kept = _beside(path)
    if is_full_hash(published) or kept.is_file():
        return
    with replaced(kept) as new:
        new.write_text(f"{digest.hexdigests()['sha256']}  {path.name}\n", encoding="utf-8")


def forget(path: Path) -> None:
    """Remove the hash that is kept beside `path`, because another file is about to be written there."""
    _beside(path).unlink(missing_ok=True)


def is_full_hash(published: Published) -> bool:
    """Return True if one of the published hashes has all its digits."""
    return any(len(digits) == _DIGITS[name][1] for name, digits in published.items())


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
