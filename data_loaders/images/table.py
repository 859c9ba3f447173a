"""Read and write stimuli as they are published: a table of the images, and a zip or folder of their files.

The table is CSV with a column ``stimulus_id`` or, in older ones, ``image_id``, and one with the names of the
files: ``filename``, ``image_file_name`` or ``image_file``. The zip is flat.
"""

from __future__ import annotations

import csv
import io
import os
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from PIL import Image

from brainfit.errors import BrainfitError, ContractError, IntegrityError
from brainfit.storage.atomic_files import file_path, regular_file, replaced
from brainfit.support.messages import printable, reason

from .files import stays_inside
from .pixels import open_pictures

_IDS = ("stimulus_id", "image_id")
_FILES = ("filename", "image_file_name", "image_file")
_TEXT = ("image_id", "object_name", "category_name")
_BATCH = 32


@dataclass(frozen=True)
class Stimuli:
    """Images, and the columns of their table.

    Attributes
    ----------
    pixels
        Dims ``("image", "height", "width", "channel")``, uint8 in [0, 255], RGB; read when asked for.
    columns
        Columns by name, one entry per image, in the order of `pixels`: ``image_id`` and all other columns of
        the table but the names of the files. A column is numbers if all its entries are, else text.
    """

    pixels: xr.DataArray
    columns: Mapping[str, np.ndarray]


def load_stimuli(
    table: str | os.PathLike[str], images: str | os.PathLike[str], image_ids: Sequence[str] | None = None
) -> Stimuli:
    """Return the stimuli of a table, after checking that all images that it names are there.

    Parameters
    ----------
    table
        CSV in UTF-8, separated by commas, semicolons or tabs.
    images
        A zip or a folder; it may have more files than the table names.
    image_ids
        Ids of the images to keep, in this order; by default all, in the order of the table.

    Raises
    ------
    ContractError
        If the table does not have this form, names an image that is missing or is no 8-bit gray or RGB image
        of the size of the others, or lacks one of `image_ids`.
    IntegrityError
        If a file cannot be read or is damaged.
    """
    table, images = file_path(table), file_path(images)
    columns = read_table(table)
    files = columns.pop("image_file").tolist()
    if image_ids is None:
        return Stimuli(open_pictures(images, files), columns)
    at = {name: row for row, name in enumerate(columns["image_id"].tolist())}
    wanted = [str(name) for name in image_ids]
    if missing := [name for name in wanted if name not in at]:
        raise ContractError(
            f"{printable(table, 300)} lacks {len(missing)} of {len(wanted)} images of the recording, such as "
            f"{printable(repr(missing[0]))}; it has others, such as {printable(repr(next(iter(at))))}"
        )
    rows = np.array([at[name] for name in wanted], int)
    pixels = open_pictures(images, files).isel(image=rows)
    return Stimuli(pixels, {name: column[rows] for name, column in columns.items()})


def read_table(table: Path) -> dict[str, np.ndarray]:
    """Return the columns of a table of images, among them ``image_id`` and ``image_file``.

    Raises
    ------
    ContractError
        If it is not CSV in UTF-8, lacks one of the two, or has an image twice.
    IntegrityError
        If it cannot be read.
    """
    header, *rows = _lines(table)
    names = [name.strip() for name in header]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ContractError(f"{printable(table, 300)}: column {printable(repr(twice))} occurs twice")
    wrong = next((n for n, row in enumerate(rows, 2) if len(row) != len(names)), None)
    if wrong is not None:
        raise ContractError(
            f"{printable(table, 300)}: row {wrong} has {len(rows[wrong - 2])} entries; wanted {len(names)}, "
            "as the first row has"
        )
    if not rows:
        raise ContractError(f"{printable(table, 300)} has no row below its header; wanted one per image")
    texts = {name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
    ids, files = _take(table, texts, _IDS), _take(table, texts, _FILES)
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise ContractError(
            f"{printable(table, 300)}: image {printable(repr(str(values[counts > 1][0])))} occurs "
            f"{counts.max()} times; wanted one row per image"
        )
    # Further columns of ids or files are redundant; a column without a name numbers the rows.
    others = {k: v if k in _TEXT else _numbers(v) for k, v in texts.items() if k not in ("", *_IDS, *_FILES)}
    return {"image_id": ids, **others, "image_file": files}


def _lines(table: Path) -> list[list[str]]:
    regular_file(table)
    try:
        text = table.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0]
        separator = max(",;\t", key=first.count)
        # Without such spaces in the header, a space at the start of an entry belongs to it.
        spaced = all(name.startswith(" ") for name in first.split(separator)[1:])
        lines = list(
            csv.reader(
                io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=spaced
            )
        )
    except (OSError, UnicodeDecodeError, csv.Error, MemoryError) as error:
        wrong = ContractError if isinstance(error, UnicodeDecodeError | csv.Error) else IntegrityError
        raise wrong(
            f"cannot read {printable(table, 300)} as CSV in UTF-8: {reason(error)}; wanted a table of images"
        ) from error
    lines = [line for line in lines if line]
    if not lines:
        raise ContractError(
            f"{printable(table, 300)} is empty; wanted a table of images with columns {_wanted()}"
        )
    return lines


