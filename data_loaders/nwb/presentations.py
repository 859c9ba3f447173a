"""The table of an NWB file that says which image came on when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from brainfit.errors import ContractError
from brainfit.support.messages import printable

from .columns import values

_ID_COLUMNS = (
    "image_id", "stimulus_id", "image_name", "stimulus_name", "image_index", "stimulus_index", "frame",
)  # fmt: skip
"""The first of them that a table has names the image."""
_FILE_COLUMNS = ("image_file", "filename", "image_file_name", "stimulus_file")
_LABELS = ("object_name", "category_name", "variation")


@dataclass(frozen=True)
class Presentations:
    """What was shown when, with the repeats of an image as its trials.

    Attributes
    ----------
    table
        Where it stands in the file, and the column that names the image.
    image_id
        As in the file, text or whole numbers, in the order in which they were first shown.
    onset
        Shape (image, trial), in s; NaN where an image was shown less often.
    labels
        Columns of text or numbers that say the same in every repeat, one entry an image.
    image_file
        Names of the files of the images, if there is such a column.
    dropped
        What was left out, and why.
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
        The file that pynwb has read.
    wanted
        Name of the table; needed where several could be meant.

    Raises
    ------
    ContractError
        If there is no such table, or several, or it has not the form that is asked for.
    """
    tables = dict(nwb.intervals or {})
    tables.update(
        {name: getattr(nwb, name) for name in ("trials", "epochs") if getattr(nwb, name) is not None}
    )
    name = _choose(tables, wanted)
    table = tables[name]
    column = next(column for column in _ID_COLUMNS if column in table.colnames)
    ids, onset = values(table, column), values(table, "start_time")
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
    known = {
        key: _of_images(name, key, values(table, key)[rows], first, image)
        for key in (*_LABELS, *_FILE_COLUMNS)
        if key in table.colnames
    }
    files = [known.pop(key) for key in _FILE_COLUMNS if key in known]
    return Presentations(
        table=f"{name}, column {column}",
        image_id=distinct[order],
        onset=_trials(onset[rows].astype(float), image),
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
            f"several tables could say what was shown: {printable(', '.join(map(repr, fitting)), 300)}; choose "
            f"one with presentations={fitting[0]!r}"
        )
    return fitting[0]


def _of_images(name: str, key: str, of_rows: np.ndarray, first: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return a label of each image, which must be the same in all its repeats."""
    of_images = of_rows[first]
    if (differ := np.flatnonzero(of_images[image] != of_rows)).size:
        was, now = of_images[image[differ[0]]], of_rows[differ[0]]
        raise ContractError(
            f"table {name!r}: {key} of one image is {printable(repr(was.item()))} and later "
            f"{printable(repr(now.item()))}; wanted the same in all its repeats"
        )
    return of_images


def _trials(onset: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Onsets in order of time as (image, trial), padded with NaN."""
    counts = np.bincount(image)
    order = np.argsort(image, kind="stable")
    trial = np.arange(len(image)) - np.repeat(np.cumsum(counts) - counts, counts)
    trials = np.full((len(counts), counts.max()), np.nan)
    trials[image[order], trial] = onset[order]
    return trials
