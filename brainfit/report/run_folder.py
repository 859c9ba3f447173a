"""Write and read run folders: ``runs/<name>/`` with score.nc, score.json, report.html and figures/.

A run folder appears whole or not at all: it is first written to a hidden folder beside its place, which is
then renamed, or removed if anything goes wrong. Only an earlier run is ever replaced, and it is removed only
after the new one stands in its place.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brainfit.errors import BrainfitError, IntegrityError
from brainfit.report.files import FIGURES, FILES, PAGE, SCORE, SUMMARY
from brainfit.support.messages import printable, reason

if TYPE_CHECKING:
    from brainfit.scoring.result import Score

STALE_S = 3600
"""Seconds after which an untouched hidden folder is taken for the remains of a killed run."""
_SCORED = ("model", "weights", "recording", "benchmark", "region", "layer", "mapping", "seed")


def prepare_run(folder: str | os.PathLike[str]) -> Path:
    """Check, before any work, that a run can be written to `folder`.

    A missing parent folder is created, and the remains of killed runs to `folder` are removed. An earlier
    run in `folder` is allowed: `write_run` replaces it.

    Returns
    -------
    Path
        `folder`, or the target of the link that it is.

    Raises
    ------
    IntegrityError
        If `folder` is a file, is the current folder or one above it, holds files that no run of brainfit
        wrote, or cannot be written.
    """
    try:
        path = _target(folder)
        if refusal := _refusal(path):
            raise IntegrityError(f"{refusal}; choose another --out")
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        with _staging(path):
            pass
    except BrainfitError:
        raise
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise IntegrityError(f"cannot write to {_named(folder)}: {why}; choose another --out") from error
    return path


def write_run(score: Score, folder: str | os.PathLike[str], *, replace: bool = True) -> Path:
    """Write a score and its report to `folder`, and return the report's path.

    Finished work is never thrown away: if `folder` cannot be replaced, the run goes to the first of
    ``folder-2``, ``folder-3`` and so on that is free or holds a run of the same settings.

    Parameters
    ----------
    score
        The score to write.
    folder
        The run folder.
    replace
        True replaces any earlier run in `folder`; False replaces only a run of the same settings.

    Raises
    ------
    IntegrityError
        If the disk fails, or the report cannot be made. The score is then kept in the run folder or in a
        temporary one, which the error names.
    """
    from brainfit.report.write import write_report

    try:
        path = _target(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        path = _place(path, score, replace)
        with _staging(path) as staging:
            new = staging / "new"
            new.mkdir()
            score.to_netcdf(new / SCORE)
            score.to_json(new / SUMMARY)
            try:
                write_report(score, new)
            except Exception as error:  # whatever failed, the score itself is whole
                _put(new, path, staging)
                error.add_note(f"the score was kept in {path}")
                if not isinstance(error, (BrainfitError, OSError)):
                    raise
                raise IntegrityError(
                    f"the score is in {path}, but its report could not be written: {error}; "
                    f"try `brainfit report {path}`"
                ) from error
            _put(new, path, staging)
    except BrainfitError:
        raise
    except (OSError, UnicodeError) as error:
        problem = f"cannot write the run to {_named(folder)}: {reason(error)}"
        raise IntegrityError(f"{problem}; {_rescue(score)}") from error
    return path / PAGE


def _rescue(score: Score) -> str:
    """Write the score to a new temporary folder, and return a clause that says where it is."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="brainfit-run-"))
        score.to_netcdf(folder / SCORE)
    except OSError as error:
        return f"the score could not be kept in {tempfile.gettempdir()} either: {reason(error)}"
    return f"the score was kept in {folder}: free some space, and run `brainfit report {folder}`"


def read_run(folder: str | os.PathLike[str]) -> Score:
    """Read the score of a run.

    Raises
    ------
    IntegrityError
        If `folder` holds no score, or a damaged one.
    """
    from brainfit.scoring.result import Score

    path = Path(folder) / SCORE
    if not os.path.isfile(path):  # noqa: PTH113 - unlike Path, it takes any name
        raise IntegrityError(f"{_named(folder)} is not a run of brainfit: it has no {SCORE}")
    return Score.from_netcdf(path)


