"""Hold the numbers of a result with everything that is needed to defend them, and keep both in one file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import netCDF4
import numpy as np
import pandas as pd
import xarray as xr
from xarray.backends import NetCDF4DataStore

from brainfit.errors import ContractError, IntegrityError
from brainfit.storage.atomic_files import replaced
from brainfit.support.html import html_table
from brainfit.support.messages import printable
from brainfit.support.provenance import json_values

FORMAT = 2
_SEAL = b"\nbrainfit sha256 "
# Everything that netCDF4, xarray and json raise on a file that is not what it should be.
_UNREADABLE = (OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """A Dataset of numbers with its provenance; the base of `Score` and of what every analysis returns.

    A subclass names its variables in `DIMS`, the keys of `info` and their types in `INFO`, and the dims of
    its usual table in `ROWS`.

    Attributes
    ----------
    data
        The numbers. Bins have an index coordinate, the centre of the bin in ms, where `<dim>_start` and
        `<dim>_end` are given; units have the index coordinate `unit`, their `unit_id`, made unique with the
        animal (and what else tells them apart) where ids repeat. So
        ``result.data.sel(time_bin=100, method="nearest")`` and ``.plot()`` work.
    info
        Description of the result and its sources as plain JSON values; other values are converted.
    """

    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    INFO: ClassVar[Mapping[str, tuple[type, ...]]] = {}
    ROWS: ClassVar[tuple[str, ...]] = ()

    data: xr.Dataset
    info: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", labelled(self.data))
        object.__setattr__(self, "info", json_values(dict(self.info)))

    def __repr__(self) -> str:
        heads, rows = self._table()
        table = pd.DataFrame([list(row) for row in rows], columns=list(heads)).to_string(index=False)
        return "\n".join([f"<{self._title()}>", *(f"({note})" for note in self._notes()), table])

    def _repr_html_(self) -> str:
        heads, rows = self._table()
        return html_table(self._title(), rows, heads=heads, notes=self._notes())

    def __getitem__(self, name: Hashable) -> xr.DataArray:
        """Return a variable or coordinate of `data`."""
        return self.data[name]

    def frame(self, *dims: str) -> pd.DataFrame:
        """Return a tidy table: a row for each combination of `dims`, a column for each variable over them.

        Parameters
        ----------
        dims
            Dims of the rows; by default those that the kind of result is usually read by. Variables over
            other dims are left out; coordinates are included.

        Raises
        ------
        ContractError
            If no variable has exactly these dims.
        """
        rows = dims or self.ROWS or next((v.dims for v in self.data.data_vars.values()), ())
        names = [name for name, values in self.data.data_vars.items() if set(values.dims) == set(rows)]
        if not names:
            known = sorted({", ".join(map(str, values.dims)) for values in self.data.data_vars.values()})
            raise ContractError(
                f"no variable has dims {', '.join(map(str, rows))}; choose from {'; '.join(known)}"
            )
        chosen = self.data[names]
        unrelated = [name for name, c in chosen.coords.items() if not c.dims or not set(c.dims) <= set(rows)]
        return chosen.drop_vars(unrelated).to_dataframe(dim_order=list(rows)).reset_index()

    def to_netcdf(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one netCDF file; `from_netcdf` reads it back equal.

        The file ends with its own sha256, which readers of netCDF ignore.
        """
        attributes = {"brainfit_result": type(self).__name__, "brainfit_format": FORMAT}
        data = self.data.drop_encoding().assign_attrs(**attributes, info=json.dumps(dict(self.info)))
        with replaced(Path(path)) as new:
            data.to_netcdf(new, engine="netcdf4")
            seal = _seal(new.read_bytes())
            with new.open("ab") as file:
                file.write(seal)

    @classmethod
    def from_netcdf(cls, path: str | os.PathLike[str]) -> Self:
        """Read a result of this kind that `to_netcdf` wrote.

        Raises
        ------
        IntegrityError
            If the file is missing, cannot be read, holds something else, was written by a version of
            brainfit with another format, or was changed.
        """
        try:
            return cls(*cls._read(Path(path).read_bytes()))
        except _UNREADABLE as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise IntegrityError(
                f"cannot read {printable(str(path), longest=4096)} as a {cls.__name__}: {reason}"
            ) from error

    @classmethod
    def _read(cls, sealed: bytes) -> tuple[xr.Dataset, dict[str, Any]]:
        """Return data and info of a file.

        The seal is checked before anything is parsed, because HDF5 can hang on a file with one wrong bit;
        and the file is parsed from memory, because netCDF remembers facts about a path.
        """
        content, mark, _ = sealed.rpartition(_SEAL)
        if not mark:
            raise IntegrityError("it is not a result of brainfit, or cut short")
        if sealed != content + _seal(content):
            raise IntegrityError("it is not as it was written (its sha256 differs); compute it again")
        store = NetCDF4DataStore(netCDF4.Dataset("result", memory=content))
        data = xr.load_dataset(store, decode_times=False).drop_encoding()
        former = data.attrs.pop("brainfit_score", None)  # the mark of the first format
        kind, version = data.attrs.pop("brainfit_result", None), data.attrs.pop("brainfit_format", former)
        info = json.loads(data.attrs.pop("info"))
        if version != FORMAT:
            raise IntegrityError(
                f"it has format {version}{_writer(info)}, this brainfit reads format {FORMAT}; compute it "
                "again"
            )
        if kind != cls.__name__:
            raise IntegrityError(f"it is a {kind}")
        missing = [name for name, dims in cls.DIMS.items() if name not in data or data[name].dims != dims]
        missing += [key for key, types in cls.INFO.items() if not isinstance(info.get(key, _ABSENT), types)]
        if missing:
            raise IntegrityError(
                f"it is not a whole {cls.__name__}: it lacks {', '.join(missing)}; compute it again"
            )
        return data, info

    def _title(self) -> str:
        about = (self.info.get(key) for key in ("model", "layer", "region", "recording"))
        return f"brainfit.{type(self).__name__} of {', '.join(str(value) for value in about if value)}"

    def _notes(self) -> list[str]:
        """Return the remarks that a reader must not overlook."""
        notes = ["Simulated recording"] if self.info.get("simulated") else []
        return notes + (["Random weights"] if str(self.info.get("weights", "")).startswith("random") else [])

    def _table(self) -> tuple[Sequence[str], list[Sequence[str]]]:
        """Return the headings and rows that a notebook and a terminal show."""
        rows = []
        for name, values in self.data.data_vars.items():
            numeric = values.dtype.kind in "fiu"
            finite = values.values[np.isfinite(values.values)] if numeric else np.empty(0)
            middle = f"{np.median(finite):.3g}" if finite.size else "–"
            rows.append((str(name), " × ".join(f"{dim} {n}" for dim, n in values.sizes.items()), middle))
        return ("variable", "shape", "median"), rows


