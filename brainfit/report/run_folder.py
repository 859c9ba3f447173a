"""Run folders: ``runs/<name>/`` with score.nc, score.json, report.html and figures/.

What is written under a final name is whole: everything is first made in a hidden folder beside it,
which then takes its place by renaming, and which is removed if anything goes wrong. Nothing is
replaced but an earlier run, and that is only removed once the new one stands in its place.
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
from brainfit.support.messages import printable

if TYPE_CHECKING:
    from brainfit.scoring.result import Score

SCORE, SUMMARY = "score.nc", "score.json"
STALE_S = 3600
"""A hidden folder that nobody touched for so long belongs to a run that was killed."""
_SCORED = ("model", "weights", "recording", "benchmark", "region", "layer", "mapping", "seed")


def prepare_run(folder: str | os.PathLike[str]) -> Path:
    """Make sure, before any work, that a run can be written to `folder`, and return it.

    Its parent is made where it is missing, and what runs to `folder` left beside it when they were
    killed is cleared away. An earlier run may be there: `write_run` replaces it.

    Returns
    -------
    Path
        `folder`, or where it points if it is a link.

    Raises
    ------
    IntegrityError
        If it is a file, is or holds the folder one works in, holds what no run of brainfit wrote,
        or cannot be written.
    """
    try:
        path = _target(folder)
        if reason := _refusal(path):
            raise IntegrityError(f"{reason}; choose another --out")
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
    """Write a score with its report to `folder` and return the report's path.

    Finished work is not thrown away: where `folder` cannot be replaced, the run goes to the first of
    ``folder-2``, ``folder-3`` and so on that is free or holds a run of the same.

    Parameters
    ----------
    score
        What to write.
    folder
        The run's folder.
    replace
        Whether any earlier run in `folder` is replaced, or only one that scored the same.

    Raises
    ------
    IntegrityError
        If the disk fails, or the report cannot be made; in the latter case the score is kept.
    """
    from brainfit.report.write import PAGE, write_report

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
            except Exception as error:  # whatever it was, the score is whole
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
        raise IntegrityError(f"cannot write the run to {_named(folder)}: {error}") from error
    return path / PAGE


def read_run(folder: str | os.PathLike[str]) -> Score:
    """Read the score of a run.

    Raises
    ------
    IntegrityError
        If there is none in `folder`, or it is damaged.
    """
    from brainfit.scoring.result import Score

    path = Path(folder) / SCORE
    if not os.path.isfile(path):  # noqa: PTH113 - unlike Path, it takes any name
        raise IntegrityError(f"{_named(folder)} is not a run of brainfit: it has no {SCORE}")
    return Score.from_netcdf(path)


def _named(path: str | os.PathLike[str]) -> str:
    """Write a path on one line; it is not cut where a path has an end."""
    return printable(os.fspath(path), longest=4096)


def _target(folder: str | os.PathLike[str]) -> Path:
    """Return the folder by a name of its own, with which it can be renamed: no link, no dots."""
    path = Path(folder)
    str(path).encode()  # netCDF takes no other names: better said now than after the work
    nameless = path.name in ("", "..") or (path.is_symlink() and path.is_dir())
    return path.resolve() if nameless else path


def _refusal(path: Path) -> str | None:
    """Say why no run can be put at `path`; None where one can."""
    for above in (path, *path.parents):
        if os.path.lexists(above) and not above.is_dir():
            return f"{_named(above)} is not a folder"
    here = Path.cwd()
    if path.resolve() in (here, *here.parents):
        return f"{_named(path)} is the folder one works in, or above it"
    if path.is_dir() and (foreign := _foreign(path)):
        return f"{_named(path)} holds {foreign!r} and is not (only) an earlier brainfit run"
    return None


def _foreign(folder: Path) -> str | None:
    """Name something in `folder` that no run of brainfit put there; None where there is nothing."""
    from brainfit.report.write import FIGURES, FILES

    names = sorted(item.name for item in folder.iterdir())
    for item in folder.rglob("*"):
        name = item.relative_to(folder).as_posix()
        ours = item.is_file() if name in {SCORE, SUMMARY, *FILES} else item.is_dir() and name == FIGURES
        if item.is_symlink() or not ours:
            return name
    return names[0] if names and _info(folder) is None else None


def _info(run: Path) -> Mapping[str, Any] | None:
    """Return what a run says it scored, without reading its numbers; None where there is no run."""
    from netCDF4 import Dataset

    try:
        with Dataset(run / SCORE) as data:
            return json.loads(data.getncattr("info")) if "brainfit_score" in data.ncattrs() else None
    except (OSError, ValueError, AttributeError):
        return None


def _scored(info: Mapping[str, Any]) -> list[Any]:
    """Return what tells whether two runs scored the same."""
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
    """Make a hidden folder beside `path`, on the same file system; it is gone afterwards."""
    staging = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".brainfit"))
    try:
        yield staging
    finally:
        _clear(staging, path)


def _put(new: Path, final: Path, staging: Path) -> None:
    """Move `new` to `final`; an earlier run is set aside, and `_clear` puts it back if that fails."""
    if final.exists():
        final.rename(staging / "old")
    new.rename(final)


def _clear(staging: Path, final: Path) -> None:
    """Remove a staging folder, but never an earlier run whose place is still empty: it goes back."""
    old = staging / "old"
    if old.exists() and not os.path.lexists(final):
        old.rename(final)
    shutil.rmtree(staging, ignore_errors=True)  # what stays is swept another time


def _sweep(path: Path) -> None:
    """Clear what killed runs to `path` left behind, and not what another run is just writing."""
    pattern = re.compile(re.escape(f".{path.name}.") + r"\w{8}\.brainfit")
    for item in path.parent.iterdir():
        if pattern.fullmatch(item.name) and time.time() - item.stat().st_mtime > STALE_S:
            _clear(item, path)
