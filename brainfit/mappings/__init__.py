"""Linear maps from model features to responses, by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from brainfit.support.suggestions import unknown_name

if TYPE_CHECKING:
    from brainfit.mappings.base import SharedLinearMap

MAPPINGS = {"ridge": "ridge:Ridge", "sgd": "sgd:SGD", "pls": "pls:PLS", "factorized": "factorized:Factorized"}
"""For each name the file and class, so that a list of names imports nothing heavy."""


def make_mapping(name: str, seed: int) -> SharedLinearMap:
    """Return a new map of that kind, shared over all time bins.

    Raises
    ------
    UnknownNameError
        If there is none.
    """
    if name not in MAPPINGS:
        raise unknown_name("mapping", name, MAPPINGS)
    module, _, attribute = MAPPINGS[name].partition(":")
    make: Callable[..., SharedLinearMap] = getattr(import_module(f"{__name__}.{module}"), attribute)
    return make(seed=seed)
