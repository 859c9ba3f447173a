"""Regressions from features to responses, by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from brainfit.support.suggestions import unknown_name

if TYPE_CHECKING:
    from brainfit.mappings.base import SharedLinearMap

_FILES = {"ridge": "ridge:Ridge", "sgd": "sgd:SGD", "pls": "pls:PLS", "factorized": "factorized:Factorized"}
"""File and class of each mapping, so that a list of names imports nothing heavy."""


def make_mapping(name: str, seed: int, **options: Any) -> SharedLinearMap:
    """Return a new map of that name, shared over all time bins, with options of its class.

    Raises
    ------
    UnknownNameError
        If there is no mapping of that name.
    """
    if name not in _FILES:
        raise unknown_name("mapping", name, _FILES)
    module, _, attribute = _FILES[name].partition(":")
    make: Callable[..., SharedLinearMap] = getattr(import_module(f"{__name__}.{module}"), attribute)
    return make(seed=seed, **options)
