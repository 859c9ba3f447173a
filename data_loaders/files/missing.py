"""Missing values: the one rule for what counts as no measurement, in every reader.

A value is missing, and becomes NaN, if its file or array marks it: by ``_FillValue``, ``missing_value`` or a
valid range, by netCDF's default fill value where no other is declared, or by the mask of a masked array.
Numbers that look like an undeclared mark, such as -9999 far outside all others, are named and refused, never
guessed away. Chunks of an HDF5 data set that were never written are refused too: HDF5 reads them as zeros.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from numbers import Real
from typing import Any

import h5py
import netCDF4
import numpy as np
import pandas as pd
import xarray as xr

from brainfit.errors import ContractError
from brainfit.support.messages import printable

from .slabs import blocks

_SENTINELS = (
    -99, -127, -128, -999, -9999, -99999, -999999, 999, 9999, 99999, 999999,
    -(2**15), 1 - 2**15, 2**15 - 1, 2**16 - 1, -(2**31), 1 - 2**31, 2**31 - 1, 2**32 - 1,
)  # fmt: skip
"""Numbers that people and programs write where there is no value."""
_HUGE = 1e15
"""Responses are smaller in any unit; the fill values of netCDF, GRIB and others are larger."""
_MARKS = 4
"""Different marks of missing values in one variable, at most; more numbers that large are responses."""
_SHOWN = 8
"""Time bins that an error names."""
_GAP = 3
"""Distance of a sentinel from all other values, at least, in multiples of the range of these."""


@dataclass(frozen=True)
class Decoding:
    """Turns numbers as they are stored into floats, NaN where a value is missing.

    Attributes
    ----------
    stored
        Type of the stored numbers; it differs from the file's where the attribute ``_Unsigned`` says so.
    dtype
        Type of the decoded numbers: float32 where that is exact, else float64.
    marks
        Stored numbers that stand for a missing value.
    valid
        Least and greatest stored number that is not missing.
    scale, offset
        A decoded number is ``stored * scale + offset``.
    """

    stored: np.dtype
    dtype: np.dtype
    marks: tuple[Any, ...] = ()
    valid: tuple[float, float] = (-math.inf, math.inf)
    scale: float = 1.0
    offset: float = 0.0

    def decode(self, values: np.ndarray) -> np.ndarray:
        """Return numbers that were read as they are stored as floats, NaN where they are missing."""
        values = np.asarray(values).view(self.stored)
        with np.errstate(over="ignore"):  # infinite responses are refused by `check_responses`
            numbers = np.asarray(values.astype(self.dtype))
            if (self.scale, self.offset) != (1, 0):
                numbers = np.asarray(numbers * self.scale + self.offset)
        for mark in self.marks:
            numbers[values == mark] = np.nan
        if self.valid != (-math.inf, math.inf):
            numbers[(values < self.valid[0]) | (values > self.valid[1])] = np.nan
        return numbers


def decoding(where: object, dtype: np.dtype, attributes: Mapping[str, Any]) -> Decoding:
    """Return the decoding of a variable by the conventions of netCDF and CF.

    Parameters
    ----------
    where
        Name of the variable, for errors.
    dtype
        Type as stored, of integers or floats.
    attributes
        Attributes of the variable.

    Raises
    ------
    ContractError
        If an attribute does not fit the stored numbers.

    Examples
    --------
    >>> counts = decoding("counts", np.dtype("i1"), {"_Unsigned": "true", "_FillValue": np.int8(-1)})
    >>> counts.decode(np.array([0, 127, -56, -1], "i1"))
    array([  0., 127., 200.,  nan], dtype=float32)
    """
    found = {name: _numbers(where, name, attributes[name]) for name in _NUMERIC if name in attributes}
    for name, values in found.items():
        if len(values) != (2 if name == "valid_range" else 1) and name != "missing_value":
            raise ContractError(f"{where}: attribute {name} has {len(values)} numbers; correct the file")
    stored = _signedness(where, np.dtype(dtype), attributes.get("_Unsigned"))
    marks = [
        _as_stored(where, name, value, np.dtype(dtype), stored)
        for name in ("_FillValue", "missing_value")
        for value in found.get(name, ())
    ]
    # A single byte has no default: 255 is a count, and white.
    default = netCDF4.default_fillvals.get(np.dtype(dtype).newbyteorder("=").str[1:])
    if "_FillValue" not in found and default is not None and stored.itemsize > 1:
        marks.append(np.array(default, dtype).view(stored)[()])
    low, high = found.get("valid_range", (-math.inf, math.inf))
    low, high = found.get("valid_min", (low,))[0], found.get("valid_max", (high,))[0]
    if not low <= high:
        raise ContractError(
            f"{where}: no number is valid from {low} to {high}, as valid_range, valid_min or valid_max say; "
            "correct or delete these attributes"
        )
    scale, offset = found.get("scale_factor", (1,))[0], found.get("add_offset", (0,))[0]
    if not (math.isfinite(scale) and math.isfinite(offset)):
        raise ContractError(f"{where}: scale_factor {scale} and add_offset {offset} must be finite")
    packed = (scale, offset) != (1, 0)
    return Decoding(
        stored,
        np.dtype(np.float64) if packed else float_type(stored),
        tuple(mark for mark in marks if mark == mark),  # NaN needs no mark
        (float(low), float(high)),
        float(scale),
        float(offset),
    )


_NUMERIC = (
    "_FillValue", "missing_value", "valid_range", "valid_min", "valid_max", "scale_factor", "add_offset",
)  # fmt: skip


def float_type(dtype: np.dtype) -> np.dtype:
    """Return float32 where it holds all numbers of a type exactly, else float64."""
    exact = dtype.itemsize <= (4 if dtype.kind == "f" else 2)
    return np.dtype(np.float32 if exact else np.float64)


def unmask(values: Any) -> np.ndarray:
    """Return an array of numbers with NaN where a masked array, pandas or a list has no value.

    Text and other objects are returned as they are.

    >>> unmask(np.ma.masked_equal([3, -1, 5], -1))
    array([ 3., nan,  5.])
    """
    plain = values.data if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
    missing = np.ma.getmaskarray(values) if np.ma.is_masked(values) else np.False_
    if plain.dtype.kind == "O" and all(_is_number_or_none(entry) for entry in plain.flat):
        missing = missing | pd.isna(plain)
        plain = np.where(missing, np.nan, plain).astype(np.float64)
    if not missing.any():
        return plain
    if plain.dtype.kind not in "iuf":
        raise ContractError(f"{plain.dtype} values are masked; wanted numbers where values are missing")
    dtype = plain.dtype if plain.dtype.kind == "f" else float_type(plain.dtype)
    return np.where(missing, np.nan, plain).astype(dtype)


def _is_number_or_none(entry: object) -> bool:
    return entry is None or entry is pd.NA or isinstance(entry, Real)


def check_responses(where: object, values: np.ndarray) -> None:
    """Refuse responses that are infinite or hold an undeclared mark of missing values.

    Parameters
    ----------
    where
        Name of the responses, for errors.
    values
        Floats of any shape; NaN is a missing value.

    Raises
    ------
    ContractError
        With the number in question and how often it occurs.

    Examples
    --------
    >>> check_responses("responses", np.array([0.5, 1.5, np.nan, -9999]))
    Traceback (most recent call last):
    brainfit.errors.ContractError: responses: 1 value is -9999 and all others lie from 0.5 to 1.5, so it ...
    """
    low, high = (extreme.reduce(values, axis=None, initial=np.nan) for extreme in (np.fmin, np.fmax))
    if math.isinf(low) or math.isinf(high):
        infinite = int(np.count_nonzero(np.isinf(values)))
        raise ContractError(
            f"{where}: {infinite} infinite values; wanted finite numbers, or NaN for no trial"
        )
    for extreme in (float(low), float(high)):
        if _is_candidate(np.array(extreme)):
            _check_extreme(where, values[np.isfinite(values)], extreme)


def _is_candidate(values: np.ndarray) -> np.ndarray:
    return np.isin(values, _SENTINELS) | (np.abs(values) >= _HUGE)


def _check_extreme(where: object, known: np.ndarray, extreme: float) -> None:
    if abs(extreme) >= _HUGE and np.unique(known[np.abs(known) >= _HUGE]).size > _MARKS:
        return
    others = known[~_is_candidate(known)]
    if not others.size:
        low = high = 0.0
    else:
        low, high = float(others.min()), float(others.max())
    distance = max(low - extreme, extreme - high)
    if abs(extreme) < _HUGE and distance < max(_GAP * (high - low), abs(extreme) / 2):
        return
    n = int(np.count_nonzero(known == extreme))
    rest = f"all others lie from {low:.4g} to {high:.4g}" if others.size else "there are no others"
    raise ContractError(
        f"{where}: {n} {'value is' if n == 1 else 'values are'} {extreme:.7g} and {rest}, so it seems to "
        "mark missing values; replace it with NaN, or declare it as _FillValue of the variable"
    )


def check_bins(responses: xr.DataArray) -> None:
    """Refuse responses of which a time bin is NaN in every trial of every image and unit.

    A trial with NaN in any bin is left out of averages, so such a bin would leave no trial. Values are read
    only until each bin has one, which in most recordings takes a single image and unit.

    Parameters
    ----------
    responses
        Floats with dims (image, trial, unit, time_bin) or (image, unit, time_bin), which may be lazy, and the
        coordinates of a recording.

    Raises
    ------
    ContractError
        With the bins that have no value.
    """
    sizes, empty = responses.sizes, np.ones(responses.sizes["time_bin"], bool)
    row_bytes = responses.dtype.itemsize * math.prod(sizes.values()) // max(1, sizes["image"])
    parts: Iterable[Mapping[str, slice]] = chain(
        [{"image": slice(1), "unit": slice(1)}, {"unit": slice(1)}, {"image": slice(1)}],
        ({"image": images} for images in blocks(sizes["image"], row_bytes)),
    )
    for part in parts:
        values = responses.isel(part).values
        empty &= np.isnan(values).all(axis=tuple(range(values.ndim - 1)))
        if not empty.any():
            return
    if empty.all():
        raise ContractError(
            "all responses are NaN or marked as missing; wanted numbers, and NaN where there is no trial"
        )
    start, end = (responses[f"time_bin_{edge}"].values[empty].tolist() for edge in ("start", "end"))
    spans = [f"{k} ({a:g}-{b:g} ms)" for k, a, b in zip(np.flatnonzero(empty), start, end, strict=True)]
    more = f" and {len(spans) - _SHOWN} others" if len(spans) > _SHOWN else ""
    bins, are, them = ("time bins", "are", "them") if len(spans) > 1 else ("time bin", "is", "it")
    raise ContractError(
        f"{bins} {', '.join(spans[:_SHOWN])}{more} {are} NaN in every trial, and a trial with NaN in any bin "
        f"is left out; drop {them}"
    )


def check_written(where: object, data: h5py.Dataset, decode: Decoding) -> None:
    """Refuse an HDF5 data set of which parts were never written, unless these read as missing.

    Raises
    ------
    ContractError
        With the number of chunks that were never written.
    """
    if not data.shape or not data.size:
        return
    if data.chunks:
        wanted = math.prod(-(-size // chunk) for size, chunk in zip(data.shape, data.chunks, strict=True))
        lacking = wanted - data.id.get_num_chunks()
        part = f"{lacking} of {wanted} chunks were"
    else:
        lacking, part = int(data.id.get_storage_size() == 0), "its values were"
    if lacking > 0 and not _fill_is_missing(data, decode):
        raise ContractError(
            f"{where}: {part} never written and would read as {_fill(data)}; write all values, with NaN "
            "where there is no trial"
        )


def _fill(data: h5py.Dataset) -> Any:
    undefined = data.id.get_create_plist().fill_value_defined() == h5py.h5d.FILL_VALUE_UNDEFINED
    return "anything" if undefined else data.fillvalue


def _fill_is_missing(data: h5py.Dataset, decode: Decoding) -> bool:
    fill = _fill(data)
    return not isinstance(fill, str) and bool(np.isnan(decode.decode(np.array(fill, data.dtype))))


def _numbers(where: object, name: str, value: Any) -> tuple[Any, ...]:
    values = np.atleast_1d(np.asarray(value))
    if values.dtype.kind not in "iuf" or values.ndim != 1:
        raise ContractError(f"{where}: attribute {name} is {printable(repr(value), 40)}; wanted a number")
    return tuple(values)


def _signedness(where: object, dtype: np.dtype, unsigned: Any) -> np.dtype:
    """Return the type that ``_Unsigned`` gives to stored integers: netCDF-3 has no unsigned ones."""
    if unsigned is None or dtype.kind not in "iu":
        return dtype
    text = unsigned.decode("utf-8", "replace") if isinstance(unsigned, bytes) else str(unsigned)
    if text.lower() not in ("true", "false"):
        raise ContractError(
            f"{where}: attribute _Unsigned is {printable(repr(text), 40)}; wanted true or false"
        )
    return np.dtype(f"{dtype.byteorder}{'u' if text.lower() == 'true' else 'i'}{dtype.itemsize}")


def _as_stored(where: object, name: str, value: Any, file_type: np.dtype, stored: np.dtype) -> Any:
    """Return a mark in the type of the stored numbers, to which it compares equal."""
    with np.errstate(over="ignore", invalid="ignore"):
        mark = np.asarray(value).astype(file_type)
        if stored.kind == "f" or mark == value:
            return mark.view(stored)[()]
        mark = np.asarray(value).astype(stored)  # some writers give it with the sign that `_Unsigned` says
        if mark == value:
            return mark[()]
    raise ContractError(
        f"{where}: attribute {name} is {value}, which no {stored} is; correct or delete the attribute"
    )
