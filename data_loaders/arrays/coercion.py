"""What a caller gave for an array, made into the one form that a recording has, or refused in one line."""

from __future__ import annotations

from typing import Any

import numpy as np

from brainfit.errors import ContractError
from brainfit.support.messages import reason


def responses_of(value: Any) -> np.ndarray:
    """Return responses as floats in this machine's byte order; raises `ContractError` for anything else."""
    values = _array("responses", value)
    if values.dtype.kind not in "fiu" or values.ndim not in (3, 4):
        raise ContractError(
            f"responses are {values.dtype} of shape {values.shape}; wanted numbers of shape "
            "(image, trial, unit, time_bin) or (image, unit, time_bin)"
        )
    values = _native(values.astype(np.float64) if values.dtype.kind in "iu" else values)
    infinite = np.count_nonzero(np.isinf(values))
    if infinite:
        raise ContractError(
            f"responses hold {infinite} infinite values; wanted finite numbers, or NaN for no trial"
        )
    return values


def pixels_of(value: Any) -> np.ndarray:
    """Return images of three channels, uint8 or float in [0, 1]; raises `ContractError` for anything else."""
    pixels = _native(_array("images", value))
    if pixels.dtype != np.uint8 and pixels.dtype.kind != "f":
        raise ContractError(f"images are {pixels.dtype}; wanted uint8 in [0, 255] or float in [0, 1]")
    if pixels.ndim not in (3, 4):
        raise ContractError(
            f"images have shape {pixels.shape}; wanted (image, height, width, 3) or (image, height, width)"
        )
    if pixels.dtype.kind == "f" and not ((pixels >= 0) & (pixels <= 1)).all():  # NaN is neither
        raise ContractError("images are float but not all in [0, 1]; divide by 255, or convert to uint8")
    return np.repeat(pixels[..., None], 3, axis=-1) if pixels.ndim == 3 else pixels


def labels_of(key: str, value: Any, default: list) -> np.ndarray:
    """Return one label an image or unit: strings, or numbers as they are; one label stands for all.

    Raises
    ------
    ContractError
        Naming `key`, if they are neither, or more or fewer than the defaults.
    """
    labels = _array(key, default if value is None else value)
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    if labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels.flat):
        labels = labels.astype(str)
    if labels.dtype.kind not in "Uiuf":
        raise ContractError(f"{key} is {labels.dtype}; wanted strings or numbers")
    if labels.ndim == 0:
        labels = np.repeat(labels, len(default))
    if labels.shape != (len(default),):
        raise ContractError(
            f"{key} has shape {labels.shape}; wanted {len(default)} entries, as responses has"
        )
    return _native(labels)


def milliseconds_of(key: str, value: Any, n_bins: int) -> np.ndarray:
    """Return one time a bin; raises `ContractError`, naming `key`, if there are not so many numbers."""
    times = _array(key, value)
    if times.dtype.kind not in "fiu" or times.shape != (n_bins,):
        raise ContractError(
            f"{key} is {times.dtype} of shape {times.shape}; wanted {n_bins} numbers, one a time bin"
        )
    return times.astype(np.float64)


def _array(key: str, value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ContractError(f"{key} cannot be made one array: {reason(error)}") from error


def _native(values: np.ndarray) -> np.ndarray:
    """Floats as float32 or float64, and integers, in this machine's byte order; anything else as it is."""
    if values.dtype.kind in "iu":
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype.kind != "f":
        return values
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as such
        return values.astype(np.float32 if values.dtype.itemsize <= 4 else np.float64, copy=False)
