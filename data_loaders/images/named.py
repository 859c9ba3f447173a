"""Find the images of a recording by their ids: in a folder, in a table, or in an array."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from brainfit.errors import ContractError
from brainfit.storage.atomic_files import file_path
from brainfit.support.messages import printable

from .pixels import open_pictures
from .table import load_stimuli

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def images_by_id(
    images: str | os.PathLike[str], ids: Sequence[str]
) -> tuple[xr.DataArray, Mapping[str, np.ndarray]]:
    """Return the images of these ids, and the columns of the table that lists them, if there is one.

    Parameters
    ----------
    images
        A folder or zip of files whose names, with or without their ending, are the ids; or a CSV with columns
        ``image_id`` and ``image_file``, whose files are relative to its folder.
    ids
        Ids in the order of the images that are returned.

    Raises
    ------
    ContractError
        If an image is missing, or two files have the name of one.
    IntegrityError
        If a file cannot be read.
    """
    place = file_path(images)
    if place.suffix.lower() in (".csv", ".tsv", ".txt"):
        found = load_stimuli(place, place.parent, ids)
        return found.pixels, found.columns
    if place.is_dir():
        return open_pictures(place, _files(place, ids)), {}
    return open_pictures(place, list(ids)), {}


def _files(place: Path, ids: Sequence[str]) -> list[str]:
    """Return the file of each id in a folder."""
    there = {path.name for path in place.iterdir()}
    found, missing = [], []
    for name in ids:
        fitting = [name] if name in there else [f"{name}{suffix}" for suffix in _SUFFIXES]
        fitting = [file for file in fitting if file in there]
        if len(fitting) > 1:
            raise ContractError(
                f"{printable(place, 300)} has {' and '.join(map(repr, fitting))} for image "
                f"{printable(repr(name))}; leave one there, or give a CSV with image_id and image_file"
            )
        found += fitting
        missing += [] if fitting else [name]
    if missing:
        raise ContractError(
            f"{printable(place, 300)} lacks {len(missing)} of the {len(ids)} images, such as "
            f"{printable(repr(missing[0]))}; wanted a file of that name, {', '.join(_SUFFIXES)}"
        )
    return found


def rows_by_id(image_id: Any, ids: Sequence[str]) -> np.ndarray:
    """Return the row of each id among the ids of an array of images.

    Raises
    ------
    ContractError
        If ids are missing or repeat.
    """
    own = [str(name) for name in np.asarray(image_id).tolist()]
    at = {name: row for row, name in enumerate(own)}
    if len(at) < len(own):
        raise ContractError("image_id must be unique: one row of images for each id")
    if missing := [name for name in ids if name not in at]:
        raise ContractError(
            f"image_id lacks {len(missing)} of {len(ids)} images that were shown, such as "
            f"{printable(repr(missing[0]))}; it has others, such as {printable(repr(next(iter(at), '')))}"
        )
    return np.array([at[name] for name in ids], int)
