"""Read tables (data frames, CSV, Parquet) and check their columns."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from brainfit.errors import ContractError, IntegrityError, PluginError
from brainfit.storage.atomic_files import file_path, regular_file
from brainfit.support.arguments import one_of
from brainfit.support.messages import printable, reason

from ..files.child import in_child

TimeUnit = Literal["s", "ms"]
_MICROSECONDS = {"s": 1e6, "ms": 1e3}
_LONGEST = 2.0**62
_PARQUET = b"PAR1"
_UNREADABLE = (
    OSError, ValueError, RuntimeError, NotImplementedError, LookupError, TypeError, OverflowError,
    MemoryError, EOFError,
)  # fmt: skip
"""Exceptions that pandas and pyarrow raise on a damaged file."""


def read_frame(key: str, table: Any) -> pd.DataFrame:
    """Return a table as a data frame.

    Parameters
    ----------
    key
        Name of the argument, for errors.
    table
        A data frame, a mapping of columns, or the path of a CSV in UTF-8 or of a Parquet file.

    Raises
    ------
    ContractError
        If it is anything else, has no rows, or has a column twice.
    IntegrityError
        If the file is missing or damaged.
    PluginError
        If it is Parquet and pyarrow is not installed.
    """
    if isinstance(table, str | os.PathLike):
        path = file_path(table)
        regular_file(path)
        frame = in_child(path, _read, path)
    elif isinstance(table, pd.DataFrame):
        frame = table
    elif isinstance(table, Mapping):
        try:
            frame = pd.DataFrame(dict(table))
        except (ValueError, TypeError) as error:
            raise ContractError(f"{key} cannot be made a table: {reason(error)}") from error
    else:
        raise ContractError(
            f"{key} is a {type(table).__name__}; wanted a pandas.DataFrame, a mapping of columns, or the "
            "path of a CSV or Parquet file"
        )
    names = [str(name).strip() for name in frame.columns]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ContractError(f"{key}: column {printable(repr(twice))} occurs twice")
    if not len(frame):
        raise ContractError(f"{key} has no rows")
    return frame.set_axis(names, axis=1)


def _read(path: Path) -> pd.DataFrame:
    try:
        with path.open("rb") as file:
            parquet = file.read(4) == _PARQUET
        if parquet:
            import pyarrow.parquet

            found = pyarrow.parquet.read_table(path)
            found.validate(full=True)  # text that is not UTF-8 would be found only when it is used
            return found.to_pandas()
        return pd.read_csv(path, encoding="utf-8-sig", sep=_separator(path), low_memory=False)
    except ImportError as error:
        raise PluginError(
            f'reading {printable(path, 300)} needs pyarrow: pip install "brainfit[tables]"'
        ) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ContractError(
            f"cannot read {printable(path, 300)} as CSV in UTF-8 or as Parquet: {reason(error)}"
        ) from error
    except _UNREADABLE as error:
        raise IntegrityError(
            f"cannot read {printable(path, 300)}, it may be damaged: {reason(error)}"
        ) from error


def _separator(path: Path) -> str:
    with path.open(encoding="utf-8-sig") as file:
        header = file.readline(2**20)
    return max(",;\t", key=header.count)


def require_columns(key: str, frame: pd.DataFrame, names: Sequence[str]) -> None:
    """Raise `ContractError` unless a table has all of these columns."""
    if missing := [name for name in names if name not in frame.columns]:
        raise ContractError(
            f"{key} has no column {missing[0]}; it has {printable(', '.join(frame.columns), 200)}; wanted "
            f"{', '.join(names)}"
        )


def numbers(key: str, frame: pd.DataFrame, name: str, *, missing: bool = False) -> np.ndarray:
    """Return a column of numbers as float64; NaN is refused unless values may be missing."""
    column = frame[name]
    if not pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_complex_dtype(column.dtype):
        raise ContractError(f"{key}: column {name} is {column.dtype}; wanted numbers")
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.isinf(values) if missing else ~np.isfinite(values)
    if bad.any():
        raise ContractError(
            f"{key}: column {name} has {int(bad.sum())} values that are infinite"
            f"{'' if missing else ' or missing'}, the first in row {int(bad.argmax())}"
        )
    return values


def names_of(key: str, frame: pd.DataFrame, name: str) -> np.ndarray:
    """Return a column of names as text; whole floats, as pandas makes of integers, lose their decimals."""
    column = pd.Series(frame[name])
    empty = column.isna().to_numpy(dtype=bool)
    if empty.any():
        raise ContractError(
            f"{key}: column {name} has {int(empty.sum())} empty entries, the first in row {empty.argmax()}"
        )
    if pd.api.types.is_float_dtype(column.dtype) and (column.to_numpy() % 1 == 0).all():
        column = column.astype(np.int64)
    return column.astype(str).to_numpy(dtype=object).astype(str)


def plain_labels(column: pd.Series) -> np.ndarray:
    """Return labels as numbers if they are, else as text; an empty entry is the text ``unknown``."""
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        return column.to_numpy()
    filled = column.astype(object).where(column.notna(), "unknown")
    return filled.astype(str).to_numpy(dtype=object).astype(str)


def microseconds(key: str, frame: pd.DataFrame, name: str, time_unit: TimeUnit) -> np.ndarray:
    """Return times in whole microseconds, in which comparisons with the edges of bins are exact."""
    factor = _MICROSECONDS[one_of("time_unit", time_unit, tuple(_MICROSECONDS))]
    times = numbers(key, frame, name) * factor
    if (np.abs(times) >= _LONGEST).any():
        raise ContractError(
            f"{key}: column {name} holds times beyond any recording; are they in {time_unit}?"
        )
    return np.rint(times).astype(np.int64)


def constant_labels(
    key: str, frame: pd.DataFrame, names: Sequence[str], group: np.ndarray, n: int, of: str
) -> dict[str, np.ndarray]:
    """Return those labels of a table that it has, one entry a group.

    Parameters
    ----------
    key
        Name of the table, for errors.
    frame
        Table.
    names
        Columns that are labels.
    group
        Group of each row, whole numbers from 0 to `n` - 1, each of which occurs.
    n
        Number of groups.
    of
        What a group is, for errors.

    Raises
    ------
    ContractError
        If a label differs within a group.
    """
    first = np.full(n, -1)
    first[group[::-1]] = np.arange(len(group))[::-1]
    found = {}
    for name in names:
        if name in frame.columns:
            labels = plain_labels(pd.Series(frame[name]))
            of_groups = labels[first]
            other = of_groups[group] != labels
            if labels.dtype.kind == "f":
                other &= ~(np.isnan(labels) & np.isnan(of_groups[group]))
            if (differ := np.flatnonzero(other)).size:
                raise ContractError(
                    f"{key}: {name} of one {of} is {printable(repr(of_groups[group[differ[0]]].item()))} and "
                    f"in row {differ[0]} {printable(repr(labels[differ[0]].item()))}; wanted the same in all "
                    "its rows"
                )
            found[name] = of_groups
    return found
