"""A folder or a zip of image files: which names it has, and the bytes of each. Nothing is unpacked."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import IO

from brainfit.errors import BrainfitError, ContractError, IntegrityError
from brainfit.storage.atomic_files import regular_file
from brainfit.support.messages import printable, reason

_LARGEST = 64 * 2**20
"""In bytes; no file of an image that is shown to an animal comes near it."""
_MOST_SQUEEZED = 1100
"""Bytes for each byte in the zip; deflate cannot do more than 1032."""
# What zipfile and zlib raise on a file that is not what it should be, or is locked with a password.
_UNREADABLE = (
    OSError, ValueError, EOFError, KeyError, IndexError, OverflowError, RuntimeError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip

Open = Callable[[str], IO[bytes]]


def label(place: Path, name: str) -> str:
    """Return how a file of a folder or zip is called in a line of ours."""
    return f"{printable(repr(name))} in {printable(place, 300)}"


def stays_inside(name: str) -> bool:
    r"""Whether a name of a file, relative to a folder, stays in that folder on every system.

    >>> stays_inside("a/b.png"), stays_inside("../b.png"), stays_inside("/b.png"), stays_inside("C:b.png")
    (True, False, False, False)
    """
    path = PureWindowsPath(name)  # which has drives, and takes / and \ for separators
    return bool(path.parts) and not path.anchor and ".." not in path.parts and name.isprintable()


def check_files(place: Path, names: Sequence[str]) -> None:
    """Raise unless each of the names is a file of the folder or zip; others may be there too.

    Raises
    ------
    ContractError
        If a name leaves the folder, or is not there.
    IntegrityError
        If the zip is damaged, or an entry leaves its folder, is a link, or is far from the size of an image.
    """
    for name in names:
        if not isinstance(name, str) or not stays_inside(name):
            raise ContractError(
                f"image file {printable(repr(name))} does not stay inside {printable(place, 300)}; "
                "wanted a name relative to it, without .. and without a drive"
            )
    there = _files(place, names) if place.is_dir() else _entries(place)
    if missing := [name for name in names if name not in there]:
        raise ContractError(
            f"{printable(place, 300)} lacks {len(missing)} of the {len(names)} image files that are named, "
            f"such as {printable(repr(missing[0]))}"
        )


@contextmanager
def opened(place: Path) -> Iterator[Open]:
    """Give a function that opens a file of the folder or zip by its name; raises `IntegrityError`."""
    if place.is_dir():
        yield lambda name: (place / name).open("rb")
        return
    with _archive(place) as archive:
        yield archive.open


@contextmanager
def _archive(place: Path) -> Iterator[zipfile.ZipFile]:
    regular_file(place)
    try:
        archive = zipfile.ZipFile(place)
    except _UNREADABLE as error:
        raise IntegrityError(
            f"cannot read {printable(place, 300)} as a zip of images: {reason(error)}"
        ) from error
    with archive:
        yield archive


def _files(place: Path, names: Sequence[str]) -> set[str]:
    """Those of the names that are files; the folder may have very many others."""
    root = place.resolve()
    there = set()
    for name in names:
        path = place / name
        try:
            if not path.resolve().is_relative_to(root):
                raise ContractError(f"{label(place, name)} is a link to outside; put the file itself there")
            if path.is_file() and regular_file(path) > _LARGEST:
                raise IntegrityError(f"{label(place, name)} has {path.stat().st_size} bytes; no image has")
        except BrainfitError:
            raise
        except (OSError, ValueError, RuntimeError) as error:  # no such name can be, or links in a circle
            raise IntegrityError(f"cannot read {label(place, name)}: {reason(error)}") from error
        if path.is_file():
            there.add(name)
    return there


def _entries(place: Path) -> set[str]:
    with _archive(place) as archive:
        entries = archive.infolist()
    there = set()
    for entry in entries:
        name = entry.filename
        if not stays_inside(name):
            raise IntegrityError(
                f"{printable(place, 300)} has an entry {printable(repr(name))}, which leaves the folder that it "
                "would be unpacked to; get it anew from who published it"
            )
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise IntegrityError(f"{label(place, name)} is a link; wanted the file itself")
        if entry.file_size > min(_LARGEST, _MOST_SQUEEZED * max(entry.compress_size, 1)):
            raise IntegrityError(
                f"{label(place, name)} would unpack from {entry.compress_size} to {entry.file_size} bytes; "
                "no image does"
            )
        # zipfile unpacks the others without a bound on what comes out at once.
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise IntegrityError(f"{label(place, name)} is neither stored nor deflated; make the zip anew")
        if name in there:
            raise IntegrityError(f"{label(place, name)} is there twice; make the zip anew")
        there.add(name)
    return there
