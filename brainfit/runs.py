"""Run folders: ``runs/<name>/`` with score.nc, score.json, report.html and figures/.

What is written under a final name is whole: everything is first made in a hidden folder beside it,
which then takes its place by renaming, and which is removed if anything goes wrong.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from brainfit.errors import IntegrityError

if TYPE_CHECKING:
    from brainfit.result import Score

SCORE, SUMMARY, REPORT, FIGURES = "score.nc", "score.json", "report.html", "figures"


def prepare_run(folder: str | os.PathLike[str]) -> Path:
    """Make sure, before any work, that a run can be written to `folder`, and return it.

    Its parent is made where it is missing. An earlier run may be there: `write_run` replaces it.

    Raises
    ------
    IntegrityError
        If it is a file, holds what no run of brainfit wrote, or cannot be written.
    """
    path = Path(folder)
    if path.is_dir():
        here = {item.name for item in path.iterdir()}
        foreign = here - {SCORE, SUMMARY, REPORT, FIGURES}
        if foreign or (here and SCORE not in here):
            raise IntegrityError(
                f"{path} holds {min(foreign or here)!r} and is not (only) an earlier brainfit run; "
                "choose another --out, or move it away"
            )
    for above in (path, *path.parents):
        if above.exists() and not above.is_dir():
            raise IntegrityError(f"{above} is a file, not a folder; choose another --out")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _staging(path):
            pass
    except OSError as error:
        raise IntegrityError(f"cannot write to {path}: {error.strerror}; choose another --out") from error
    return path


def write_run(score: Score, folder: str | os.PathLike[str]) -> Path:
    """Write a score with its report to `folder`, replacing an earlier run; return the report's path.

    Raises
    ------
    IntegrityError
        As `prepare_run`, or if the disk fails.
    """
    from brainfit.report import write_report

    path = prepare_run(folder)
    try:
        with _staging(path) as staging:
            new = staging / "new"
            new.mkdir()
            score.to_netcdf(new / SCORE)
            score.to_json(new / SUMMARY)
            write_report(score, new)
            _put(new, path, staging)
    except OSError as error:
        raise IntegrityError(f"cannot write the run to {path}: {error}") from error
    return path / REPORT


def read_run(folder: str | os.PathLike[str]) -> Score:
    """Read the score of a run.

    Raises
    ------
    IntegrityError
        If there is none in `folder`, or it is damaged.
    """
    from brainfit.result import Score

    path = Path(folder) / SCORE
    if not path.is_file():
        raise IntegrityError(f"{folder} is not a run of brainfit: it has no {SCORE}")
    return Score.from_netcdf(path)


@contextmanager
def _staging(path: Path) -> Iterator[Path]:
    """Make a hidden folder beside `path`, on the same file system; it is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as staging:
        yield Path(staging)


def _put(new: Path, final: Path, staging: Path) -> None:
    """Move `new` to `final`; an earlier run is set aside, or put back if the move fails."""
    old = staging / "old"
    replaced = final.exists()
    if replaced:
        final.rename(old)
    try:
        new.rename(final)
    except BaseException:
        if replaced:
            old.rename(final)
        raise