class _Absent:
    """Stands for a key that is not there, which no type includes."""


_ABSENT = _Absent()


def labelled(data: xr.Dataset) -> xr.Dataset:
    """Add index coordinates for bins and units, as `Result` says.

    Examples
    --------
    >>> found = labelled(xr.Dataset(coords={
    ...     "unit_id": ("unit", ["1", "2", "1"]), "animal": ("unit", ["Tito", "Tito", "Chabo"]),
    ...     "time_bin_start": ("time_bin", [0.0, 10.0]), "time_bin_end": ("time_bin", [10.0, 20.0]),
    ... }))
    >>> found["unit"].values.tolist(), found["time_bin"].values.tolist()
    (['Tito 1', 'Tito 2', 'Chabo 1'], [5.0, 15.0])
    """
    made: dict[str, Any] = {}
    for dim in map(str, data.dims):
        if dim in data.indexes and data[dim].dtype.kind in "OU":  # it has names of its own
            continue
        edges = [f"{dim}_start", f"{dim}_end"]
        if all(name in data.coords and data[name].dims == (dim,) for name in edges):
            start, end = (data[name].values.astype(float) for name in edges)
            attributes = {"units": "ms", "long_name": "time from image onset (centre of the bin)"}
            made[dim] = (dim, (start + end) / 2, attributes)
    if "unit_id" in data.coords and data["unit_id"].dims == ("unit",):
        made["unit"] = ("unit", _unit_labels(data), {"long_name": "unit"})
    return data.assign_coords(made)


def _unit_labels(data: xr.Dataset) -> np.ndarray:
    labels = data["unit_id"].values
    for name in ("animal", "source", "array"):
        if len(set(labels.tolist())) == len(labels):
            return labels
        if name in data.coords and data[name].dims == ("unit",):
            labels = np.array(
                [f"{value} {label}" for value, label in zip(data[name].values, labels, strict=True)]
            )
    if len(set(labels.tolist())) < len(labels):
        labels = np.array([f"{label} #{k}" for k, label in enumerate(labels)])
    return labels


def _writer(info: Any) -> str:
    """Return a phrase with the version that wrote a file, if the file records it."""
    try:
        return f" of brainfit {info['provenance']['versions']['brainfit']}"
    except (TypeError, KeyError, IndexError):
        return ""


def _seal(content: bytes) -> bytes:
    return _SEAL + hashlib.sha256(content).hexdigest().encode()
