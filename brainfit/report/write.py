"""Write a report to disk. Everything is computed before the first file is written."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import pandas as pd

from brainfit.contracts.vocabulary import REPORT_FORMATS
from brainfit.errors import ContractError, IntegrityError
from brainfit.figures import Display
from brainfit.figures.style import boxes_for_letters
from brainfit.report.browser import print_pdf
from brainfit.report.document import Document
from brainfit.report.files import CARD, FIGURE_SUFFIXES, FIGURES, METRICS, SCORE
from brainfit.report.html import page
from brainfit.report.markdown import markdown
from brainfit.report.of_comparison import comparison_document
from brainfit.report.of_score import document
from brainfit.report.of_training import training_document
from brainfit.scoring.result import Score
from brainfit.storage.atomic_files import replaced
from brainfit.support.arguments import one_of
from brainfit.support.messages import printable, reason

if TYPE_CHECKING:
    from brainfit.analyses.comparison import Difference

SAVING: dict[Any, Any] = {"savefig.dpi": 200, "svg.fonttype": "path", "svg.hashsalt": "brainfit"}
METADATA: dict[str, dict[str, None]] = dict(
    zip(FIGURE_SUFFIXES, ({"Software": None}, {"Date": None}), strict=True)
)
"""The files carry no date and no version, so that the same score gives the same bytes."""


def write_report(score: Score, folder: str | os.PathLike[str], format: str = "html") -> Path:
    """Write the report of a score.

    Everything is computed before the first file is written, each file appears whole or not at all, and
    the returned path is written last.

    Parameters
    ----------
    score
        The score to report.
    folder
        The folder to write to, created if it is missing. An earlier report in it is replaced.
    format
        ``"html"`` writes ``report.html``, one page that loads nothing, with its figures in
        ``figures/*.png`` and ``figures/*.svg``; ``"pdf"`` writes ``report.pdf``, the same page printed by
        an installed Chromium or Chrome; ``"md"`` writes ``report.md`` with ``figures/*.png``; ``"png"``
        and ``"svg"`` write the figures alone.

    Returns
    -------
    Path
        The report, or the folder of figures.

    Raises
    ------
    ContractError
        If the format is unknown.
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
    """Write the report of several scores side by side, ``comparison.html`` or another format.

    Parameters
    ----------
    scores
        Two or more scores of the same images and units.
    folder, format
        As for `write_report`. `folder` cannot be a run folder, whose own figures would be replaced.
    seed
        Seed of the bootstrap of the differences, as for `brainfit.compare`.
    command
        The command line that asked for the comparison, repeated in the report.
    pairs
        The result of `brainfit.compare` for these scores, if it is known already; `seed` is then unused.

    Returns
    -------
    Path
        The report, or the folder of figures.

    Raises
    ------
    ContractError
        If there are fewer than two scores, their images or units differ, the format is unknown, or
        `folder` is a run folder.
    IntegrityError
        If a file cannot be written.
    """
    if os.path.lexists(Path(folder, SCORE)):
        raise ContractError(
            f"{printable(folder, longest=300)} is the folder of a run, whose figures would be replaced; "
            "choose another folder for the comparison"
        )
    return _write(comparison_document(scores, seed=seed, command=command, pairs=pairs), folder, format)


def write_training(folder: str | os.PathLike[str], *, command: str | None = None) -> Path:
    """Write the page of a finished training, ``training.html``, into its run folder, with its figures.

    Parameters
    ----------
    folder
        The run folder of `brainfit train` or `brainfit.training.train_model`.
    command
        The command line, repeated on the page.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    IntegrityError
        If the folder has no model card or metrics, or the page cannot be written.
    """
    try:
        card = json.loads(Path(folder, CARD).read_text(encoding="utf-8"))
        metrics = pd.read_csv(Path(folder, METRICS))
    except (OSError, ValueError) as error:
        raise IntegrityError(
            f"cannot read the training in {printable(folder, longest=300)}: {reason(error)}; wanted the "
            "folder of a finished `brainfit train`"
        ) from error
    return _write(training_document(card, metrics, command), folder, "html")


def _write(document: Document, folder: str | os.PathLike[str], format: str) -> Path:
    folder, make = Path(folder), _MAKERS[one_of("format", format, REPORT_FORMATS)]
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
"""The path to show to the reader, and the files of a report in the order in which they are written."""


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
