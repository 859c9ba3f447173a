"""Arrange presentations as images and trials, and read only the responses that are asked for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from brainfit.support.messages import printable

from ..files.missing import Decoding, check_responses
from ..files.variables import Variable, VariableFile
from .blank_normalization import Baseline

_BLOCK_BYTES = 32 * 2**20
_GAP_BYTES = 64 * 2**10
"""Bytes between two wanted parts that are read rather than skipped: reading them costs as much as a call."""


@dataclass(frozen=True, eq=False)
class Presentations:
    """Responses in a file, read in pieces of bounded size when they are asked for.

    The file is opened for each reading, so that this object can be sent to other processes.

    Attributes
    ----------
    file
        File of the responses.
    variable
        Name of the responses.
    axes
        Axes that are neuroid, presentation and, if there is one, time_bin.
    decode
        Decoding of the stored numbers.
    table
        Position of the presentation of each image and trial, shape (image, trial), -1 where there is no
        trial.
    units
        Position of each unit among the neuroids, shape (unit,).
    bins
        Positions of the file's time bins that are averaged to each bin, shape (time_bin, n), increasing.
    baseline
        Responses to blanks by which counts are normalised, or None.
    """

    file: VariableFile
    variable: str
    axes: tuple[int, ...]
    decode: Decoding
    table: np.ndarray
    units: np.ndarray
    bins: np.ndarray
    baseline: Baseline | None = None

    def trials(
        self, image: np.ndarray, trial: np.ndarray, unit: np.ndarray, time_bin: np.ndarray
    ) -> np.ndarray:
        """Return the outer selection, shape (image, trial, unit, time_bin); NaN where there is no trial."""
        rows = self.table[np.ix_(image, trial)]
        values = self._read(rows.ravel(), unit, time_bin)
        return values.reshape(*rows.shape, unit.size, time_bin.size)

    def images(self, image: np.ndarray, unit: np.ndarray, time_bin: np.ndarray) -> np.ndarray:
        """Return the outer selection of the only trial of each image, shape (image, unit, time_bin)."""
        return self._read(self.table[image, 0], unit, time_bin)

    def _read(self, rows: np.ndarray, unit: np.ndarray, time_bin: np.ndarray) -> np.ndarray:
        """Return values of the presentations at `rows`, shape (row, unit, time_bin)."""
        time_bin, asked = np.unique(time_bin, return_inverse=True)
        there = np.flatnonzero(rows >= 0)
        averaged = self.bins.shape[1]
        values = np.full((rows.size, unit.size, time_bin.size), np.nan, self.decode.dtype)
        values[there] = 0
        wanted = (self.units[unit], rows[there], self.bins[time_bin].ravel())
        if all(positions.size for positions in wanted):
            for (units, presentations, bins), piece in self._pieces(wanted):
                if averaged == 1:
                    values[_outer(there[presentations], units, bins)] = piece
                else:  # summed first, since a piece may end among the bins of one average
                    bins, start = np.unique(bins // averaged, return_index=True)
                    sums = np.add.reduceat(piece, start, axis=2)
                    values[_outer(there[presentations], units, bins)] += sums / averaged
        if self.baseline is not None:
            self.baseline.normalize(values, rows, self.units[unit])
        return values[:, :, asked] if (np.diff(asked) != 1).any() else values

    def _pieces(self, wanted: Sequence[np.ndarray]) -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
        """Yield the units, presentations and bins of each piece, and its values (presentation, unit, bin)."""
        orders = [np.argsort(positions, kind="stable") for positions in wanted]
        places = [positions[order] for positions, order in zip(wanted, orders, strict=True)]
        with self.file.opened() as data:
            variable = data.variables[self.variable]
            on_disk = np.argsort(self.axes)
            runs = [
                list(_runs(places[dim], *step)) for dim, step in zip(on_disk, _steps(variable), strict=True)
            ]
            for run in itertools.product(*runs):  # the last axis changes first, as on disk
                reached = [places[dim][some] for dim, some in zip(on_disk, run, strict=True)]
                block = variable.read(tuple(slice(int(at[0]), int(at[-1]) + 1) for at in reached))
                some = [run[axis] for axis in self.axes]
                inside = [reached[axis] - reached[axis][0] for axis in self.axes]
                block = np.transpose(block, self.axes)
                if len(some) == 2:  # no axis of time: one bin
                    block, some, inside = block[..., None], [*some, slice(None)], [*inside, 0 * places[2]]
                for axis, positions in enumerate(inside):
                    block = block[(slice(None),) * axis + _outer(positions)]
                piece = self.decode.decode(np.ascontiguousarray(np.swapaxes(block, 0, 1)))
                check_responses(f"{self.file}: responses {printable(self.variable)}", piece)
                yield [order[which] for order, which in zip(orders, some, strict=True)], piece


def _outer(*positions: np.ndarray) -> tuple:
    """Return the index of the outer product, with slices, which copy nothing, for adjoining positions."""
    slices = tuple(slice(p[0], p[-1] + 1) if (np.diff(p) == 1).all() else p for p in positions)
    arrays = sum(isinstance(one, np.ndarray) for one in slices)
    return slices if arrays <= 1 else np.ix_(*positions)


def _steps(variable: Variable) -> list[tuple[int, int, int]]:
    """Return, for each axis, the length of a piece, the length of a chunk, and the gap that is read over."""
    item = variable.dtype.itemsize
    chunks = list(variable.chunks or [1] * variable.ndim)
    reach = list(chunks)
    for axis in reversed(range(variable.ndim)):
        others = item * math.prod(reach) // reach[axis]
        most = max(_BLOCK_BYTES // others, 1)
        reach[axis] = min(max(most // chunks[axis], 1) * chunks[axis], variable.shape[axis])
        if reach[axis] < variable.shape[axis]:
            break
    gaps = [1] * variable.ndim
    if variable.chunks is None:
        apart = [item * math.prod(variable.shape[axis + 1 :]) for axis in range(variable.ndim)]
        gaps = [max(_GAP_BYTES // n_bytes, 1) for n_bytes in apart]
    return list(zip(reach, chunks, gaps, strict=True))


def _runs(positions: np.ndarray, reach: int, chunk: int, gap: int) -> Iterator[slice]:
    """Yield slices of sorted positions that are read at once."""
    apart = (np.diff(positions // reach) > 0) | (np.diff(positions // chunk) > gap)
    edges = np.concatenate([[0], np.flatnonzero(apart) + 1, [positions.size]])
    for start, stop in itertools.pairwise(edges):
        yield slice(int(start), int(stop))
