"""The content of a report, before it becomes a page or Markdown."""

from __future__ import annotations

from dataclasses import dataclass

from brainfit.figures.display import Display
from brainfit.report.references import Reference
from brainfit.report.tables import Table


@dataclass(frozen=True)
class Document:
    """The parts of a report, in order.

    Attributes
    ----------
    name
        Name of the file, without suffix.
    title, kicker
        Title of the window, and the line above the headline.
    headline, basis
        The result in one sentence, and the data that it is based on.
    notices
        Reasons for reading the result with care: titles and texts.
    tiles
        The first numbers: name, value, note.
    results
        Tables below the tiles.
    meaning
        Paragraphs that explain the numbers to a newcomer.
    figures_note
        A sentence before the figures; may be empty.
    figures
        Figures in order.
    details
        Longer tables with titles.
    methods
        Paragraphs for the methods section of a paper.
    formulas
        Formulas, one a line.
    references
        All works that `methods` cites.
    left_out
        Data that were not used, with reasons.
    provenance
        All settings, versions and hashes.
    commands
        Commands that reproduce the result; empty if it was made from Python.
    """

    name: str
    title: str
    kicker: str
    headline: str
    basis: str
    notices: list[tuple[str, str]]
    tiles: list[tuple[str, str, str]]
    results: list[Table]
    meaning: list[str]
    figures_note: str
    figures: list[Display]
    details: list[tuple[str, Table]]
    methods: list[str]
    formulas: list[str]
    references: list[Reference]
    left_out: list[tuple[str, str]]
    provenance: list[tuple[str, Table]]
    commands: list[str]