def _take(table: Path, texts: dict[str, np.ndarray], names: Sequence[str]) -> np.ndarray:
    for name in names:
        if name in texts:
            if not all(texts[name].tolist()):
                raise ContractError(f"{printable(table, 300)}: column {name!r} has an empty entry")
            return texts[name]
    raise ContractError(
        f"{printable(table, 300)} has no column {' or '.join(names)}; it has "
        f"{printable(', '.join(texts), 200)}"
    )


def _wanted() -> str:
    return f"{'|'.join(_IDS)} and {'|'.join(_FILES)}"


def _numbers(column: np.ndarray) -> np.ndarray:
    """Return integers or floats if all entries are numbers, NaN where one is empty; else the text."""
    entries = column.tolist()
    if all(re.fullmatch(r"-?(0|[1-9]\d{0,17})", entry) for entry in entries):
        return column.astype(np.int64)
    number = r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,2})?|nan|NaN|"
    if any(entries) and all(re.fullmatch(number, entry) for entry in entries):
        return np.array([float(entry or "nan") for entry in entries])
    return column


def write_stimuli(
    pixels: xr.DataArray,
    columns: Mapping[str, np.ndarray],
    table: str | os.PathLike[str],
    archive: str | os.PathLike[str],
) -> None:
    """Write images as PNG into a flat zip, and their table; `load_stimuli` reads both.

    Parameters
    ----------
    pixels
        Dims ``("image", "height", "width", "channel")``, uint8, or float in [0, 1], which is rounded to 8
        bits; may be lazy: a few images are read at a time.
    columns
        Columns of the table, one entry per image; ``image_id`` is required, and written as ``stimulus_id``.
    table, archive
        Paths of the two files; each appears whole or not at all.

    Raises
    ------
    ContractError
        If there is no ``image_id``.
    IntegrityError
        If a file cannot be written.
    """
    table, archive = file_path(table), file_path(archive)
    if "image_id" not in columns:
        raise ContractError("the columns of stimuli lack 'image_id', which links them to responses")
    ids = [str(name) for name in columns["image_id"]]
    named = all(stays_inside(f"{name}.png") and not set(r"/\:") & set(name) for name in ids)
    files = [f"{name}.png" if named else f"image_{at:06d}.png" for at, name in enumerate(ids)]
    others = {name: column for name, column in columns.items() if name not in (*_IDS, *_FILES)}
    with _replaced(table) as new:
        with new.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["stimulus_id", "filename", *others])
            writer.writerows(zip(ids, files, *others.values(), strict=True))
        with _replaced(archive) as new, zipfile.ZipFile(new, "w") as zipped:
            for start in range(0, len(ids), _BATCH):
                some = pixels.isel(image=slice(start, start + _BATCH)).values
                for name, image in zip(files[start : start + _BATCH], some, strict=True):
                    # ZipInfo has a fixed date: the same images give the same file.
                    zipped.writestr(zipfile.ZipInfo(name), _png(image))


def _png(image: np.ndarray) -> bytes:
    if image.dtype != np.uint8:
        image = np.rint(image * 255).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """Yield a new file beside `path`, which takes its place once it is complete."""
    try:
        with replaced(path) as new:
            yield new
    except BrainfitError:
        raise
    except OSError as error:
        raise IntegrityError(f"cannot write {printable(path, 300)}: {reason(error)}") from error
