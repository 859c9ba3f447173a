"""What a file in BrainIO's layout tells of its neuroids and presentations, by the names of a recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from brainfit.contracts.vocabulary import REGIONS
from brainfit.errors import ContractError
from brainfit.scoring.responses import Dropped
from brainfit.support.messages import printable

from .bins import TIMES

IMAGE_EXTRAS = ("s", "ty", "tz", "rxy", "rxz", "ryz", "background_id")
UNIT_EXTRAS = ("hemisphere", "col", "row", "x", "y")
"""What BrainIO tells of images and units beyond what every recording has; kept where it is there."""
IMAGE_DEFAULTS = {"object_name": "unknown", "category_name": "unknown", "variation": 0}
UNIT_IDS = ("neuroid_id", "neuroid")
IMAGE_IDS = ("stimulus_id", "image_id", "presentation")
_SESSIONS = ("session", "session_id", "day", "date", "recording_date")
_ARRAYS = ("arr", "array")
LABELS = {
    "neuroid": (*UNIT_IDS, "subregion", "region", "animal", *_ARRAYS, *UNIT_EXTRAS),
    "presentation": (*IMAGE_IDS, "repetition", *IMAGE_DEFAULTS, *_SESSIONS, *IMAGE_EXTRAS),
    "time_bin": TIMES,
}
"""The names that are read, for each dim."""
Labels = Mapping[str, np.ndarray]


def ids(path: Path, labels: Labels, names: Sequence[str]) -> np.ndarray:
    """Return the first of `names` that there is, as text.

    Raises
    ------
    ContractError
        If there is none, or it is neither text nor whole numbers.
    """
    for name in names:
        if name in labels:
            values = labels[name]
            if values.dtype.kind == "f" and (values % 1 == 0).all():
                values = values.astype(np.int64)
            if values.dtype.kind not in "Uiu":
                raise ContractError(
                    f"{printable(path, 300)}: {name} is {values.dtype}; wanted text or whole numbers"
                )
            return values.astype(str)
    raise ContractError(
        f"{printable(path, 300)} lacks {names[0]} (also {', '.join(names[1:])}); it has "
        f"{', '.join(labels) or 'no labels of that dim that are known'}"
    )


def unit_table(path: Path, labels: Labels, dropped: Dropped) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the neuroids whose region is known, by position, and their coordinates in a recording.

    The region is ``subregion`` where that is one of a recording's regions, else ``region``.
    """
    names = ids(path, labels, UNIT_IDS)
    told = [labels[name] for name in ("subregion", "region") if name in labels]
    if not told:
        raise ContractError(
            f"{printable(path, 300)} lacks subregion (also region); it has {', '.join(labels)}"
        )
    known = {region.lower(): region for region in REGIONS}
    regions = np.array(
        [
            next((known[label.lower()] for label in of_unit if label.lower() in known), "")
            for of_unit in zip(*(values.astype(str).tolist() for values in told), strict=True)
        ]
    )
    for of_unit in sorted(
        set(zip(*(values[regions == ""].astype(str).tolist() for values in told), strict=True))
    ):
        strange = np.all(
            [values.astype(str) == label for values, label in zip(told, of_unit, strict=True)], axis=0
        )
        dropped.add(
            "units",
            int(strange.sum()),
            f"of region {printable(' '.join(of_unit))!r}, not {', '.join(REGIONS)}",
        )
    kept = np.flatnonzero(regions != "")
    if not kept.size:
        raise ContractError(
            f"{printable(path, 300)}: no unit has a subregion or region of {', '.join(REGIONS)}, but "
            f"{printable(', '.join(sorted({str(label) for values in told for label in values})))}"
        )
    nothing = np.full(names.size, "unknown")
    coords = {
        "unit_id": names,
        "region": regions,
        "animal": labels.get("animal", nothing),
        "array": next((labels[name] for name in _ARRAYS if name in labels), nothing),
    }
    coords |= {name: labels[name] for name in UNIT_EXTRAS if name in labels}
    return kept, {name: values[kept] for name, values in coords.items()}


def repetitions(images: np.ndarray, labels: Labels) -> tuple[np.ndarray | None, str]:
    """Return by which number trials of an image are ordered, if by any, and their order in words."""
    numbers = labels.get("repetition")
    if numbers is None or numbers.dtype.kind not in "iuf" or np.isnan(numbers.astype(float)).any():
        return None, "in the order of the file"
    pairs = np.unique(np.stack([np.unique(images, return_inverse=True)[1], numbers.astype(float)]), axis=1)
    twice = images.size - pairs.shape[1]
    return numbers, "by repetition" + (
        f"; {twice} have the image and repetition of another, these in the order of the file" if twice else ""
    )


def sessions(labels: Labels, n: int) -> np.ndarray:
    """Return the session of each presentation, whole numbers from 0; one for all where none is told."""
    for name in _SESSIONS:
        if name in labels:
            return np.unique(labels[name], return_inverse=True)[1]
    return np.zeros(n, int)


def image_coords(labels: Labels, first: np.ndarray, columns: Labels) -> dict[str, np.ndarray]:
    """Return what is known of images beside their id.

    Parameters
    ----------
    labels
        Of presentations: these come first.
    first
        Position of a presentation of each image.
    columns
        Of the table of stimuli, one entry an image.
    """
    coords = {}
    for name in (*IMAGE_DEFAULTS, *IMAGE_EXTRAS):
        if name in labels:
            coords[name] = labels[name][first]
        elif name in columns:
            coords[name] = columns[name]
        elif name in IMAGE_DEFAULTS:
            coords[name] = np.full(first.size, IMAGE_DEFAULTS[name])
    return coords
