"""How much room text takes on a page of paper, and where its lines break."""

from __future__ import annotations

from functools import lru_cache

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from brainfit.report.tables import Table

# All lengths are in inches.
WIDTH, HEIGHT, MARGIN = 8.27, 11.69, 0.75
"""Of a page of A4."""
TEXT = WIDTH - 2 * MARGIN
PADDING = 0.1
"""Between columns of a table, at least."""
SMALL = 8.0
"""Size of the letters of tables in points, unless they need less."""


def size_of(table: Table) -> float:
    """Return letters small enough for the numbers of all columns side by side."""
    for size in (SMALL, 7.0, 6.0):
        if sum(_least(table, size)) + PADDING * (len(table.heads) - 1) <= TEXT:
            return size
    return 5.0


def _least(table: Table, size: float) -> list[float]:
    """Return the width of the widest word of each column."""
    columns = zip(*[table.heads, *table.rows], strict=True)
    return [max(width_of(word, size, True) for cell in c for word in (cell.split() or [""])) for c in columns]


def widths_of(table: Table, size: float) -> list[float]:
    """Share the page among the columns: what a column needs, as far as there is room, and long texts wrap."""
    columns = list(zip(*[table.heads, *table.rows], strict=True))
    wanted = [max(width_of(cell, size, True) for cell in column) for column in columns]
    room = TEXT - PADDING * (len(columns) - 1)
    if sum(wanted) <= room:
        return wanted
    least = _least(table, size)
    if sum(least) > room:  # words must be broken
        least = [min(width, room / len(columns)) for width in least]
    over = [w - m for w, m in zip(wanted, least, strict=True)]
    share = max(0.0, room - sum(least)) / max(sum(over), 1e-9)
    return [m + share * o for m, o in zip(least, over, strict=True)]


def wrapped(text: str, width: float, size: float, bold: bool) -> list[str]:
    """Break a text into lines that are no wider; a word that is too long is broken, too."""
    lines, line = [], ""
    for word in text.split():
        while width_of(word, size, bold) > width and len(word) > 1:
            fits = next(
                (n for n in range(len(word) - 1, 0, -1) if width_of(word[:n], size, bold) <= width), 1
            )
            if line:
                lines.append(line)
                line = ""
            lines.append(word[:fits])
            word = word[fits:]
        both = f"{line} {word}".strip()
        if line and width_of(both, size, bold) > width:
            lines.append(line)
            both = word
        line = both
    return [*lines, line] if line or not lines else lines


def width_of(text: str, size: float, bold: bool) -> float:
    """Return how wide a line is."""
    words = text.split(" ")
    return size / 72 * (sum(_ems(word, bold) for word in words) + (len(words) - 1) * _ems(" ", bold))


@lru_cache(maxsize=10_000)
def _ems(word: str, bold: bool) -> float:
    """Return the width of a word, as a share of the size of its letters."""
    font = FontProperties(family="DejaVu Sans", size=100, weight="bold" if bold else "normal")
    return text_to_path.get_text_width_height_descent(word, font, False)[0] / 100
