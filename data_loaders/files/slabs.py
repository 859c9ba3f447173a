"""Read any selection of a large array on disk through the few contiguous blocks that hold it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np

CHUNK_BYTES = 2**20
"""Largest chunk on disk, small enough that reading a few units costs little."""
BLOCK_BYTES = 64 * 2**20
"""Size of what is read or written at once."""


def chunk_shape(shape: Sequence[int], itemsize: int, most: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of chunks of at most `CHUNK_BYTES`, and at most `most` entries along each axis.

    Later axes are filled first.

    Examples
    --------
    >>> chunk_shape((3200, 46, 256, 39), 4, (3200, 46, 16, 39))
    (9, 46, 16, 39)
    """
    left, chunk = max(1, CHUNK_BYTES // itemsize), []
    for size, limit in zip(reversed(shape), reversed(most), strict=True):
        chunk.append(max(1, min(size, limit, left)))
        left //= chunk[-1]
    return tuple(reversed(chunk))


def blocks(size: int, row_bytes: int, chunk: int = 1) -> Iterator[slice]:
    """Yield slices of the first axis of about `BLOCK_BYTES`, in whole chunks."""
    step = max(1, BLOCK_BYTES // max(1, row_bytes * chunk)) * chunk
    return (slice(start, min(start + step, size)) for start in range(0, size, step))


def read_selection(
    read: Callable[[tuple[slice, ...]], np.ndarray],
    positions: Sequence[np.ndarray],
    chunks: Sequence[int],
    dtype: np.dtype,
) -> np.ndarray:
    """Return the outer selection at these positions, reading contiguous slabs of bounded size.

    Parameters
    ----------
    read
        Function of one slice an axis that returns this part of the array.
    positions
        One 1-d integer array an axis, in any order, repeats allowed.
    chunks
        Number of entries along each axis that are stored together. Shorter gaps between wanted entries are
        read rather than skipped, because they would be unpacked anyway.
    dtype
        Type of the result.
    """
    values = np.empty(tuple(map(len, positions)), dtype)
    if not values.size:
        return values
    runs = [list(_runs(where, gap)) for where, gap in zip(positions, chunks, strict=True)]
    widest = math.prod(max(last - first for first, last, _ in axis) for axis in runs[1:])
    rows = [
        (start, stop, members[(positions[0][members] >= start) & (positions[0][members] < stop)])
        for first, last, members in runs[0]
        for start, stop in _cut(first, last, widest * dtype.itemsize, chunks[0])
    ]
    for one in product(rows, *runs[1:]):
        slab = read(tuple(slice(int(first), int(last)) for first, last, _ in one))
        inside = [where[m] - first for where, (first, _, m) in zip(positions, one, strict=True)]
        values[np.ix_(*(members for _, _, members in one))] = slab[np.ix_(*inside)]
    return values


def _runs(where: np.ndarray, gap: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield the first position, the last + 1 and the entries of each stretch without a gap over `gap`."""
    order = np.argsort(where, kind="stable")
    breaks = np.flatnonzero(np.diff(where[order]) > gap) + 1
    for members in np.split(order, breaks):
        yield int(where[members[0]]), int(where[members[-1]]) + 1, members


def _cut(first: int, last: int, row_bytes: int, chunk: int) -> Iterator[tuple[int, int]]:
    """Cut a run of rows where chunks begin, so that no chunk is unpacked twice."""
    base = first - first % chunk
    for part in blocks(last - base, row_bytes, chunk):
        start, stop = max(first, base + part.start), base + part.stop
        if start < stop:
            yield start, stop
