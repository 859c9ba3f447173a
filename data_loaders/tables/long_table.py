"""Arrange a table with one row a response as trials of images."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from brainfit.contracts.recording import Recording
from brainfit.errors import ContractError
from brainfit.support.memory import check_memory
from brainfit.support.messages import printable

from ..files.missing import check_responses
from .assemble import IMAGE_LABELS, UNIT_LABELS, assemble, labels_of_units
from .frames import TimeUnit, constant_labels, microseconds, names_of, numbers, read_frame, require_columns

_BINS = ("time_bin_start", "time_bin_end")
_UNIT_KEYS = ("animal", "session", "unit_id")
_MOSTLY_EMPTY = 64


def from_table(
    table: pd.DataFrame | Mapping[str, Any] | str | os.PathLike[str],
    images: ArrayLike | str | os.PathLike[str],
    *,
    time_unit: TimeUnit,
    image_id: ArrayLike | None = None,
    region: str | None = None,
    regions: Mapping[str, str] | None = None,
    on_ms: int | None = None,
    off_ms: int | None = None,
    response_window: tuple[float, float] | None = None,
    name: str = "table",
) -> Recording:
    """Return the responses in a table with one row for each unit, trial and bin.

    Responses that no row gives are NaN.

    Parameters
    ----------
    table
        A data frame, a mapping of columns, or the path of a CSV or Parquet file, with columns ``image_id``,
        ``unit_id``, ``response``, ``time_bin_start`` and ``time_bin_end``; ``trial`` where images repeat; and
        maybe ``region``, ``animal``, ``array``, ``session``, ``object_name``, ``category_name``,
        ``variation`` and ``split``. Trials are those of an image, animal and session, in the order of
        ``trial``, which may also number the presentations of a session. Ids of units may repeat between
        animals and sessions.
    images
        A folder or zip of files that are called like the ids; a CSV with ``image_id`` and ``image_file``; or
        an array as for `from_arrays`, with `image_id`.
    time_unit
        ``"s"`` or ``"ms"``: the unit of the bins, from image onset.
    image_id
        Ids of an array of images, one entry an image.
    region, regions
        Region of all units where the table has no such column, and declared regions, as for `from_arrays`.
    on_ms, off_ms, response_window
        As for `from_arrays`.
    name
        Name of the recording in results.

    Returns
    -------
    Recording
        Responses with dims (image, trial, unit, time_bin).

    Raises
    ------
    ContractError
        If the table lacks a column or has entries of another kind, has a response twice, or an image is
        missing.
    IntegrityError
        If a file is missing or damaged.
    PluginError
        If the table is Parquet and pyarrow is not installed.
    ResourceError
        If the responses would not fit into memory.

    Examples
    --------
    >>> table = {
    ...     "image_id": ["a", "a", "b"], "trial": [1, 2, 1], "unit_id": [7, 7, 7], "response": [0.5, 1.5, 2],
    ...     "time_bin_start": 0.07, "time_bin_end": 0.17,
    ... }
    >>> recording = from_table(table, np.zeros((2, 8, 8)), image_id=["a", "b"], time_unit="s", region="V4")
    >>> recording.responses.values[:, :, 0, 0]
    array([[0.5, 1.5],
           [2. , nan]])
    """
    frame = read_frame("table", table)
    require_columns("table", frame, ("image_id", "unit_id", "response", *_BINS))
    response = numbers("table", frame, "response", missing=True)
    check_responses("table: column response", response)
    image_names, image = np.unique(names_of("table", frame, "image_id"), return_inverse=True)
    keys = [names_of("table", frame, key) for key in _UNIT_KEYS if key in frame.columns]
    unit, units = pd.MultiIndex.from_arrays(keys).factorize(sort=True)
    edges = [microseconds("table", frame, key, time_unit) for key in _BINS]
    bins, time_bin = np.unique(np.stack(edges), axis=1, return_inverse=True)
    trial = _trials(frame, image)
    shape = (len(image_names), int(trial.max()) + 1, len(units), bins.shape[1])
    _check_full(frame, shape)
    check_memory({"responses": 8.0 * np.prod(shape)}, "give a part of the units or bins")
    place = np.ravel_multi_index((image, trial, unit, time_bin.ravel()), shape)
    _check_once(frame, place, "trial" in frame.columns)
    values = np.full(shape, np.nan)
    values.ravel()[place] = response
    of_units = constant_labels("table", frame, UNIT_LABELS, unit, len(units), "unit")
    ids = np.array([_unit_name(entry, "session" in frame.columns) for entry in units])
    return assemble(
        name,
        values,
        images,
        image_id,
        {
            "image_id": image_names,
            **constant_labels("table", frame, IMAGE_LABELS, image, len(image_names), "image"),
            **labels_of_units(of_units, region, ids),
            "time_bin_start": bins[0] / 1e3,
            "time_bin_end": bins[1] / 1e3,
        },
        {"response_window": response_window, "on_ms": on_ms, "off_ms": off_ms},
        regions,
        {"source": "table", "times": f"in {time_unit}, rounded to microseconds"},
    )


def _unit_name(entry: tuple[str, ...], with_session: bool) -> str:
    """Return the id of a unit, preceded by its session; the animal's name is added where ids repeat."""
    return f"{entry[-2]}_{entry[-1]}" if with_session else entry[-1]


def _trials(frame: pd.DataFrame, image: np.ndarray) -> np.ndarray:
    """Return the number of each row's trial, from 0 on, within its image, animal and session."""
    if "trial" not in frame.columns:
        return np.zeros(len(frame), int)
    order = numbers("table", frame, "trial") if frame["trial"].dtype.kind in "iuf" else None
    labels = names_of("table", frame, "trial") if order is None else order
    groups = [image] + [
        names_of("table", frame, key) for key in ("animal", "session") if key in frame.columns
    ]
    whole = pd.DataFrame({str(k): labels_of for k, labels_of in enumerate([*groups, labels])})
    by = [str(k) for k in range(len(groups))]
    return whole.groupby(by)[str(len(groups))].rank(method="dense").to_numpy().astype(int) - 1


def _check_full(frame: pd.DataFrame, shape: tuple[int, ...]) -> None:
    if np.prod(shape, dtype=float) > max(_MOSTLY_EMPTY * len(frame), 2**20):
        raise ContractError(
            f"table has {len(frame)} rows for {' × '.join(map(str, shape))} images, trials, units and bins, "
            "so it would be almost empty; check the columns trial, time_bin_start and time_bin_end"
        )


def _check_once(frame: pd.DataFrame, place: np.ndarray, has_trials: bool) -> None:
    order = np.argsort(place, kind="stable")
    twice = np.flatnonzero(np.diff(place[order]) == 0)
    if twice.size:
        row = int(order[twice[0] + 1])
        image, unit = (str(frame[name].iloc[row]) for name in ("image_id", "unit_id"))
        advice = "wanted one row for each" if has_trials else "give a column trial where images repeat"
        raise ContractError(
            f"table has {twice.size} responses twice, such as that of unit {printable(repr(unit))} to image "
            f"{printable(repr(image))} in row {row}; {advice}"
        )
