"""Check one argument of a caller: return its plain Python value, or refuse it in one line.

Numpy scalars and arrays without dimensions count as the values that they hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, TypeGuard

from brainfit.errors import ContractError
from brainfit.support.messages import printable

if TYPE_CHECKING:
    import numpy as np


def whole_number(name: str, value: object, least: int = 0) -> int:
    """Return a whole number of at least `least`; a bool is refused.

    Examples
    --------
    >>> whole_number("batch_size", 16, least=1)
    16
    >>> whole_number("batch_size", 0.5, least=1)
    Traceback (most recent call last):
    brainfit.errors.ContractError: batch_size is a whole number from 1 up, got 0.5
    """
    value = _plain(value)
    if not (_is_number(value) and isinstance(value, Integral) and value >= least):
        raise _refused(name, f"a whole number from {least} up", value)
    return int(value)


def number(name: str, value: object, low: float, high: float) -> float:
    """Return a number from `low` to `high`."""
    value = _plain(value)
    if not (_is_number(value) and low <= value <= high):
        raise _refused(name, f"a number from {low:g} to {high:g}", value)
    return float(value)


def fraction(name: str, value: object) -> float:
    """Return a number strictly between 0 and 1."""
    value = _plain(value)
    if not (_is_number(value) and 0 < value < 1):
        raise _refused(name, "a number strictly between 0 and 1", value)
    return float(value)


def text(name: str, value: object) -> str:
    """Return text that is printable on one line."""
    value = _plain(value)
    if not isinstance(value, str) or not value.isprintable():
        raise _refused(name, "text of printable characters", value)
    return str(value)


def one_of(name: str, value: object, allowed: Sequence[str]) -> str:
    """Return one of the allowed names."""
    value = _plain(value)
    if not isinstance(value, str) or value not in allowed:
        raise _refused(name, " or ".join(map(repr, allowed)), value)
    return str(value)


def numbers(name: str, values: object) -> np.ndarray:
    """Return an array of floating-point numbers; text is refused, even if it looks like a number."""
    import numpy as np  # not at the top, so that commands without computations start at once

    try:
        array = np.asarray(values)
        if array.dtype.kind in "fiub":
            return array.astype(float)
    except (TypeError, ValueError):  # ragged, or not numbers
        pass
    raise ContractError(f"{name}: wanted an array of numbers, got {printable(repr(values))}")


def _plain(value: object) -> object:
    """Return the Python value of a numpy scalar or an array without dimensions; anything else as it is."""
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "shape", None) == () else value


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool)


def _refused(name: str, wanted: str, got: object) -> ContractError:
    return ContractError(f"{name} is {wanted}, got {printable(repr(got), longest=60)}")
