"""Figures that a command writes to a file of the user's choice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from brainfit.errors import ContractError, IntegrityError
from brainfit.storage.atomic_files import replaced
from brainfit.support.messages import printable, reason

if TYPE_CHECKING:
    from brainfit.figures.display import Display

# No dates or versions in the files: the same figure gives the same bytes.
FORMATS = {".svg": {"Date": None}, ".png": {"Software": None}, ".pdf": {"CreationDate": None}}


def check_picture(path: Path) -> None:
    """Raise unless a figure can be drawn to a file of that name: before any work is done."""
    if path.suffix.lower() not in FORMATS:
        raise ContractError(
            f"cannot draw to {str(path)!r}: wanted a file that ends in {' or '.join(FORMATS)}"
        )


def save_picture(display: Display, path: Path) -> None:
    """Draw to a file beside `path`, and move it there once it is whole; an earlier one is replaced."""
    import matplotlib as mpl

    from brainfit.figures.style import boxes_for_letters
    from brainfit.report.write import SAVING

    suffix = path.suffix.lower()
    with boxes_for_letters():
        figure = display.figure()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as drawn, mpl.rc_context(SAVING), boxes_for_letters():
            figure.savefig(drawn, format=suffix[1:], metadata=FORMATS[suffix])
    except OSError as error:
        raise IntegrityError(f"cannot write to {printable(path, 300)}: {reason(error)}") from error
