"""Figures that a command writes to a file chosen by the user."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from brainfit.contracts.vocabulary import FIGURE_FORMATS
from brainfit.errors import ContractError, IntegrityError
from brainfit.storage.atomic_files import replaced
from brainfit.support.messages import printable, reason

if TYPE_CHECKING:
    from brainfit.figures.display import Display

_METADATA = {"pdf": {"CreationDate": None}, "png": {"Software": None}, "svg": {"Date": None}}
"""Leaves dates and versions out of the files, so that the same figure gives the same bytes."""
SUFFIXES = tuple(f".{name}" for name in FIGURE_FORMATS)


def check_picture(path: Path) -> None:
    """Check, before any work, that the file's name ends in a format of figures.

    Raises
    ------
    ContractError
        If it does not.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ContractError(
            f"cannot draw to {str(path)!r}: wanted a file that ends in {' or '.join(SUFFIXES)}"
        )


def save_picture(display: Display, path: Path) -> None:
    """Draw a figure to `path`, whole or not at all; an earlier file is replaced.

    Raises
    ------
    IntegrityError
        If the file cannot be written.
    """
    import matplotlib as mpl

    from brainfit.figures.style import boxes_for_letters
    from brainfit.report.write import SAVING

    kind = path.suffix.lower()[1:]
    with boxes_for_letters():
        figure = display.figure()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as drawn, mpl.rc_context(SAVING), boxes_for_letters():
            figure.savefig(drawn, format=kind, metadata=_METADATA[kind])
    except OSError as error:
        raise IntegrityError(f"cannot write to {printable(path, 300)}: {reason(error)}") from error
