"""Errors of code that is not ours, a model's or a figure's: one line that says where they came from."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from brainfit.errors import BrainfitError, PluginError, ResourceError
from brainfit.support.out_of_memory import out_of_memory

# Where an error came from is of use only outside these.
_LIBRARIES = {*sys.stdlib_module_names, "brainfit", "numpy", "torch"}


@contextmanager
def foreign_code(label: str) -> Iterator[None]:
    """Turn whatever is raised in code that is not ours into one line that says where.

    Raises
    ------
    ResourceError
        If memory ran out.
    PluginError
        For anything else that is not an error of brainfit's own.
    """
    try:
        yield
    except BrainfitError:
        raise
    except (Exception, SystemExit) as error:  # code that is not ours may raise anything at all
        if (told := out_of_memory(error)) is not None:
            raise ResourceError(f"{label} {told}") from error
        line = one_line(f"{label} {type(error).__name__}: {error}")
        # These say themselves where, or what is not anywhere.
        where = "" if isinstance(error, (SyntaxError, ModuleNotFoundError)) else f" ({_place(error)})"
        raise PluginError(line + where) from error


def one_line(text: str) -> str:
    """Return text on one line that any encoding can write: its lone surrogates are spelled out."""
    return " ".join(text.encode("utf-8", "backslashreplace").decode().split())


def _place(error: BaseException) -> str:
    """Return the file and line, in code of the user's own if there is some, that the error came from."""
    frames = list(traceback.walk_tb(error.__traceback__))
    theirs = [at for at in frames if at[0].f_globals.get("__name__", "").partition(".")[0] not in _LIBRARIES]
    frame, line = (theirs or frames)[-1]
    return one_line(f"{frame.f_code.co_filename}, line {line}")
