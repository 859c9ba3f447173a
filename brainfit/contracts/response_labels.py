"""Describe the units and time bins of responses by their labels, in the words that every command uses."""

from __future__ import annotations

from collections import Counter

import xarray as xr

from brainfit.contracts.vocabulary import REGION_CHOICES
from brainfit.support.messages import printable

_MOST_NAMES = 12
"""Names in one line; of more, only the number is given."""


def units_by_region(responses: xr.DataArray) -> str:
    """Return the number of units of each region, and in it of each animal, as text.

    Examples
    --------
    >>> labels = {"region": ("unit", ["V4", "V4", "IT"]), "animal": ("unit", ["b", "a", "a"])}
    >>> units_by_region(xr.DataArray([1, 2, 3], dims="unit", coords=labels))
    'V4 2 (a 1, b 1); IT 1 (a 1)'
    """
    pairs = Counter(zip(text_labels(responses["region"]), text_labels(responses["animal"]), strict=True))
    regions = sorted({region for region, _ in pairs}, key=_rank)
    lines = []
    for region in regions:
        animals = {animal: n for (where, animal), n in sorted(pairs.items()) if where == region}
        names = ", ".join(f"{printable(animal)} {n}" for animal, n in animals.items())
        many = f"{len(animals)} animals" if len(animals) > _MOST_NAMES else names
        lines.append(f"{printable(region)} {sum(animals.values()):,} ({many})")
    return "; ".join(lines) or "none"


def time_bins(responses: xr.DataArray) -> str:
    """Return number, span, width and overlap of the time bins as text."""
    start, end = (responses[f"time_bin_{edge}"].values.astype(float) for edge in ("start", "end"))
    narrow, wide = (end - start).min(), (end - start).max()
    width = f"{narrow:g}" if narrow == wide else f"{narrow:g} to {wide:g}"
    overlap = ", overlapping (each is taken by its centre)" if (start[1:] < end[:-1]).any() else ""
    each = "each " if len(start) > 1 else ""
    return f"{len(start)} from {start[0]:g} to {end.max():g} ms, {each}{width} ms wide{overlap}"


def text_labels(labels: xr.DataArray) -> list[str]:
    """Return labels as a list of text."""
    return labels.values.astype(str).tolist()


def _rank(region: str) -> int:
    return REGION_CHOICES.index(region) if region in REGION_CHOICES else len(REGION_CHOICES)