def _named(path: str | os.PathLike[str]) -> str:
    """Return a path on one line, cut only beyond the length that paths can have."""
    return printable(os.fspath(path), longest=4096)


def _target(folder: str | os.PathLike[str]) -> Path:
    """Return the folder under a name that can be renamed: resolved if it is a link or ends in dots."""
    path = Path(folder)
    str(path.absolute()).encode()  # netCDF accepts only such names; fail before the work, not after it
    nameless = path.name in ("", "..") or (path.is_symlink() and path.is_dir())
    return path.resolve() if nameless else path


def _refusal(path: Path) -> str | None:
    """Return the reason why no run can be written to `path`; None if one can."""
    for above in (path, *path.parents):
        if os.path.lexists(above) and not above.is_dir():
            return f"{_named(above)} is not a folder"
    here = Path.cwd()
    if path.resolve() in (here, *here.parents):
        return f"{_named(path)} is the current folder, or above it"
    if path.is_dir() and (foreign := _foreign(path)):
        return f"{_named(path)} holds {foreign!r} and is not (only) an earlier brainfit run"
    return None


def _foreign(folder: Path) -> str | None:
    """Return the name of something in `folder` that no run of brainfit wrote; None if there is nothing."""
    names = sorted(item.name for item in folder.iterdir())
    for item in folder.rglob("*"):
        name = item.relative_to(folder).as_posix()
        ours = item.is_file() if name in {SCORE, SUMMARY, *FILES} else item.is_dir() and name == FIGURES
        if item.is_symlink() or not ours:
            return name
    return names[0] if names and _info(folder) is None else None


def _info(run: Path) -> Mapping[str, Any] | None:
    """Return the settings of a run, without its numbers; None if there is no run."""
    from netCDF4 import Dataset

    try:
        with Dataset(run / SCORE) as data:
            return (
                json.loads(data.getncattr("info"))
                if {"brainfit_score", "brainfit_result"} & {*data.ncattrs()}
                else None
            )
    except (OSError, ValueError, AttributeError):
        return None


def _scored(info: Mapping[str, Any]) -> list[Any]:
    """Return the settings that two runs of the same score have in common."""
    provenance = info.get("provenance", {})
    hashes = [provenance.get("weights_sha256"), provenance.get("recording", {}).get("sha256")]
    return [*(info.get(key) for key in _SCORED), *hashes]


def _place(path: Path, score: Score, replace: bool) -> Path:
    def fits(place: Path) -> bool:
        if _refusal(place):
            return False
        earlier = _info(place)
        return earlier is None or (replace and place == path) or _scored(earlier) == _scored(score.info)

    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(filter(fits, itertools.chain([path], numbered)))


@contextmanager
def _staging(path: Path) -> Iterator[Path]:
    """Create a hidden folder beside `path`, on the same file system, and remove it afterwards."""
    staging = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".brainfit"))
    try:
        yield staging
    finally:
        _clear(staging, path)


def _put(new: Path, final: Path, staging: Path) -> None:
    """Move `new` to `final`. An earlier run is set aside, and `_clear` restores it if the move fails."""
    if final.exists():
        final.rename(staging / "old")
    new.rename(final)


def _clear(staging: Path, final: Path) -> None:
    """Remove a staging folder; an earlier run in it goes back if its place is still empty."""
    old = staging / "old"
    if old.exists() and not os.path.lexists(final):
        old.rename(final)
    shutil.rmtree(staging, ignore_errors=True)  # a later run sweeps the remains


def _sweep(path: Path) -> None:
    """Remove the remains of killed runs to `path`, but not the files of a run in progress."""
    pattern = re.compile(re.escape(f".{path.name}.") + r"\w{8}\.brainfit")
    for item in path.parent.iterdir():
        if pattern.fullmatch(item.name) and time.time() - item.stat().st_mtime > STALE_S:
            _clear(item, path)
