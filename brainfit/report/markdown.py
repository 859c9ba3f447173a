"""A report as Markdown, with its figures in files beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from brainfit.report.document import Document
from brainfit.report.tables import Table


def markdown(document: Document, folder: str) -> str:
    """Write the report.

    Parameters
    ----------
    document
        The content.
    folder
        Folder of the figures as PNG, relative to the report.
    """
    return "\n\n".join(_blocks(document, folder)) + "\n"


def _blocks(document: Document, folder: str) -> Iterator[str]:
    yield f"# {plain(document.headline)}"
    yield plain(document.kicker)
    for title, text in document.notices:
        yield f"> **{plain(title)}.** {plain(text)}"
    yield plain(document.basis)
    yield "## Result"
    yield "\n".join(
        f"- **{plain(name)}: {plain(value)}** ({plain(note)})" for name, value, note in document.tiles
    )
    for table in document.results:
        yield _table(table)
    yield "### What these numbers mean"
    yield from map(plain, document.meaning)
    yield "## Figures"
    if document.figures_note:
        yield plain(document.figures_note)
    for display in document.figures:
        yield f"### {plain(display.title)}"
        yield f"![{plain(display.alt)}]({folder}/{display.name}.png)"
        yield plain(display.caption)
    if document.details:
        yield "## Tables"
    for title, table in document.details:
        yield f"### {plain(title)}"
        yield _table(table)
    yield "## How it was computed"
    yield from map(plain, document.methods)
    yield "\n".join(f"- {plain(formula)}" for formula in document.formulas)
    if document.references:
        yield "### References"
    yield "\n".join(
        f"- {plain(reference.text)}{f' <{reference.link}>' if reference.link else ''}"
        for reference in document.references
    )
    yield "## What was left out, and why"
    yield "\n".join(f"- **{plain(what)}**: {plain(why)}." for what, why in document.left_out) or "Nothing."
    yield "## Provenance"
    for title, table in document.provenance:
        if title:
            yield f"### {plain(title)}"
        yield _table(table)
    yield "### Do it again"
    if document.commands:
        yield _code("\n".join(document.commands))
    else:
        yield "This was made from Python; the table above has all settings."


def plain(text: str) -> str:
    r"""Escape text so that none of it is read as Markdown or HTML.

    Examples
    --------
    >>> print(plain("a_b | <script>"))
    a\_b \| \<script\>
    """
    return re.sub(r"([\\`*_{}\[\]<>#|~$&])", r"\\\1", " ".join(text.split()))


def _table(table: Table) -> str:
    rule = [":---" if k < table.n_names else "---:" for k in range(len(table.heads))]
    rows = [[plain(cell) for cell in row] for row in [table.heads, *table.rows]]
    lines = [f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]]]
    return "\n".join([plain(table.caption), "", *lines])


def _code(text: str) -> str:
    """Fence text with more backticks than it contains in a row."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}\n{text}\n{fence}"
