"""What a report says, before it becomes a page, a PDF or Markdown: the same words in all of them."""

from __future__ import annotations

from dataclasses import dataclass

from brainfit.figures.display import Display
from brainfit.report.references import Reference
from brainfit.report.tables import Table


@dataclass(frozen=True)
class Document:
    """A report in its order.

    Attributes
    ----------
    name
        Of the file, without its suffix.
    title, kicker
        Of the window, and the line above the headline.
    headline, basis
        The result in one sentence, and what it rests on.
    notices
        What keeps the result from being about a brain or a trained model: titles and texts.
    tiles
        The numbers to see first: name, value, note.
    results
        Tables right under them.
    meaning
        What the numbers mean, for a newcomer; paragraphs.
    figures_note
        What there is to say before the figures; empty where there is nothing.
    figures
        In their order.
    details
        Longer tables, with titles.
    methods
        Paragraphs for the methods section of a paper.
    formulas
        One a line.
    references
        All that `methods` cites.
    left_out
        What was not used, and why.
    provenance
        All settings, versions and hashes.
    commands
        What to run to get it again; empty for what was made from Python.
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
