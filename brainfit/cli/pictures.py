"""Figures that a command writes to a file of the user's choice."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from brainfit.errors import ContractError, IntegrityError

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
        with tempfile.TemporaryDirectory(prefix=".brainfit-", dir=path.parent) as folder:
            drawn = Path(folder, "drawn")
            with mpl.rc_context(SAVING), boxes_for_letters():
                figure.savefig(drawn, format=suffix[1:], metadata=FORMATS[suffix])
            os.replace(drawn, path)
    except OSError as error:
        raise IntegrityError(f"cannot write to {path}: {error.strerror or error}") from error
