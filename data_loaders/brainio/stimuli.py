"""Find the stimuli of a file in BrainIO's layout: a CSV, and a zip or folder of images beside it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from brainfit.errors import BrainfitError, ContractError, IntegrityError
from brainfit.storage.atomic_files import file_path
from brainfit.support.messages import printable, reason

from ..images.table import Stimuli, load_stimuli, read_table


def store_name(prefix: str, identifier: str) -> str:
    """Return the name under which BrainIO stores something.

    >>> store_name("assy", "dicarlo.MajajHong2015.public")
    'assy_dicarlo_MajajHong2015_public'
    """
    return f"{prefix}_{identifier.replace('.', '_')}"


def find_stimuli(
    path: Path,
    stimulus_set: str | None,
    assembly: str,
    image_ids: Sequence[str],
    given: str | os.PathLike[str] | None,
) -> tuple[Stimuli, Path]:
    """Return the stimuli of these images, and the table that lists them.

    If the file names its stimulus set, only the table of that name is taken, or a table that the caller gives
    by its own path: another set may have the same ids for other images. If the file names none, the table is
    the one with the name of the assembly, else the only one that has all of the images.

    Parameters
    ----------
    path
        Path of the responses.
    stimulus_set
        Identifier of the stimulus set that the file names, or None.
    assembly
        Identifier of the responses.
    image_ids
        Ids of the images wanted, in this order.
    given
        Path of a table, or of a folder to look in. By default the file's own folder and the folders in it,
        and those beside it if the file lies in a folder of its own name, as in ``~/.brainio``.

    Raises
    ------
    ContractError
        If there is no such table, several could be meant, or it lacks some of the images.
    IntegrityError
        If the stimuli cannot be read.
    """
    place = None if given is None else file_path(given)
    if place is not None and not place.is_dir():
        return load_stimuli(place, _images(place), image_ids), place
    folder = path.parent if place is None else place
    tables = _tables(folder)
    if place is None and path.resolve().parent.name == path.stem:
        tables += [table for table in _tables(path.resolve().parent.parent) if table not in tables]
    name = f"{store_name('stimulus', assembly if stimulus_set is None else stimulus_set)}.csv"
    found = next((table for table in tables if table.name == name), None)
    if found is None and stimulus_set is None:
        found = _only_fitting(path, tables, image_ids)
    if found is None:
        others = f"; tables of others are there: {printable(', '.join(t.name for t in tables), 200)}"
        raise ContractError(
            f"no stimuli of {printable(path, 300)}: looked for "
            f"{name}{' or any CSV with its images' if stimulus_set is None else ', the set that it names'}, "
            f"in {printable(folder, 300)} and the folders in it{others if tables and stimulus_set else ''}; "
            "put it there, give the CSV as stimuli, or make one file with `brainfit data convert FILE "
            "OUT.nc --stimuli CSV`"
        )
    return load_stimuli(found, _images(found), image_ids), found


def _only_fitting(path: Path, tables: list[Path], image_ids: Sequence[str]) -> Path | None:
    """Return the only table that has all of the images, or the only table, or None."""
    fitting = [table for table in tables if _has_all(table, image_ids)]
    if len(fitting) > 1:
        raise ContractError(
            f"several tables have the images of {printable(path, 300)}: "
            f"{printable(', '.join(map(str, fitting)), 300)}; give the right one as stimuli"
        )
    return fitting[0] if fitting else tables[0] if len(tables) == 1 else None


def _tables(folder: Path) -> list[Path]:
    try:
        return [*sorted(folder.glob("*.csv")), *sorted(folder.glob("*/*.csv"))]
    except OSError as error:
        raise IntegrityError(f"cannot look into {printable(folder, 300)}: {reason(error)}") from error


def _has_all(table: Path, image_ids: Sequence[str]) -> bool:
    """Return True if a CSV is a table of stimuli that has all of the images."""
    try:
        return set(image_ids) <= set(read_table(table)["image_id"].tolist())
    except BrainfitError:
        return False


def _images(table: Path) -> Path:
    """Return the zip or folder with the name of a table, else the folder that the table lies in."""
    zipped, folder = table.with_suffix(".zip"), table.with_suffix("")
    return zipped if zipped.is_file() else folder if folder.is_dir() and folder != table else table.parent
