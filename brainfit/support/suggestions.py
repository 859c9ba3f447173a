"""Suggestions for mistyped names."""

from collections.abc import Iterable
from difflib import get_close_matches

from brainfit.errors import UnknownNameError


def unknown_name(kind: str, got: object, known: Iterable[str]) -> UnknownNameError:
    """Return the error for an unknown name, with the nearest known names as suggestions."""
    got, known = str(got), list(known)
    near = get_close_matches(got, known, n=3, cutoff=0.5)
    near = near or [name for name in known if name.lower() == got.lower()]
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(known) or 'none'}"
    return UnknownNameError(f"unknown {kind} {got!r}; {hint}")
