"""Digests of the chunks of an array, checked whenever a value of a chunk is read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Self

import numpy as np

from brainfit.errors import IntegrityError

from ..files.slabs import read_selection
from ..files.variables import Variable, VariableFile


def chunk_digests(values: np.ndarray, chunks: Sequence[int]) -> np.ndarray:
    """Return 64 bits of the BLAKE2 digest of each chunk of an array, in C order of the chunks.

    Parameters
    ----------
    values
        Array that begins and ends where chunks do, but for its last ones.
    chunks
        Shape of a chunk.

    Examples
    --------
    >>> chunk_digests(np.arange(6.0).reshape(2, 3), (1, 2)).shape
    (4,)
    """
    return np.array([_digest(values[part]) for part in _grid(values.shape, chunks)], np.uint64)


@dataclass(frozen=True, eq=False)
class DigestReader:
    """A function for `brainfit.support.lazy_arrays.lazy_variable` that returns no damaged value.

    Attributes
    ----------
    file, name
        The file, and the name of the variable in it.
    shape, chunks
        Shape of the variable and of its chunks.
    digests
        As of `chunk_digests`, for the whole variable.
    dtype
        Type of the values returned.
    """

    file: VariableFile
    name: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    digests: np.ndarray = field(repr=False)
    dtype: np.dtype

    @classmethod
    def of(cls, file: VariableFile, variable: Variable, digests: np.ndarray, dtype: np.dtype) -> Self:
        """Return the reader of a variable; raise `IntegrityError` if its digests do not fit its chunks."""
        chunks = variable.chunks or ()
        if len(chunks) != variable.ndim or digests.shape != (prod(_counts(variable.shape, chunks)),):
            raise IntegrityError(f"{file} is damaged: {variable.name} is not stored as it was written")
        return cls(file, variable.name, variable.shape, chunks, digests, dtype)

    def __call__(self, *positions: np.ndarray) -> np.ndarray:
        """Return the outer selection at these positions; raise `IntegrityError` if a chunk is damaged."""
        with self.file.opened() as data:
            variable = data.variables[self.name]
            return read_selection(
                lambda part: self._checked(variable, part), positions, self.chunks, self.dtype
            )

    def _checked(self, variable: Variable, part: tuple[slice, ...]) -> np.ndarray:
        """Return a part, read with all of its chunks; HDF5 unpacks whole chunks in any case."""
        starts = [s.start // chunk for s, chunk in zip(part, self.chunks, strict=True)]
        stops = [-(-s.stop // chunk) for s, chunk in zip(part, self.chunks, strict=True)]
        whole = tuple(
            slice(first * chunk, min(last * chunk, size))
            for first, last, chunk, size in zip(starts, stops, self.chunks, self.shape, strict=True)
        )
        values = variable.read(whole)
        wanted = self.digests.reshape(_counts(self.shape, self.chunks))[tuple(map(slice, starts, stops))]
        if not np.array_equal(chunk_digests(values, self.chunks), wanted.ravel()):
            raise IntegrityError(
                f"{self.file} is damaged: values of {self.name} differ from those that were written; convert "
                "its source again, or get it anew"
            )
        return values[
            tuple(slice(s.start - w.start, s.stop - w.start) for s, w in zip(part, whole, strict=True))
        ]


def _counts(shape: Sequence[int], chunks: Sequence[int]) -> tuple[int, ...]:
    return tuple(-(-size // chunk) for size, chunk in zip(shape, chunks, strict=True))


def _grid(shape: Sequence[int], chunks: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    for at in product(*map(range, _counts(shape, chunks))):
        yield tuple(slice(k * chunk, (k + 1) * chunk) for k, chunk in zip(at, chunks, strict=True))


def _digest(values: np.ndarray) -> int:
    content = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False))
    return int.from_bytes(hashlib.blake2b(content.data, digest_size=8).digest(), "little")
