"""Mid-ranks of many rows of float32 numbers at once: by counting where they are counts, else by one sort."""

from __future__ import annotations

import sys

import numpy as np

_BLOCK = 2**15  # elements ranked at a time, so that they stay in the processor's cache
_MAX_TABLE = 4  # entries of the table of counts per element of a row
_SAMPLE = 16
_LOW, _HIGH = (0, 1) if sys.byteorder == "little" else (1, 0)


def midranks(x: np.ndarray) -> np.ndarray:
    """Return ranks from 1 along the last axis; ties share their mean rank.

    Parameters
    ----------
    x
        Shape (..., n), float32, finite.

    Returns
    -------
    array of float64, shape of `x`

    Examples
    --------
    >>> midranks(np.array([10.0, 30.0, 10.0, 20.0], dtype=np.float32))
    array([1.5, 4. , 1.5, 3. ])
    """
    ranks = np.empty(x.shape)
    if x.size:
        n = x.shape[-1]
        rows, into = np.ascontiguousarray(x).reshape(-1, n), ranks.reshape(-1, n)
        step = max(1, _BLOCK // n)
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            rank = _by_counting if _are_counts(some) else _by_sorting
            rank(some, into[start : start + step])
    return ranks


def ranks_of_counts(number: np.ndarray) -> np.ndarray:
    """Return the mid-rank of each count 0, 1, 2, … from the frequencies of counts, shape (row, count)."""
    return number.cumsum(axis=1) - (number - 1) / 2


def _are_counts(rows: np.ndarray) -> bool:
    """Return True if all are whole, not negative, and few enough for a table."""
    for part in (rows[:, :_SAMPLE], rows):  # what is not whole mostly shows in the first
        if not (
            part.min() >= 0 and part.max() < _MAX_TABLE * rows.shape[1] and (np.rint(part) == part).all()
        ):
            return False
    return True


def _by_counting(rows: np.ndarray, ranks: np.ndarray) -> None:
    """Look each value up in the cumulative histogram of its row."""
    size = int(rows.max()) + 1
    value = rows.astype(np.int64)
    value += np.arange(0, len(rows) * size, size)[:, None]
    number = np.bincount(value.ravel(), minlength=len(rows) * size).reshape(-1, size)
    np.take(ranks_of_counts(number).ravel(), value, out=ranks, mode="clip")


def _by_sorting(rows: np.ndarray, ranks: np.ndarray) -> None:
    """Sort 64-bit keys that have the value in the upper half and the place that it came from in the lower.

    Read as a whole number, the bits of a positive float32 are in the order of the floats, those of a
    negative one in the reverse. Sorting whole numbers is several times faster than ``argsort``.
    """
    n = rows.shape[1]
    keys = np.empty(rows.shape, np.int64)
    words = keys.view(np.int32).reshape(*rows.shape, 2)
    bits = (rows + np.float32(0)).view(np.int32)  # + 0 makes -0 one with 0
    np.bitwise_xor(bits, (bits >> 31) & 0x7FFFFFFF, out=words[..., _HIGH])
    words[..., _LOW] = np.arange(n, dtype=np.int32)
    keys.sort(axis=-1)

    same = np.zeros((len(rows), n + 1), bool)  # as the one before it
    np.equal(words[:, 1:, _HIGH], words[:, :-1, _HIGH], out=same[:, 1:-1])
    rank = np.tile(np.arange(1.0, n + 1), len(rows))
    tied = np.flatnonzero(same[:, :-1] | same[:, 1:])
    if len(tied):
        first = np.flatnonzero(~same[:, :-1].ravel()[tied])
        length = np.diff(first, append=len(tied))
        rank[tied] = np.repeat(rank[tied[first]] + (length - 1) / 2, length)

    keys &= 0xFFFFFFFF
    keys += np.arange(0, keys.size, n)[:, None]
    ranks.reshape(-1)[keys.ravel()] = rank
