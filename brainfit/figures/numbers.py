"""Numbers as text in captions, figures and reports."""

from __future__ import annotations

import math

MISSING = "–"
"""Text for an undefined value; "nan" means nothing to a reader."""


def number(value: float | None, digits: int = 2) -> str:
    """Write a number with `digits` decimals and a true minus sign; an en dash if it is undefined.

    Examples
    --------
    >>> number(0.6149), number(-0.5, 1), number(float("nan"))
    ('0.61', '−0.5', '–')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:.{digits}f}"
    return f"−{text[1:]}" if text.startswith("-") and float(text) else text.lstrip("-")


def interval(low: float, high: float) -> str:
    """Write an interval as "0.58 to 0.66"; an en dash if it is not defined."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return MISSING
    return f"{number(low)} to {number(high)}"


def count(n: int, noun: str) -> str:
    """Write a number with its noun in singular or plural.

    Examples
    --------
    >>> count(1, "unit"), count(1280, "image")
    ('1 unit', '1,280 images')
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
