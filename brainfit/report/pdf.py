"""A report as a PDF of A4 pages: text and tables that flow, and figures as vectors."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from brainfit.figures.display import Display
from brainfit.figures.panels import Panel, Panels
from brainfit.figures.style import FAINT, INK, MUTED, STYLE, WARNING
from brainfit.report.document import Document
from brainfit.report.paper import HEIGHT, MARGIN, PADDING, SMALL, TEXT, WIDTH, size_of, widths_of, wrapped
from brainfit.report.tables import Table

# All lengths are in inches.
LEADING = 1.45
"""Height of a line, in sizes of its letters."""
BODY = 9.5
"""Size of letters in points."""
FITTED: dict[Any, Any] = {"pdf.fonttype": 42, "pdf.compression": 6}


def pdf(document: Document) -> bytes:
    """Write the report; the same report gives the same bytes."""
    buffer = io.BytesIO()
    title = document.title.encode("ascii", "replace").decode()
    with (
        mpl.rc_context({**STYLE, **FITTED}),
        PdfPages(buffer, metadata={"Title": title, "CreationDate": None}) as file,  # the date of no day
    ):
        for page in draw_pages(document):
            file.savefig(page)
    return buffer.getvalue()


def draw_pages(document: Document) -> list[Figure]:
    """Draw each page."""
    with mpl.rc_context(STYLE):
        pages = _Pages()
        _front(pages, document)
        _figures(pages, document)
        _back(pages, document)
        for number, page in enumerate(pages.pages, start=1):
            foot = f"{number} / {len(pages.pages)}"
            page.text(0.5, MARGIN / 2 / HEIGHT, foot, ha="center", fontsize=SMALL, color=MUTED)
    return pages.pages


def _front(pages: _Pages, document: Document) -> None:
    pages.text(document.kicker, SMALL, color=MUTED, gap=0.06)
    pages.text(document.headline, 15, bold=True, gap=0.1)
    for title, text in document.notices:
        pages.text(f"{title}. {text}", BODY, color=WARNING, gap=0.08)
    pages.text(document.basis, BODY, gap=0.12)
    for name, value, note in document.tiles:
        pages.text(f"{name}: {value}  ({note})", BODY, gap=0.02)
    for table in document.results:
        pages.table(table)
    pages.heading("What these numbers mean")
    for paragraph in document.meaning:
        pages.text(paragraph, BODY, gap=0.08)


def _figures(pages: _Pages, document: Document) -> None:
    if document.figures_note:
        pages.text(document.figures_note, BODY)
    for display in document.figures:
        pages.figure(display)


def _back(pages: _Pages, document: Document) -> None:
    pages.turn()
    pages.heading("How it was computed")
    for paragraph in document.methods:
        pages.text(paragraph, BODY, gap=0.08)
    for formula in document.formulas:
        pages.text(f"    {formula}", BODY)
    pages.heading("References")
    for reference in document.references:
        pages.text(f"{reference.text} {reference.link}".strip(), SMALL, gap=0.04)
    pages.heading("What was left out, and why")
    for what, why in document.left_out:
        pages.text(f"{what}: {why}.", BODY, gap=0.04)
    if not document.left_out:
        pages.text("Nothing.", BODY)
    pages.heading("Do it again")
    for command in document.commands or ["This was made from Python; the table below has all settings."]:
        pages.text(command, BODY, gap=0.04)
    for title, table in [*document.details, *document.provenance]:
        pages.heading(title or "Provenance")
        pages.table(table)


class _Pages:
    """Pages that are filled from the top; what does not fit any more goes to the next one."""

    def __init__(self) -> None:
        self.pages: list[Figure] = []
        self.turn()

    def turn(self) -> None:
        """Begin a page."""
        self.pages.append(Figure(figsize=(WIDTH, HEIGHT), layout="constrained"))
        self.y = HEIGHT - MARGIN

    def need(self, height: float) -> None:
        """Begin a page unless there is so much room on this one."""
        if self.y - height < MARGIN:
            self.turn()

    def heading(self, text: str) -> None:
        self.need(0.9)  # a heading is not left alone at the foot
        self.y -= 0.18
        self.text(text, 12, bold=True, gap=0.06)

    def text(self, text: str, size: float, *, color: str = INK, bold: bool = False, gap: float = 0.0) -> None:
        """Write a paragraph, and leave a gap."""
        for line in wrapped(text, TEXT, size, bold):
            self.need(size / 72 * LEADING)
            self._write(line, MARGIN, size, color=color, bold=bold)
            self.y -= size / 72 * LEADING
        self.y -= gap

    def table(self, table: Table) -> None:
        """Write a table; its heads are repeated on each page."""
        size = size_of(table)
        widths = widths_of(table, size)
        self.y -= 0.12
        self.need(0.8)
        self.text(table.caption, SMALL, color=MUTED, gap=0.03)
        self._row(table.heads, widths, size, table.n_names, bold=True)
        for row in table.rows:
            lines = max(len(wrapped(c, w, size, False)) for c, w in zip(row, widths, strict=True))
            before = len(self.pages)
            self.need(lines * size / 72 * LEADING + 0.05)
            if len(self.pages) > before:
                self._row(table.heads, widths, size, table.n_names, bold=True)
            self._row(row, widths, size, table.n_names)

    def figure(self, display: Display) -> None:
        """Draw a figure with its title and caption, together on one page."""
        draw = display.draw
        if not isinstance(draw, (Panel, Panels)):
            raise TypeError(f"the figure {display.name} has a size of its own, and no place on a page")
        width, height = draw.size
        height *= TEXT / width if width > TEXT else 1.0
        caption = wrapped(display.caption, TEXT, SMALL + 0.5, False)
        whole = height + 0.75 + len(caption) * (SMALL + 0.5) / 72 * LEADING
        self.need(min(whole, HEIGHT - 2 * MARGIN))
        self.y -= 0.18
        self.text(display.title, 12, bold=True, gap=0.04)
        for line in wrapped(display.subject, TEXT, SMALL, False):
            self.text(line, SMALL, color=MUTED)
        top = HEIGHT - self.y
        middle = min(width, TEXT)
        grid = self.pages[-1].add_gridspec(
            3,
            3,
            height_ratios=[top, height, self.y - height],
            width_ratios=[MARGIN, middle, WIDTH - MARGIN - middle],
        )
        draw.fill(display.numbers, self.pages[-1].add_subfigure(grid[1, 1], facecolor="none"))
        self.y -= height + 0.1
        self.text(display.caption, SMALL + 0.5, color=MUTED, gap=0.1)

    def _row(
        self, cells: Sequence[str], widths: Sequence[float], size: float, n_names: int, *, bold: bool = False
    ) -> None:
        texts = [wrapped(cell, width, size, bold) for cell, width in zip(cells, widths, strict=True)]
        line = size / 72 * LEADING
        left, top = MARGIN, self.y
        for k, (lines, width) in enumerate(zip(texts, widths, strict=True)):
            for n, text in enumerate(lines):
                self.y = top - n * line
                if k < n_names:
                    self._write(text, left, size, bold=bold)
                else:
                    self._write(text, left + width, size, bold=bold, side="right")
            left += width + PADDING
        self.y = top - max(map(len, texts)) * line - 0.02
        self._rule(left - PADDING)
        self.y -= 0.03

    def _write(
        self, text: str, x: float, size: float, *, color: str = INK, bold: bool = False, side: str = "left"
    ) -> None:
        self.pages[-1].text(
            x / WIDTH, self.y / HEIGHT, text, fontsize=size, color=color, ha=side, va="top",
            fontweight="bold" if bold else "normal",
        )  # fmt: skip

    def _rule(self, right: float) -> None:
        ends, level = [MARGIN / WIDTH, right / WIDTH], [self.y / HEIGHT] * 2
        self.pages[-1].add_artist(Line2D(ends, level, color=FAINT, linewidth=0.6))
