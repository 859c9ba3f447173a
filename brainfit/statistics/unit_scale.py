"""A scale of its own for each unit, that float32 holds without harm."""

from __future__ import annotations

import numpy as np

_BLOCK = 2**15  # elements worked on at a time, so that they stay in the processor's cache
_ROUNDING, _WHOLE = 1e-6, 1e-3
_EXACT = 2**24  # below it float32 holds every whole number


def on_own_scale(trials: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return one unit's trials on a scale of their own, with missing trials as 0.

    Correlations do not depend on a unit's scale and offset, but ranks depend on ties. Sums of counts often
    tie, and no longer do once counts were divided by a blank response and rounded. Therefore whole numbers
    are kept, and values that are all whole multiples of the smallest positive one become counts again. All
    other values, and counts whose sums over trials exceed the whole numbers of float32, are centred and
    divided by the largest absolute value.

    Parameters
    ----------
    trials
        Shape (image, trial, time_bin).
    present
        Shape (image, trial), bool.

    Returns
    -------
    values, counts
        Array of the shape of `trials`, float32, and True if it holds whole numbers from 0 up.
    """
    values = np.empty(trials.shape, np.result_type(trials, np.float32))
    bits, complete = f"u{values.itemsize}", bool(present.all())
    low, high, total, least = 0.0, 0.0, 0.0, []
    step = max(1, _BLOCK // trials[0].size)
    blocks = [slice(start, start + step) for start in range(0, len(trials), step)]
    for block in blocks:
        some = values[block]
        some[...] = trials[block]
        if not complete:
            some[~present[block]] = 0
        low, high = min(low, float(some.min())), max(high, float(some.max()))
        total += float(some.sum(dtype=float))
        # As whole numbers the bits of floats are in order, those of negative ones last; so is 0, less 1.
        least.append((some.view(bits) - np.array(1, bits)).min())
    smallest = (min(least) + np.array(1, bits)).view(values.dtype) if high > 0 else values.dtype.type(1)
    for one in (values.dtype.type(1), smallest):
        exact = max(high, -low) * trials.shape[1] < _EXACT * float(one)
        if exact and all(_are_multiples(values[block], one) for block in blocks):
            for block in blocks:
                np.rint(values[block] / one, out=values[block])
            return values.astype(np.float32, copy=False), low >= 0
    mean = total / (present.sum() * trials.shape[2])
    largest = max(high - mean, mean - low)
    for block in blocks:
        values[block] -= mean
        values[block] /= largest
    if not complete:
        values[~present] = 0
    return values.astype(np.float32, copy=False), False


def _are_multiples(values: np.ndarray, one: np.generic) -> bool:
    multiples = values / one
    counts = np.rint(multiples)
    if np.array_equal(multiples, counts):
        return True
    tolerance = np.minimum(_ROUNDING * np.abs(counts), _WHOLE)
    return bool((np.abs(multiples - counts) <= tolerance).all())
