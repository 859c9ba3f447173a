"""Put a report on disk: everything is made before anything is written, and written whole."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

from brainfit.errors import ContractError, IntegrityError
from brainfit.figures import Display
from brainfit.figures.style import boxes_for_letters
from brainfit.report.browser import print_pdf
from brainfit.report.document import Document
from brainfit.report.html import page
from brainfit.report.markdown import markdown
from brainfit.report.of_comparison import comparison_document
from brainfit.report.of_score import NAMES, document
from brainfit.report.run_folder import SCORE
from brainfit.scoring.result import Score
from brainfit.storage.atomic_files import replaced
from brainfit.support.arguments import one_of
from brainfit.support.messages import printable, reason

if TYPE_CHECKING:
    from brainfit.analyses.comparison import Difference

SAVING: dict[Any, Any] = {"savefig.dpi": 200, "svg.fonttype": "path", "svg.hashsalt": "brainfit"}
METADATA = {"png": {"Software": None}, "svg": {"Date": None}}
"""No dates or versions in the files: the same score gives the same bytes."""
FIGURES = "figures"
FORMATS = ("html", "pdf", "png", "svg", "md")
PAGE = "report.html"
FILES = {
    *(f"report.{suffix}" for suffix in ("html", "pdf", "md")),
    *(f"{FIGURES}/{name}.{suffix}" for name in NAMES for suffix in METADATA),
}
"""All that `write_report` ever writes, by which a folder is known to hold nothing else."""


def write_report(score: Score, folder: str | os.PathLike[str], format: str = "html") -> Path:
    """Write the report of a score.

    All is computed before the first file is written, each file appears whole or not at all, and
    what is returned comes last.

    Parameters
    ----------
    score
        What to report on.
    folder
        Made if it is missing; a report that is already there is replaced.
    format
        ``"html"``: ``report.html``, one page that loads nothing from anywhere, and its figures as
        ``figures/*.png`` and ``figures/*.svg``; ``"pdf"``: ``report.pdf``, the same page as an installed
        Chromium or Chrome prints it; ``"md"``: ``report.md`` with
        ``figures/*.png``; ``"png"``, ``"svg"``: the figures alone.

    Returns
    -------
    Path
        Of the report, or of the folder of figures.

    Raises
    ------
    ContractError
        If there is no such format.
    PluginError
        If a PDF is asked for and neither Chromium nor Chrome is installed.
    IntegrityError
        If a file cannot be written.
    """
    return _write(document(score), folder, format)


def write_comparison(
    scores: Sequence[Score],
    folder: str | os.PathLike[str],
    format: str = "html",
    *,
    seed: int = 0,
    command: str | None = None,
    pairs: Sequence[Difference] | None = None,
) -> Path:
    """Write the report of several scores beside each other: ``comparison.html`` and the like.

    Parameters
    ----------
    scores
        Two or more, of the same images and units.
    folder, format
        As for `write_report`; not the folder of a run, whose own figures it would replace.
    seed
        Of the bootstrap of the differences, as for `brainfit.compare`.
    command
        What was typed to compare them, if anything was; it is written into the report.
    pairs
        What `brainfit.compare` said of these scores, if that was asked already; then `seed` is of no use.

    Returns
    -------
    Path
        Of the report, or of the folder of figures.

    Raises
    ------
    ContractError
        If there are fewer than two scores, they are not of the same images and units, there is no such
        format, or `folder` is that of a run.
    IntegrityError
        If a file cannot be written.
    """
    if os.path.lexists(Path(folder, SCORE)):
        raise ContractError(
            f"{printable(folder, longest=300)} is the folder of a run, whose figures would be replaced; "
            "choose another folder for the comparison"
        )
    return _write(comparison_document(scores, seed=seed, command=command, pairs=pairs), folder, format)


def _write(document: Document, folder: str | os.PathLike[str], format: str) -> Path:
    folder, make = Path(folder), _MAKERS[one_of("format", format, FORMATS)]
    with boxes_for_letters():
        last, files = make(document)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            with replaced(folder / name) as new:
                new.write_bytes(content)
    except OSError as error:
        where = printable(folder, longest=300)
        raise IntegrityError(f"cannot write the report to {where}: {reason(error)}") from error
    return folder / last


Files = tuple[str, dict[str, bytes]]
"""What to name to the reader, and all files of a report in the order in which they are written."""


def _html(document: Document) -> Files:
    pictures = {display.name: _pictures(display, METADATA) for display in document.figures}
    name = f"{document.name}.html"
    return name, {**_named(pictures), name: _encoded(_page(document, pictures))}


def _pdf(document: Document) -> Files:
    pictures = {display.name: _pictures(display, ["svg"]) for display in document.figures}
    name = f"{document.name}.pdf"
    return name, {name: print_pdf(_page(document, pictures))}


def _page(document: Document, pictures: Mapping[str, Mapping[str, bytes]]) -> str:
    return page(document, {name: formats["svg"] for name, formats in pictures.items()})


def _markdown(document: Document) -> Files:
    name = f"{document.name}.md"
    return name, {**_figures(document, "png")[1], name: _encoded(markdown(document, FIGURES))}


def _figures(document: Document, suffix: str) -> Files:
    pictures = {display.name: _pictures(display, [suffix]) for display in document.figures}
    return FIGURES, _named(pictures)


_MAKERS: Mapping[str, Callable[[Document], Files]] = {
    "html": _html,
    "pdf": _pdf,
    "md": _markdown,
    "png": lambda document: _figures(document, "png"),
    "svg": lambda document: _figures(document, "svg"),
}


def _named(pictures: Mapping[str, Mapping[str, bytes]]) -> dict[str, bytes]:
    return {
        f"{FIGURES}/{name}.{suffix}": content
        for name, formats in pictures.items()
        for suffix, content in formats.items()
    }


def _encoded(text: str) -> bytes:
    return text.encode(errors="backslashreplace")


def _pictures(display: Display, suffixes: Sequence[str] | Mapping[str, Any]) -> dict[str, bytes]:
    figure = display.figure()
    pictures = {}
    with mpl.rc_context(SAVING):
        for suffix in suffixes:
            buffer = io.BytesIO()
            about = {"Title": display.title} if suffix == "svg" else {}
            figure.savefig(buffer, format=suffix, metadata={**METADATA[suffix], **about})
            pictures[suffix] = buffer.getvalue()
    return pictures
