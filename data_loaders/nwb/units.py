"""The table of units of an NWB file: where each was, and when it spiked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from brainfit.contracts.vocabulary import REGIONS
from brainfit.errors import ContractError
from brainfit.support.messages import printable

from .columns import ragged, values


@dataclass(frozen=True)
class Units:
    """Units in a region, and where their spikes are.

    Attributes
    ----------
    labels
        ``unit_id``, ``region`` and ``array``, one entry a unit.
    spikes
        Name of the dataset in the file.
    first, last
        Where the spikes of each unit begin in it, and end.
    observed
        For each unit the times, shape (interval, 2), in s, in which it was recorded; None where all was.
    dropped
        What was left out, and why.
    """

    labels: dict[str, np.ndarray]
    spikes: str
    first: np.ndarray
    last: np.ndarray
    observed: tuple[np.ndarray, ...] | None
    dropped: list[dict[str, Any]]


def find_units(nwb: Any) -> Units:
    """Return the units whose electrodes are in one of the regions, whatever the case of its name.

    Raises
    ------
    ContractError
        If there are none, or it is not known where they are or when they spiked.
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
    region, array, where = _regions(table["electrodes"], n)
    keep = np.flatnonzero(region != "")
    if not keep.size:
        raise ContractError(
            f"no unit is in a region: its electrodes are in {printable(', '.join(sorted(where)), 200)}; wanted "
            f"{', '.join(REGIONS)}"
        )
    observed = None
    if "obs_intervals" in table.colnames:
        begin, end = ragged("obs_intervals", table["obs_intervals"], n)
        times = np.asarray(table["obs_intervals"].target.data[:], float)
        if times.ndim != 2 or times.shape[1] != 2:
            raise ContractError(
                f"obs_intervals of units have shape {times.shape}; wanted (interval, 2), in s"
            )
        observed = tuple(times[begin[u] : end[u]] for u in keep)
    ids = np.asarray(table.id.data[:]).tolist()
    dropped = [
        {"what": "units", "n": sum(region[u] == "" for u in of), "why": f"in {name}, which is no region"}
        for name, of in where.items()
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


def _regions(electrodes: Any, n: int) -> tuple[np.ndarray, np.ndarray, dict[str, list[int]]]:
    """Region and group of each of `n` units, and the units of each location that is no region."""
    first, last = ragged("electrodes", electrodes, n)
    rows, table = np.asarray(electrodes.target.data[:]), electrodes.target.table
    if "location" not in table.colnames or rows.dtype.kind not in "iu":
        raise ContractError("the table of electrodes has no column location; wanted the region of each")
    location = values(table, "location").astype(str).tolist()
    group = values(table, "group_name").astype(str) if "group_name" in table.colnames else None
    if rows.size and not 0 <= rows.min() <= rows.max() < len(location):
        raise ContractError(f"units refer to electrodes up to {rows.max()}; there are {len(location)}")
    known = {name.lower(): name for name in REGIONS}
    region, array = np.full(n, "", "U3"), np.full(n, "unknown", object)
    elsewhere: dict[str, list[int]] = {}
    for unit in range(n):
        own = rows[first[unit] : last[unit]]
        places = sorted({location[e].strip() for e in own})
        names = {known.get(place.lower(), "") for place in places}
        if len(names) == 1:
            region[unit] = names.pop()
        if region[unit] == "":
            elsewhere.setdefault(" and ".join(places) or "no electrode", []).append(unit)
        if group is not None and own.size:
            array[unit] = group[own[0]]
    return region, array.astype(str), elsewhere
