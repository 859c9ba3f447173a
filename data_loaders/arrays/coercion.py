"""Turn what a caller gives as arrays into the one form of a recording, or refuse it in one line.

Names are obeyed: an array whose dims are named is transposed to the order of a recording, and one whose names
do not fit is refused. Masks are obeyed: what is masked is missing.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from brainfit.errors import ContractError
from brainfit.support.arguments import whole_number
from brainfit.support.messages import printable, reason

from ..files.missing import check_responses, decoding, unmask

RESPONSE_DIMS = (("image", "trial", "unit", "time_bin"), ("image", "unit", "time_bin"))
PIXEL_DIMS = (("image", "height", "width", "channel"), ("image", "height", "width"))


_SYNONYMS = {"y": "height", "x": "width", "c": "channel"}


def responses_of(value: Any) -> np.ndarray:
    """Return responses as floats in this machine's byte order, NaN where they are missing.

    Raises
    ------
    ContractError
        If they are not numbers of three or four dims, or hold infinite values or an undeclared mark of
        missing values.
    """
    values = _array("responses", value, RESPONSE_DIMS)
    if values.dtype.kind not in "fiu" or values.ndim not in (3, 4):
        raise ContractError(
            f"responses are {values.dtype} of shape {values.shape}; wanted numbers of shape "
            "(image, trial, unit, time_bin) or (image, unit, time_bin)"
        )
    if hasattr(value, "attrs") and hasattr(value, "dims"):  # xarray applies no default fill value
        values = decoding("responses", values.dtype, value.attrs).decode(values)
    values = _native(values.astype(np.float64) if values.dtype.kind in "iu" else values)
    check_responses("responses", values)
    return values


def pixels_of(value: Any) -> np.ndarray:
    """Return images of three channels, uint8 or float in [0, 1].

    Raises
    ------
    ContractError
        If they are anything else; with the advice that fits the range of their pixels.
    """
    pixels = _native(_array("images", value, PIXEL_DIMS))
    check_pixel_type(pixels.dtype)
    if pixels.ndim not in (3, 4):
        raise ContractError(
            f"images have shape {pixels.shape}; wanted (image, height, width, 3) or (image, height, width)"
        )
    pixels = in_range(pixels)
    return np.repeat(pixels[..., None], 3, axis=-1) if pixels.ndim == 3 else pixels


def check_pixel_type(dtype: np.dtype) -> None:
    """Raise `ContractError` unless pixels of a type can be images."""
    if dtype != np.uint8 and dtype.kind != "f":
        advice = "; multiply black and white by 255, as uint8" if dtype.kind == "b" else ""
        raise ContractError(f"images are {dtype}; wanted uint8 in [0, 255] or float in [0, 1]{advice}")


_HAIR = 1e-4
"""Excess over [0, 1] that rounding explains; it is clipped."""
_OVERSHOOT = 0.25
"""Excess over [0, 1] that sharp edges leave when images are resized."""


def in_range(pixels: np.ndarray) -> np.ndarray:
    """Return pixels within [0, 1] if they are float, clipping what rounding put a hair outside.

    Raises
    ------
    ContractError
        If they lie further outside, or are NaN.
    """
    if pixels.dtype.kind != "f" or not pixels.size:
        return pixels
    low, high = float(pixels.min()), float(pixels.max())
    if low >= 0 and high <= 1:
        return pixels
    if low >= -_HAIR and high <= 1 + _HAIR:
        return pixels.clip(0, 1)
    if np.isnan(low):
        raise ContractError("images hold NaN, so they are not all in [0, 1]; give every pixel a value")
    if low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT:
        advice = "if resizing overshot the range, clip them to [0, 1]"
    elif low < -_HAIR:
        advice = "undo their normalisation; from [-1, 1], (images + 1) / 2 does so"
    elif high <= 255 + _HAIR:
        advice = "if they run from 0 to 255, divide by 255, or convert to uint8"
    else:
        advice = "divide by the value of white"
    raise ContractError(f"images are float from {low:.4g} to {high:.4g}, not all in [0, 1]; {advice}")


def labels_of(key: str, value: Any, default: list, dim: str) -> np.ndarray:
    """Return one label per image or unit: text, or numbers as they are; one label stands for all.

    Parameters
    ----------
    key
        Name of the labels, for errors.
    value
        Labels, or None.
    default
        Labels where `value` is None.
    dim
        Name of the dim that they are along.

    Raises
    ------
    ContractError
        If they are neither text nor numbers, some are missing, or they are more or fewer than the defaults.
    """
    labels = _array(key, default if value is None else value, ((dim,), ()), numbers=False)
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    if labels.dtype.kind == "T":  # NumPy's strings of any length
        labels = labels.astype(object)
    if labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels.flat):
        labels = labels.astype(str)
    if labels.dtype.kind not in "Uiuf":
        raise ContractError(f"{key} is {labels.dtype}; wanted strings or numbers, and none missing")
    if labels.dtype.kind == "f" and (n := np.count_nonzero(np.isnan(labels))):
        raise ContractError(f"{key} is NaN for {n} of {labels.size} entries; give each a label")
    if labels.ndim == 0:
        labels = np.repeat(labels, len(default))
    if labels.shape != (len(default),):
        raise ContractError(
            f"{key} has shape {labels.shape}; wanted {len(default)} entries, as responses has"
        )
    return _native(labels)


def milliseconds_of(key: str, value: Any, n: int) -> np.ndarray:
    """Return `n` times in ms.

    Raises
    ------
    ContractError
        Naming `key`, if they are anything else.
    """
    units = getattr(value, "attrs", {}).get("units", "ms")
    if str(units).lower() not in ("ms", "msec", "millisecond", "milliseconds"):
        raise ContractError(f"{key} is in {printable(repr(units), 40)}; give it in ms from image onset")
    times = _array(key, value, (("time_bin",),))
    if times.dtype.kind not in "fiu" or times.shape != (n,):
        raise ContractError(f"{key} is {times.dtype} of shape {times.shape}; wanted {n} numbers, in ms")
    if not np.isfinite(times).all():
        first = np.flatnonzero(~np.isfinite(times))[0]
        raise ContractError(f"{key} is {times[first]} for time bin {first}; wanted finite times, in ms")
    return times.astype(np.float64)


def whole_number_of(key: str, value: Any) -> int:
    """Return one whole number; raises `ContractError`, naming `key`, for anything else."""
    values = _array(key, value, ((),))
    return whole_number(key, values.item() if values.size == 1 else value)


def dims_of(value: Any) -> tuple[str, ...] | None:
    """Return the names of the dims of an array, or None if it has none.

    >>> import xarray as xr
    >>> dims_of(xr.DataArray(np.zeros((2, 3)), dims=("unit", "image"))), dims_of(np.zeros(3))
    (('unit', 'image'), None)
    """
    names = getattr(value, "dims", getattr(value, "dimensions", None))
    if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
        return None
    # xarray calls dims so that were given no names
    return None if all(re.fullmatch(r"dim_\d+", name) for name in names) else names


def order_by_name(key: str, dims: tuple[str, ...], layouts: tuple[tuple[str, ...], ...]) -> tuple[int, ...]:
    """Return the axes, in the order of the layout that has the same names.

    Raises
    ------
    ContractError
        If no layout has.

    Examples
    --------
    >>> order_by_name("responses", ("unit", "image", "time_bin"), RESPONSE_DIMS)
    (1, 0, 2)
    """
    known = tuple(_SYNONYMS.get(dim, dim) for dim in dims)
    for layout in layouts:
        if sorted(layout) == sorted(known):
            return tuple(known.index(dim) for dim in layout)
    wanted = " or ".join(f"({', '.join(layout)})" for layout in layouts)
    raise ContractError(
        f"the dims of {key} are ({printable(', '.join(dims), 100)}); wanted {wanted}, in any order; rename "
        "them"
    )


def _array(key: str, value: Any, layouts: tuple[tuple[str, ...], ...], *, numbers: bool = True) -> np.ndarray:
    """Return an array, transposed to the layout of `layouts` that has the names of its dims."""
    dims = dims_of(value)
    try:
        if hasattr(value, "dimensions") and hasattr(value, "set_auto_mask"):
            value = value[...]  # a variable of netCDF4, of which NumPy would drop the mask
        if np.ma.is_masked(value) and not numbers:
            raise ContractError(
                f"{key} lacks {np.ma.count_masked(value)} entries, which are masked; fill them"
            )
        array = unmask(value) if numbers else np.asarray(value)
    except ContractError as error:
        raise ContractError(str(error) if str(error).startswith(key) else f"{key}: {error}") from error
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:
        raise ContractError(f"{key} cannot be made one array: {reason(error)}") from error
    return array if dims is None else array.transpose(order_by_name(key, dims, layouts))


def _native(values: np.ndarray) -> np.ndarray:
    """Return floats as float32 or float64, and integers, in this machine's byte order; all else as it is."""
    if values.dtype.kind in "iu":
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype.kind != "f":
        return values
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as such
        return values.astype(np.float32 if values.dtype.itemsize <= 4 else np.float64, copy=False)
