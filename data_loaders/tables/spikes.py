"""Count spikes from a table of spike times around the onsets in a table of presentations."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from brainfit.contracts.recording import Recording
from brainfit.errors import ContractError
from brainfit.support.arguments import number
from brainfit.support.memory import check_memory
from brainfit.support.messages import printable

from ..trials import trial_table
from .assemble import IMAGE_LABELS, UNIT_LABELS, assemble, labels_of_units, shared_groups
from .frames import TimeUnit, constant_labels, microseconds, names_of, read_frame, require_columns

_LONGEST_MS = 60_000.0


def from_spikes(
    spikes: pd.DataFrame | Mapping[str, Any] | str | os.PathLike[str],
    presentations: pd.DataFrame | Mapping[str, Any] | str | os.PathLike[str],
    images: ArrayLike | str | os.PathLike[str],
    *,
    time_unit: TimeUnit,
    units: pd.DataFrame | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    image_id: ArrayLike | None = None,
    bin_ms: float = 10,
    window_ms: tuple[float, float] = (0, 250),
    region: str | None = None,
    regions: Mapping[str, str] | None = None,
    on_ms: int | None = None,
    off_ms: int | None = None,
    response_window: tuple[float, float] | None = None,
    name: str = "spikes",
) -> Recording:
    """Return the counts of spikes in bins from the onsets of images.

    Tables are data frames, mappings of columns, or paths of CSV or Parquet files. Times are rounded to
    microseconds, so a spike on the edge of a bin belongs to the later one. Repeats of an image are its
    trials, in the order of their onsets. Where spikes and presentations both have a column ``animal`` or
    ``session``, a unit has NaN for the trials of others; otherwise all units saw all presentations.

    Parameters
    ----------
    spikes
        One row a spike: ``unit_id``, ``time``; maybe ``region``, ``animal``, ``array`` and ``session``.
    presentations
        One row a presentation: ``image_id``, ``onset``; maybe ``object_name``, ``category_name``,
        ``variation``, ``split`` (``"train"`` or ``"test"``), ``animal`` and ``session``.
    images
        A folder or zip of files that are called like the ids; a CSV with ``image_id`` and ``image_file``; or
        an array as for `from_arrays`, with `image_id`.
    time_unit
        ``"s"`` or ``"ms"``: the unit of times and onsets, which nothing can tell for sure.
    units
        One row a unit: ``unit_id`` and the labels above, which `spikes` then need not have. A unit without
        any spike is known from here only.
    image_id
        Ids of an array of images, one entry an image.
    bin_ms, window_ms
        Width of a bin, and start of the first and end of the last bin, in ms from onset; whole microseconds.
    region, regions
        Region of all units where no table has it, and declared regions, as for `from_arrays`.
    on_ms, off_ms, response_window
        As for `from_arrays`.
    name
        Name of the recording in results.

    Returns
    -------
    Recording
        Responses with dims (image, trial, unit, time_bin), counts as float32.

    Raises
    ------
    ContractError
        If a table lacks a column or has entries of another kind, tables do not fit each other, or an image
        is missing.
    IntegrityError
        If a file is missing or damaged.
    PluginError
        If a table is Parquet and pyarrow is not installed.
    ResourceError
        If the counts would not fit into memory.

    Examples
    --------
    >>> spikes = {"unit_id": ["u", "u", "v"], "time": [1.005, 1.012, 2.0]}
    >>> shown = {"image_id": ["cat", "dog"], "onset": [1.0, 2.0]}
    >>> recording = from_spikes(
    ...     spikes, shown, np.zeros((2, 8, 8)), image_id=["cat", "dog"], time_unit="s", region="IT",
    ...     window_ms=(0, 20),
    ... )
    >>> recording.responses.sel(image=0, trial=0, unit=0).values
    array([1., 1.], dtype=float32)
    """
    edges = _edges(bin_ms, window_ms)
    table, shown = read_frame("spikes", spikes), read_frame("presentations", presentations)
    require_columns("spikes", table, ("unit_id", "time"))
    require_columns("presentations", shown, ("image_id", "onset"))
    tables = {"spikes": table, "presentations": shown}
    listed = None if units is None else read_frame("units", units)
    if listed is not None:
        require_columns("units", listed, ("unit_id",))
        tables["units"] = listed
    groups = shared_groups(tables)
    of_spike, of_unit, unit_names, labels = _units(table, listed, groups)
    times = microseconds("spikes", table, "time", time_unit)
    onsets = microseconds("presentations", shown, "onset", time_unit)
    image_names, onset, group_names = _onsets(shown, onsets, groups)
    absent = set(of_unit) - set(group_names)
    if absent:
        raise ContractError(
            f"units of {' and '.join(groups)} {printable(repr(sorted(absent)[0]))} have no presentations; "
            "give these, or leave the units out"
        )
    shape = (len(image_names), onset.shape[2], len(unit_names), len(edges) - 1)
    check_memory({"counts of spikes": 4.0 * np.prod(shape)}, "take fewer or wider bins, or fewer units")
    counts = np.empty(shape, np.float32)
    order = np.lexsort((times, of_spike))
    ends = np.searchsorted(of_spike[order], np.arange(len(unit_names) + 1))
    for unit, group in enumerate(of_unit):
        own = times[order[ends[unit] : ends[unit + 1]]]
        counts[:, :, unit] = _count(own, onset[group_names.index(group)], edges)
    first = np.unique(names_of("presentations", shown, "image_id"), return_inverse=True)[1]
    of_images = constant_labels("presentations", shown, IMAGE_LABELS, first, len(image_names), "image")
    return assemble(
        name,
        counts,
        images,
        image_id,
        {
            "image_id": image_names,
            **of_images,
            **labels_of_units(labels, region, unit_names),
            "time_bin_start": edges[:-1] / 1e3,
            "time_bin_end": edges[1:] / 1e3,
        },
        {"response_window": response_window, "on_ms": on_ms, "off_ms": off_ms},
        regions,
        {
            "source": "spikes",
            "times": f"in {time_unit}, rounded to microseconds",
            "values": f"counts of spikes in bins of {bin_ms:g} ms, not normalised",
            "trials": f"presentations of an image in the order of onset{_each(groups)}",
        },
    )


def _each(groups: list[str]) -> str:
    return f", within {' and '.join(groups)}" if groups else ""


def _edges(bin_ms: float, window_ms: tuple[float, float]) -> np.ndarray:
    """Return the edges of the bins in whole microseconds."""
    width = number("bin_ms", bin_ms, 0.1, _LONGEST_MS) * 1e3
    if not isinstance(window_ms, tuple | list) or len(window_ms) != 2:
        raise ContractError(f"window_ms is a start and an end in ms, got {printable(repr(window_ms), 60)}")
    start, end = (number("window_ms", edge, -_LONGEST_MS, _LONGEST_MS) * 1e3 for edge in window_ms)
    whole = [round(value) for value in (width, start, end)]
    n_bins, rest = divmod(whole[2] - whole[1], whole[0])
    exact = all(abs(value - near) < 1e-3 for value, near in zip((width, start, end), whole, strict=True))
    if n_bins < 1 or rest or not exact:
        raise ContractError(
            f"window_ms is {window_ms[0]:g} to {window_ms[1]:g}, which is no whole number of bins of "
            f"{bin_ms:g} ms in whole microseconds"
        )
    return whole[1] + whole[0] * np.arange(n_bins + 1)


def _units(
    spikes: pd.DataFrame, units: pd.DataFrame | None, groups: list[str]
) -> tuple[np.ndarray, list[tuple[str, ...]], np.ndarray, dict[str, np.ndarray]]:
    """Return the unit of each spike, the group and id of each unit, and the labels of units."""
    source, key = (spikes, "spikes") if units is None else (units, "units")
    keys = pd.MultiIndex.from_arrays([names_of(key, source, name) for name in (*groups, "unit_id")])
    distinct = keys.unique().sort_values()
    own = keys if units is None else _keys("spikes", spikes, groups)
    of_spike = distinct.get_indexer(own)
    if (of_spike < 0).any():
        strange = own[int((of_spike < 0).argmax())]
        raise ContractError(
            f"units lacks {printable(repr(strange[-1]))}, which has spikes; give all units, or no table"
        )
    if units is not None and len(distinct) < len(keys):
        raise ContractError("units has a unit twice; wanted one row for each")
    of_row = distinct.get_indexer(keys)
    labels = constant_labels(key, source, UNIT_LABELS, of_row, len(distinct), "unit")
    if "session" in groups:
        sessions = np.array([entry[groups.index("session")] for entry in distinct])
        names = np.array(
            [f"{session}_{entry[-1]}" for session, entry in zip(sessions, distinct, strict=True)]
        )
    else:
        names = np.array([entry[-1] for entry in distinct])
    return of_spike, [entry[:-1] for entry in distinct], names, labels


def _keys(key: str, table: pd.DataFrame, groups: list[str]) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([names_of(key, table, name) for name in (*groups, "unit_id")])


def _onsets(
    shown: pd.DataFrame, onsets: np.ndarray, groups: list[str]
) -> tuple[np.ndarray, np.ndarray, list[tuple[str, ...]]]:
    """Return the images, and their onsets in microseconds, shape (group, image, trial), -1 for no trial."""
    names, image = np.unique(names_of("presentations", shown, "image_id"), return_inverse=True)
    columns = [names_of("presentations", shown, name) for name in groups]
    keys = list(zip(*columns, strict=True)) if groups else [()] * len(shown)
    distinct = sorted(set(keys))
    group = np.array([distinct.index(key) for key in keys])
    tables = []
    for g in range(len(distinct)):
        rows = np.flatnonzero(group == g)
        rows = rows[np.argsort(onsets[rows], kind="stable")]
        present, table = trial_table(image[rows], None)
        of_group = np.full((len(names), table.shape[1]), _NEVER)
        of_group[present] = np.where(table < 0, _NEVER, onsets[rows][table])
        tables.append(of_group)
    widest = max(table.shape[1] for table in tables)
    padded = [np.pad(t, ((0, 0), (0, widest - t.shape[1])), constant_values=_NEVER) for t in tables]
    return names, np.stack(padded), distinct


_NEVER = np.iinfo(np.int64).min
"""Onset that stands for no presentation."""


def _count(times: np.ndarray, onset: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the counts of sorted spike times, shape (image, trial, bin); NaN without a presentation."""
    there = onset != _NEVER
    before = np.searchsorted(times, np.where(there, onset, 0)[..., None] + edges)
    counts = np.diff(before, axis=-1).astype(np.float32)
    counts[~there] = np.nan
    return counts
