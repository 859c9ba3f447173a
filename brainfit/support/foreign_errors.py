"""Turn errors of code that is not ours, such as a user's model, into one line that names their place."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from brainfit.errors import BrainfitError, PluginError, ResourceError
from brainfit.support.messages import one_line
from brainfit.support.out_of_memory import out_of_memory

# The place of an error helps a user only outside of these.
_LIBRARIES = {*sys.stdlib_module_names, "brainfit", "numpy", "torch"}


@contextmanager
def foreign_code(label: str) -> Iterator[None]:
    """Turn any error raised in the block into one line that names its place.

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
    except (Exception, SystemExit) as error:  # code that is not ours may raise anything
        if (no_memory := out_of_memory(error)) is not None:
            raise ResourceError(f"{label} {no_memory}") from error
        line = one_line(f"{label} {type(error).__name__}: {error}")
        # The messages of these name the place, or have none.
        where = "" if isinstance(error, (SyntaxError, ModuleNotFoundError)) else f" ({_place(error)})"
        raise PluginError(line + where) from error


def _place(error: BaseException) -> str:
    """Return the file and line of an error, in the user's own code if it passed through that."""
    frames = list(traceback.walk_tb(error.__traceback__))
    theirs = [at for at in frames if at[0].f_globals.get("__name__", "").partition(".")[0] not in _LIBRARIES]
    frame, line = (theirs or frames)[-1]
    return one_line(f"{frame.f_code.co_filename}, line {line}")
