"""What a caller gave for one argument: its plain Python value, or a refusal in one line."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, TypeGuard

from brainfit.errors import ContractError
from brainfit.support.messages import printable

if TYPE_CHECKING:
    import numpy as np


def whole_number(name: str, value: object, least: int = 0) -> int:
    """Return a whole number of at least `least`, numpy's too; a bool is none.

    Examples
    --------
    >>> whole_number("batch_size", 16, least=1)
    16
    >>> whole_number("batch_size", 0.5, least=1)
    Traceback (most recent call last):
    brainfit.errors.ContractError: batch_size is a whole number from 1 up, got 0.5
    """
    if not (_is_number(value) and isinstance(value, Integral) and value >= least):
        raise _refused(name, f"a whole number from {least} up", value)
    return int(value)


def number(name: str, value: object, low: float, high: float) -> float:
    """Return a number from `low` to `high`."""
    if not (_is_number(value) and low <= value <= high):
        raise _refused(name, f"a number from {low:g} to {high:g}", value)
    return float(value)


def fraction(name: str, value: object) -> float:
    """Return a number strictly between 0 and 1."""
    if not (_is_number(value) and 0 < value < 1):
        raise _refused(name, "a number between 0 and 1, neither of them", value)
    return float(value)


def text(name: str, value: object) -> str:
    """Return text that can be written on one line and in any file."""
    if not isinstance(value, str) or not value.isprintable():
        raise _refused(name, "text of printable characters", value)
    return str(value)


def one_of(name: str, value: object, allowed: Sequence[str]) -> str:
    """Return one of the names that are allowed."""
    if not isinstance(value, str) or value not in allowed:
        raise _refused(name, " or ".join(map(repr, allowed)), value)
    return str(value)


def numbers(name: str, values: object) -> np.ndarray:
    """Return an array of floating-point numbers; text is none, even where it could be read as such."""
    import numpy as np  # not at the top: commands that compute nothing begin at once

    try:
        array = np.asarray(values)
        if array.dtype.kind in "fiub":
            return array.astype(float)
    except (TypeError, ValueError):  # ragged, or not numbers
        pass
    raise ContractError(f"{name}: wanted an array of numbers, got {printable(repr(values))}")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool)


def _refused(name: str, wanted: str, got: object) -> ContractError:
    return ContractError(f"{name} is {wanted}, got {printable(repr(got), longest=60)}")
