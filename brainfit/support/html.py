"""Write small HTML tables for notebooks, in the notebook's own colours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_CELL = "text-align: left; padding: 0.2em 0.8em 0.2em 0; overflow-wrap: anywhere"


def html_table(
    title: str, rows: Iterable[Sequence[object]], *, heads: Sequence[str] = (), notes: Iterable[str] = ()
) -> str:
    """Return a title, notes and a table as HTML; every text is escaped, because names come from files.

    Parameters
    ----------
    title
        Kind and name of the object.
    rows
        Cells of each row; the first is its label.
    heads
        Headings of the columns, if they have any.
    notes
        Remarks that a reader must not overlook.

    Examples
    --------
    >>> html_table("Score <1>", [["r", 0.5]]).count("<td")
    1
    """
    parts = [
        f"<div><strong>{escape(title)}</strong></div>",
        *(f"<div>⚠ {escape(note)}</div>" for note in notes),
    ]
    parts.append('<table style="border-collapse: collapse; color: inherit">')
    if heads:
        cells = "".join(f'<th scope="col" style="{_CELL}">{escape(head)}</th>' for head in heads)
        parts.append(f"<tr>{cells}</tr>")
    for label, *values in rows:
        cells = "".join(f'<td style="{_CELL}">{escape(str(value))}</td>' for value in values)
        parts.append(f'<tr><th scope="row" style="{_CELL}">{escape(str(label))}</th>{cells}</tr>')
    return "\n".join([*parts, "</table>"])
