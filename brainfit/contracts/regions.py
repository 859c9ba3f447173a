"""Regions of units: the standard ones, and those that a user declares for a recording."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from brainfit.contracts.vocabulary import REGION_CHOICES
from brainfit.errors import ContractError
from brainfit.support.messages import printable

REGIONS_ADVICE = (
    "declare what to take them as: --regions VISp=V1 for a standard region, or --regions VISp to keep the "
    "name as a region of its own (regions={'VISp': 'V1'} or {'VISp': 'VISp'} in Python)"
)
"""Advice for regions that are not standard ones; the names are examples."""


def check_declaration(regions: Any) -> dict[str, str]:
    """Return a declaration of regions as a dictionary.

    Parameters
    ----------
    regions
        Region to take for each name that a recording has, or None for no declaration. A region that is not a
        standard one becomes one of the recording's own.

    Raises
    ------
    ContractError
        If it is no mapping of text to text, or a region differs from a standard one only in upper and lower
        case.

    Examples
    --------
    >>> check_declaration({"VISp": "V1", "LO": "LO"})
    {'VISp': 'V1', 'LO': 'LO'}
    """
    if regions is None:
        return {}
    if not isinstance(regions, Mapping) or not all(
        isinstance(part, str) and part.strip() and part.isprintable()
        for item in regions.items()
        for part in item
    ):
        raise ContractError(
            f"regions is {printable(repr(regions), 60)}; wanted the region for each name, as in "
            "{'VISp': 'V1', 'LO': 'LO'}"
        )
    check_own_regions(own_regions(regions.values()))
    return dict(regions)


def own_regions(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that are no standard regions, sorted, each once."""
    return tuple(sorted({name for name in names if name not in REGION_CHOICES}))


def check_own_regions(names: tuple[str, ...]) -> None:
    """Refuse regions of a recording's own that would be confused with standard ones.

    Raises
    ------
    ContractError
        If a name differs from a standard one only in upper and lower case.
    """
    known = {name.lower(): name for name in REGION_CHOICES}
    for name in names:
        if name.lower() in known:
            raise ContractError(
                f"region {printable(repr(name))} would be confused with {known[name.lower()]}; take it as "
                f"that one (--regions {name}={known[name.lower()]}), or rename it"
            )


def apply_declaration(labels: np.ndarray, declared: Mapping[str, str]) -> np.ndarray:
    """Return the region of each unit, with declared names replaced.

    Raises
    ------
    ContractError
        If the declaration has a name that no unit has.

    Examples
    --------
    >>> apply_declaration(np.array(["VISp", "V4"]), {"VISp": "V1"}).tolist()
    ['V1', 'V4']
    """
    check_all_present(declared, labels.astype(str).tolist())
    return np.array([declared.get(name, name) for name in labels.astype(str).tolist()])


def check_all_present(declared: Mapping[str, str], present: Iterable[str]) -> None:
    """Raise `ContractError` if the declaration has a name that is not among those present."""
    there = set(present)
    if absent := sorted(set(declared) - there):
        raise ContractError(
            f"regions declares {printable(repr(absent[0]))}, but no unit is there; units are in "
            f"{printable(', '.join(sorted(there)) or 'no region', 200)}"
        )
