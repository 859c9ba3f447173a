"""Put a report on disk: everything is made before anything is written, and written whole."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

from brainfit.errors import IntegrityError
from brainfit.figures import Display
from brainfit.report.page import displays, page
from brainfit.result import Score

SAVING: dict[Any, Any] = {"savefig.dpi": 200, "svg.fonttype": "path", "svg.hashsalt": "brainfit"}
METADATA = {"png": {"Software": None}, "svg": {"Date": None}}
"""No dates or versions in the files: the same score gives the same bytes."""
PAGE, FIGURES = "report.html", "figures"
FILES = {
    PAGE,
    *(
        f"{FIGURES}/{name}.{suffix}"
        for name in ("predictivity", "units", "trajectories")
        for suffix in METADATA
    ),
}
"""All that `write_report` ever writes, by which a folder is known to hold nothing else."""


def write_report(score: Score, folder: str | os.PathLike[str]) -> Path:
    """Write ``report.html`` and its figures as ``figures/*.png`` and ``figures/*.svg``.

    The page is one file that loads nothing from anywhere. All is computed before the first
    file is written, each file appears whole or not at all, and the page comes last.

    Parameters
    ----------
    score
        What to report on.
    folder
        Made if it is missing; a report that is already there is replaced.

    Returns
    -------
    Path
        Of ``report.html``.

    Raises
    ------
    IntegrityError
        If a file cannot be written.
    """
    folder = Path(folder)
    shown = displays(score)
    pictures = {display.name: _pictures(display) for display in shown}
    html = page(score, shown, {name: formats["svg"] for name, formats in pictures.items()})
    files = {
        f"{FIGURES}/{name}.{suffix}": content
        for name, formats in pictures.items()
        for suffix, content in formats.items()
    }
    try:
        (folder / FIGURES).mkdir(parents=True, exist_ok=True)
        for name, content in {**files, PAGE: html.encode(errors="backslashreplace")}.items():
            _write_whole(folder / name, content)
    except OSError as error:
        raise IntegrityError(f"cannot write the report to {folder}: {error}") from error
    return folder / PAGE


def _pictures(display: Display) -> Mapping[str, bytes]:
    figure = display.figure()
    pictures = {}
    with mpl.rc_context(SAVING):
        for suffix, metadata in METADATA.items():
            buffer = io.BytesIO()
            figure.savefig(buffer, format=suffix, metadata=metadata)
            pictures[suffix] = buffer.getvalue()
    return pictures


def _write_whole(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
