"""Read the table of an NWB file that lists which image appeared when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from brainfit.errors import ContractError
from brainfit.support.messages import printable

from ..trials import trial_table
from .columns import values

_ID_COLUMNS = (
    "image_id", "stimulus_id", "image_name", "stimulus_name", "image_index", "stimulus_index", "frame",
)  # fmt: skip
"""Columns that identify the image; the first that a table has is taken."""
_FILE_COLUMNS = ("image_file", "filename", "image_file_name", "stimulus_file")
_LABELS = ("object_name", "category_name", "variation")


@dataclass(frozen=True)
class Presentations:
    """Images and their onsets; the repeats of an image are its trials.

    Attributes
    ----------
    table
        Name of the table, and the column that identifies the image.
    image_id
        Ids of the file, text or whole numbers, in the order of their first presentation.
    onset
        Times in s, shape (image, trial); NaN where an image was shown less often.
    labels
        Columns of text or numbers that are equal in all repeats, one entry an image.
    image_file
        Names of the files of the images, or None if there is no such column.
    dropped
        Records of what was left out, with the reason.
    """

    table: str
    image_id: np.ndarray
    onset: np.ndarray
    labels: dict[str, np.ndarray]
    image_file: np.ndarray | None
    dropped: list[dict[str, Any]]


def find_presentations(nwb: Any, wanted: str | None) -> Presentations:
    """Return the presentations of images.

    Parameters
    ----------
    nwb
        Content of the file as read by pynwb.
    wanted
        Name of the table, needed if several list images.

    Raises
    ------
    ContractError
        If there is no such table, or several, or it does not have the form described in `from_nwb`.
    """
    tables = dict(nwb.intervals or {})
    tables.update(
        {name: getattr(nwb, name) for name in ("trials", "epochs") if getattr(nwb, name) is not None}
    )
    name = _choose(tables, wanted)
    table = tables[name]
    column = next(column for column in _ID_COLUMNS if column in table.colnames)
    ids, onset = _whole(values(table, column)), values(table, "start_time")
    if ids.dtype.kind not in "Uiu" or onset.dtype.kind not in "fiu" or len(ids) != len(onset):
        raise ContractError(
            f"table {name!r}: {column} is {ids.dtype} and start_time {onset.dtype}; wanted a name or "
            "number of an image and a time in s in each row"
        )
    blank = ids == "" if ids.dtype.kind == "U" else ids < 0
    timeless = ~np.isfinite(onset) & ~blank
    reasons = {f"{column} is empty or below 0": blank.sum(), "start_time is not finite": timeless.sum()}
    rows = np.flatnonzero(~blank & ~timeless)
    rows = rows[np.argsort(onset[rows], kind="stable")]
    if not rows.size:
        raise ContractError(f"table {name!r} has no presentation of an image; wanted one in each row")
    distinct, first, image = np.unique(ids[rows], return_index=True, return_inverse=True)
    order = np.argsort(first)
    first, image = first[order], np.argsort(order)[image]
    _, trials = trial_table(image, None)
    known = {
        key: _of_images(name, key, values(table, key)[rows], first, image)
        for key in (*_LABELS, *_FILE_COLUMNS)
        if key in table.colnames
    }
    files = [known.pop(key) for key in _FILE_COLUMNS if key in known]
    return Presentations(
        table=f"{name}, column {column}",
        image_id=distinct[order],
        onset=np.where(trials < 0, np.nan, onset[rows].astype(float)[trials]),
        labels=known,
        image_file=files[0] if files else None,
        dropped=[{"what": "presentations", "n": int(n), "why": why} for why, n in reasons.items() if n],
    )


def _choose(tables: dict[str, Any], wanted: str | None) -> str:
    fitting = [name for name, table in tables.items() if set(_ID_COLUMNS) & set(table.colnames)]
    if wanted is not None and wanted in fitting:
        return wanted
    has = "; ".join(f"{name!r} with {', '.join(table.colnames)}" for name, table in tables.items()) or "none"
    if wanted is not None or not fitting:
        raise ContractError(
            f"there is no table of presentations{'' if wanted is None else f' {wanted!r}'}: wanted "
            f"intervals with a column {' or '.join(_ID_COLUMNS)}; there are {printable(has, 400)}"
        )
    if len(fitting) > 1:
        raise ContractError(
            f"several tables list presentations of images: {printable(', '.join(map(repr, fitting)), 300)}; "
            "choose one with --presentations NAME (presentations='NAME' in Python)"
        )
    return fitting[0]


def _whole(ids: np.ndarray) -> np.ndarray:
    """Return floats that are whole numbers, as the Allen Institute stores frames, as integers; NaN as -1."""
    if ids.dtype.kind != "f":
        return ids
    filled = np.where(np.isnan(ids), -1, ids)
    return filled.astype(np.int64) if (filled % 1 == 0).all() and (np.abs(filled) < 2**53).all() else ids


def _of_images(name: str, key: str, of_rows: np.ndarray, first: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return a label for each image, which must be equal in all its repeats."""
    of_images = of_rows[first]
    if (differ := np.flatnonzero(of_images[image] != of_rows)).size:
        was, now = of_images[image[differ[0]]], of_rows[differ[0]]
        raise ContractError(
            f"table {name!r}: {key} of one image is {printable(repr(was.item()))} and later "
            f"{printable(repr(now.item()))}; wanted the same in all its repeats"
        )
    return of_images
