"""Which stimuli belong to a file in BrainIO's layout: a CSV, and a zip or folder of images beside it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from brainfit.errors import BrainfitError, ContractError, IntegrityError
from brainfit.storage.atomic_files import file_path
from brainfit.support.messages import printable, reason

from ..images.table import Stimuli, load_stimuli, read_table


def store_name(prefix: str, identifier: str) -> str:
    """Return how BrainIO calls what it stores.

    >>> store_name("assy", "dicarlo.MajajHong2015.public")
    'assy_dicarlo_MajajHong2015_public'
    """
    return f"{prefix}_{identifier.replace('.', '_')}"


def find_stimuli(
    path: Path,
    identifiers: Sequence[str],
    image_ids: Sequence[str],
    given: str | os.PathLike[str] | None,
) -> tuple[Stimuli, Path]:
    """Return the stimuli of these images, and the table that they are from.

    Parameters
    ----------
    path
        The file of the responses.
    identifiers
        Of the set of stimuli, or of the responses: the table may be called so.
    image_ids
        The images wanted, in this order.
    given
        A table, or a folder in which it lies. By default the file's own folder, the folders in it, and
        those beside it where it lies in one of its own, as in ``~/.brainio``: the table that is called as an
        identifier, else the only one there that has all of the images.

    Raises
    ------
    ContractError
        If there are none, or there is more than one that might be meant.
    IntegrityError
        If they cannot be read.
    """
    place = None if given is None else file_path(given)
    if place is not None and not place.is_dir():
        return load_stimuli(place, _images(place), image_ids), place
    folders = [path.parent] if place is None else [place]
    tables = [table for folder in folders for table in _tables(folder)]
    if place is None and path.resolve().parent.name == path.stem:
        tables += [table for table in _tables(path.resolve().parent.parent) if table not in tables]
    names = [f"{store_name('stimulus', identifier)}.csv" for identifier in identifiers]
    called = next((table for name in names for table in tables if table.name == name), None)
    if called is None:
        covering = [table for table in tables if _covers(table, image_ids)]
        if len(covering) > 1:
            raise ContractError(
                f"several tables have the images of {printable(path, 300)}: "
                f"{printable(', '.join(map(str, covering)), 300)}; pass the one that is meant as stimuli"
            )
        called = covering[0] if covering else tables[0] if len(tables) == 1 else None
    if called is None:
        raise ContractError(
            f"no stimuli of {printable(path, 300)}: looked for {' or '.join(names)}, or any CSV with its "
            f"{len(image_ids)} images, in {printable(folders[0], 300)} and the folders in it; put them there, "
            "pass stimuli, or make one file with `brainfit data convert FILE OUT.nc --stimuli CSV`"
        )
    return load_stimuli(called, _images(called), image_ids), called


def _tables(folder: Path) -> list[Path]:
    try:
        return [*sorted(folder.glob("*.csv")), *sorted(folder.glob("*/*.csv"))]
    except OSError as error:
        raise IntegrityError(f"cannot look into {printable(folder, 300)}: {reason(error)}") from error


def _covers(table: Path, image_ids: Sequence[str]) -> bool:
    """Whether it is a table of stimuli that has all of the images; any other CSV may lie there too."""
    try:
        return set(image_ids) <= set(read_table(table)["image_id"].tolist())
    except BrainfitError:
        return False


def _images(table: Path) -> Path:
    """Return the zip or folder that is called as the table, else the folder that it lies in."""
    zipped, folder = table.with_suffix(".zip"), table.with_suffix("")
    return zipped if zipped.is_file() else folder if folder.is_dir() and folder != table else table.parent
