"""Read the table of units of an NWB file: the region of each, and where its spikes are stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from brainfit.contracts.regions import REGIONS_ADVICE, check_all_present
from brainfit.contracts.vocabulary import REGION_CHOICES
from brainfit.errors import ContractError
from brainfit.support.messages import printable

from .columns import entries, ragged, values


@dataclass(frozen=True)
class Units:
    """Units whose region is known, and the place of their spikes.

    Attributes
    ----------
    labels
        Coordinates ``unit_id``, ``region`` and ``array``, one entry a unit.
    spikes
        Name of the data set of spike times.
    first, last
        Positions in it at which the spikes of each unit begin and end.
    observed
        Intervals in which each unit was recorded, shape (interval, 2), in s; None if the file has none.
    dropped
        Records of what was left out, with the reason.
    """

    labels: dict[str, np.ndarray]
    spikes: str
    first: np.ndarray
    last: np.ndarray
    observed: tuple[np.ndarray, ...] | None
    dropped: list[dict[str, Any]]


def find_units(nwb: Any, declared: Mapping[str, str]) -> Units:
    """Return the units whose electrodes are in a region of the ventral stream, or in a declared one.

    Names of the standard regions may be in upper or lower case.

    Raises
    ------
    ContractError
        If there are none, or spike times or electrodes are missing.
    """
    table = nwb.units
    for column in ("spike_times", "electrodes"):
        if table is None or column not in table.colnames:
            raise ContractError(
                f"there is no table of units with {column}; wanted spike times, and the electrodes of each "
                "unit"
            )
    spikes = table["spike_times"]
    n = len(table.id)
    first, last = ragged("spike_times", spikes, n)
    region, array, where = _regions(table["electrodes"], n, declared)
    keep = np.flatnonzero(region != "")
    if not keep.size:
        raise ContractError(
            f"no unit is in a known region: {printable('; '.join(sorted(where)), 200)}; wanted "
            f"{', '.join(REGION_CHOICES)}; or {REGIONS_ADVICE}"
        )
    observed = None
    if "obs_intervals" in table.colnames:
        begin, end = ragged("obs_intervals", table["obs_intervals"], n)
        times = np.asarray(entries(table["obs_intervals"].target.data), float)
        if times.ndim != 2 or times.shape[1] != 2:
            raise ContractError(
                f"obs_intervals of units have shape {times.shape}; wanted (interval, 2), in s"
            )
        observed = tuple(times[begin[u] : end[u]] for u in keep)
    ids = np.asarray(entries(table.id.data)).tolist()
    dropped = [
        {"what": "units", "n": sum(region[u] == "" for u in units), "why": why}
        for why, units in where.items()
    ]
    return Units(
        labels={
            "unit_id": np.array([f"unit_{ids[u]}" for u in keep]),
            "region": region[keep],
            "array": array[keep],
        },
        spikes=str(spikes.target.data.name),
        first=first[keep],
        last=last[keep],
        observed=observed,
        dropped=[d for d in dropped if d["n"]],
    )


def _regions(
    electrodes: Any, n: int, declared: Mapping[str, str]
) -> tuple[np.ndarray, np.ndarray, dict[str, list[int]]]:
    """Return the region and group of each of `n` units, and the units without a region by the reason."""
    first, last = ragged("electrodes", electrodes, n)
    rows, table = np.asarray(entries(electrodes.target.data)), electrodes.target.table
    if "location" not in table.colnames or rows.dtype.kind not in "iu":
        raise ContractError("the table of electrodes has no column location; wanted the region of each")
    location = values(table, "location").astype(str).tolist()
    group = values(table, "group_name").astype(str) if "group_name" in table.colnames else None
    if rows.size and not 0 <= rows.min() <= rows.max() < len(location):
        raise ContractError(f"units refer to electrodes up to {rows.max()}; there are {len(location)}")
    check_all_present(declared, (place.strip() for place in location))
    known = {name.lower(): name for name in REGION_CHOICES}
    region, array = np.full(n, "", object), np.full(n, "unknown", object)
    elsewhere: dict[str, list[int]] = {}
    for unit in range(n):
        own = rows[first[unit] : last[unit]]
        places = sorted({location[e].strip() for e in own})
        names = {declared.get(place, known.get(place.lower(), "")) for place in places}
        if len(names) == 1:
            region[unit] = names.pop()
        if region[unit] == "":
            why = f"electrodes in {' and '.join(places)}" if places else "no electrodes"
            elsewhere.setdefault(why, []).append(unit)
        if group is not None and own.size:
            array[unit] = group[own[0]]
    return region.astype(str), array.astype(str), elsewhere
