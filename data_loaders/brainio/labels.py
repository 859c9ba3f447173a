"""Turn the labels of neuroids and presentations into the coordinates of a recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from brainfit.contracts.dropped import Dropped
from brainfit.contracts.regions import REGIONS_ADVICE, check_all_present
from brainfit.contracts.vocabulary import REGION_CHOICES
from brainfit.errors import ContractError
from brainfit.support.messages import printable

from .bins import TIMES

IMAGE_EXTRAS = ("s", "ty", "tz", "rxy", "rxz", "ryz", "background_id")
UNIT_EXTRAS = ("hemisphere", "col", "row", "x", "y")
"""Labels of images and units that BrainIO has beyond those of every recording; kept where present."""
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
"""Names of the labels that are read, for each dim."""
Labels = Mapping[str, np.ndarray]


def ids(path: Path, labels: Labels, names: Sequence[str]) -> np.ndarray:
    """Return the first of `names` that is present, as text.

    Raises
    ------
    ContractError
        If none is present, or it is neither text nor whole numbers.
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


def unit_table(
    path: Path, labels: Labels, dropped: Dropped, declared: Mapping[str, str]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the positions of neuroids whose region is known, and their coordinates in a recording.

    The region is ``subregion`` if that is a region of the ventral stream or declared, else ``region``; units
    of IT without a finer region keep ``IT``.

    Raises
    ------
    ContractError
        If the file names no region, or none that is known.
    """
    named = [labels[name].astype(str) for name in ("subregion", "region") if name in labels]
    names = ids(path, labels, UNIT_IDS)
    if not named:
        raise ContractError(
            f"{printable(path, 300)} lacks subregion (also region); it has {', '.join(labels)}"
        )
    check_all_present(declared, (name for values in named for name in values.tolist()))
    known = {region.lower(): region for region in REGION_CHOICES}
    pairs = list(zip(*(values.tolist() for values in named), strict=True))
    regions = np.array(
        [next((found for name in pair if (found := _known(name, known, declared))), "") for pair in pairs]
    )
    for pair in sorted({pair for pair, region in zip(pairs, regions, strict=True) if not region}):
        why = f"of region {printable(' '.join(pair))!r}, not {', '.join(REGION_CHOICES)}"
        dropped.add("units", pairs.count(pair), why)
    kept = np.flatnonzero(regions != "")
    if not kept.size:
        raise ContractError(
            f"{printable(path, 300)}: no unit has a subregion or region of {', '.join(REGION_CHOICES)}, but "
            f"{printable(', '.join(sorted({str(label) for values in named for label in values})))}; "
            f"{REGIONS_ADVICE}"
        )
    unknown = np.full(names.size, "unknown")
    coords = {
        "unit_id": names,
        "region": regions,
        "animal": labels.get("animal", unknown),
        "array": next((labels[name] for name in _ARRAYS if name in labels), unknown),
    }
    coords |= {name: labels[name] for name in UNIT_EXTRAS if name in labels}
    return kept, {name: values[kept] for name, values in coords.items()}


def _known(name: str, known: Mapping[str, str], declared: Mapping[str, str]) -> str:
    """Return the region for a name in the file, or empty text."""
    return declared.get(name, known.get(name.lower(), ""))


def with_animal(unit_ids: np.ndarray, animals: np.ndarray) -> np.ndarray | None:
    """Return unit ids preceded by the animal's name, or None if they are unique as they are.

    >>> with_animal(np.array(["1", "2", "1"]), np.array(["a", "a", "b"])).tolist()
    ['a_1', 'a_2', 'b_1']
    """
    if np.unique(unit_ids).size == unit_ids.size:
        return None
    return np.array([f"{animal}_{unit}" for animal, unit in zip(animals, unit_ids, strict=True)])


def repetitions(images: np.ndarray, labels: Labels) -> tuple[np.ndarray | None, str]:
    """Return the numbers that order the trials of an image, None without any, and the order in words."""
    numbers = labels.get("repetition")
    if numbers is None or numbers.dtype.kind not in "iuf" or np.isnan(numbers.astype(float)).any():
        return None, "in the order of the file"
    pairs = np.unique(np.stack([np.unique(images, return_inverse=True)[1], numbers.astype(float)]), axis=1)
    repeated = images.size - pairs.shape[1]
    note = f"; {repeated} have the image and repetition of another, these in the order of the file"
    return numbers, "by repetition" + (note if repeated else "")


def sessions(labels: Labels, n: int) -> np.ndarray:
    """Return the session of each presentation, whole numbers from 0; all 0 if the file names no sessions."""
    for name in _SESSIONS:
        if name in labels:
            return np.unique(labels[name], return_inverse=True)[1]
    return np.zeros(n, int)


def image_coords(labels: Labels, first: np.ndarray, columns: Labels) -> dict[str, np.ndarray]:
    """Return the coordinates of images beside their id.

    Parameters
    ----------
    labels
        Labels of presentations, which take precedence.
    first
        Position of one presentation of each image.
    columns
        Columns of the table of stimuli, one entry an image.
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
