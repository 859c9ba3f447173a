"""Read image files of a folder or a zip by their names. Nothing is unpacked."""

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
"""Size in bytes that no file of one stimulus comes near."""
_MOST_SQUEEZED = 1100
"""Largest ratio of unpacked to packed bytes that is believed; deflate reaches 1032."""
_ANNEX = "annex/objects"
# Exceptions that zipfile and zlib raise on a file that is damaged or locked with a password.
_UNREADABLE = (
    OSError, ValueError, EOFError, KeyError, IndexError, OverflowError, RuntimeError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip

Open = Callable[[str], IO[bytes]]


def label(place: Path, name: str) -> str:
    """Return the name of a file and its folder or zip, for messages."""
    return f"{printable(repr(name))} in {printable(place, 300)}"


def stays_inside(name: str) -> bool:
    r"""Return True if a file's name, relative to a folder, stays in that folder on every system.

    >>> stays_inside("a/b.png"), stays_inside("../b.png"), stays_inside("/b.png"), stays_inside("C:b.png")
    (True, False, False, False)
    """
    path = PureWindowsPath(name)  # which has drives, and takes / and \ for separators
    return bool(path.parts) and not path.anchor and ".." not in path.parts and name.isprintable()


def check_files(place: Path, names: Sequence[str]) -> None:
    """Raise unless each of the names is a file of the folder or zip; more files may be there.

    Raises
    ------
    ContractError
        If a name leaves the folder, is not there, or is kept by git-annex but was not fetched.
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
    """Yield a function that opens a file of the folder or zip by its name; raise `IntegrityError`."""
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
    """Return those of the names that are files; the folder may have very many others.

    Links are followed within the folder, and to the objects of the git-annex repository that it is in, as
    DataLad makes them; any other link is refused.
    """
    root, there = place.resolve(), set()
    allowed = [folder for folder in (root, _annex(root)) if folder is not None]
    for name in names:
        path = place / name
        try:
            target = path.resolve()
            if path.is_symlink() and not target.exists() and _ANNEX in target.as_posix():
                raise ContractError(
                    f"{label(place, name)} is kept by git-annex but its content is not here; fetch it with "
                    "`datalad get` or `git annex get`"
                )
            if not any(target.is_relative_to(folder) for folder in allowed):
                raise ContractError(f"{label(place, name)} is a link to outside; put the file itself there")
            if path.is_file() and regular_file(path) > _LARGEST:
                raise IntegrityError(f"{label(place, name)} has {path.stat().st_size} bytes; no image has")
        except BrainfitError:
            raise
        except (OSError, ValueError, RuntimeError) as error:  # a name that cannot be, or links in a circle
            raise IntegrityError(f"cannot read {label(place, name)}: {reason(error)}") from error
        if path.is_file():
            there.add(name)
    return there


def _annex(root: Path) -> Path | None:
    """Return the folder of objects of the git-annex repository that a folder is in, if there is one."""
    repository = next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), None)
    objects = None if repository is None else (repository / ".git" / _ANNEX).resolve()
    return objects if objects is not None and objects.is_dir() else None


def _entries(place: Path) -> set[str]:
    with _archive(place) as archive:
        entries = archive.infolist()
    there = set()
    for entry in entries:
        name = entry.filename
        if not stays_inside(name):
            raise IntegrityError(
                f"{printable(place, 300)} has an entry {printable(repr(name))}, which leaves the folder "
                "that it would be unpacked to; get it anew from who published it"
            )
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise IntegrityError(f"{label(place, name)} is a link; wanted the file itself")
        if entry.file_size > min(_LARGEST, _MOST_SQUEEZED * max(entry.compress_size, 1)):
            raise IntegrityError(
                f"{label(place, name)} would unpack from {entry.compress_size} to {entry.file_size} bytes; "
                "no image does"
            )
        # zipfile unpacks other methods without a bound on what comes out at once.
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise IntegrityError(f"{label(place, name)} is neither stored nor deflated; make the zip anew")
        if name in there:
            raise IntegrityError(f"{label(place, name)} occurs twice; make the zip anew")
        there.add(name)
    return there
