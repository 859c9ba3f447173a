"""Read selections of one variable, in the order of dims and with the values of a recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from brainfit.errors import ContractError
from brainfit.support.messages import printable

from ..arrays.coercion import check_pixel_type, in_range
from ..files.missing import Decoding, check_responses, check_written, decoding
from ..files.slabs import read_selection
from ..files.variables import Variable, VariableFile


@dataclass(frozen=True)
class SelectionReader:
    """A function for `brainfit.support.lazy_arrays.lazy_variable`; the file is opened for each call.

    Attributes
    ----------
    file, name
        The file, and the name of the variable in it.
    axes
        For each dim of the recording, the axis of the variable.
    dtype
        Type of the values returned.
    decode
        Turns stored values into those of a recording, or refuses them.
    """

    file: VariableFile
    name: str
    axes: tuple[int, ...]
    dtype: np.dtype
    decode: Callable[[np.ndarray], np.ndarray]

    def __call__(self, *positions: np.ndarray) -> np.ndarray:
        """Return the outer selection at these positions along the dims of the recording."""
        with self.file.opened() as data:
            variable = data.variables[self.name]
            stored = read_selection(
                lambda part: self.decode(variable.read(part)),
                [positions[self.axes.index(axis)] for axis in range(variable.ndim)],
                variable.chunks or (1,) * variable.ndim,
                self.dtype,
            )
        return stored.transpose(self.axes)


@dataclass(frozen=True)
class _DecodeResponses:
    where: str
    decoding: Decoding

    def __call__(self, stored: np.ndarray) -> np.ndarray:
        values = self.decoding.decode(stored)
        check_responses(self.where, values)
        return values


@dataclass(frozen=True)
class _DecodePixels:
    where: str
    decoding: Decoding
    dtype: np.dtype

    def __call__(self, stored: np.ndarray) -> np.ndarray:
        if self.dtype == np.uint8:
            pixels = np.asarray(stored).view(np.uint8)
            if any((pixels == mark).any() for mark in self.decoding.marks):
                raise ContractError(
                    f"{self.where} lacks pixels, by its _FillValue or missing_value; fill them"
                )
            return pixels
        try:
            return in_range(self.decoding.decode(stored))
        except ContractError as error:
            raise ContractError(f"{self.where}: {error}") from error


def response_reader(file: VariableFile, variable: Variable, axes: Sequence[int]) -> SelectionReader:
    """Return the reader of responses.

    Raises
    ------
    ContractError
        If they are not numbers, cannot be decoded, or were not written in part.
    """
    where = _where(file, variable)
    if variable.dtype.kind not in "fiu":
        raise ContractError(f"{where} is {printable(variable.dtype)}; wanted numbers")
    found = decoding(where, variable.dtype, variable.attributes)
    _check_written(where, variable, found)
    return SelectionReader(file, variable.name, tuple(axes), found.dtype, _DecodeResponses(where, found))


def pixel_reader(file: VariableFile, variable: Variable, axes: Sequence[int]) -> SelectionReader:
    """Return the reader of images.

    Raises
    ------
    ContractError
        If they are neither uint8 nor float, cannot be decoded, or were not written in part.
    """
    where = _where(file, variable)
    found = decoding(where, variable.dtype, variable.attributes)
    packed = (found.scale, found.offset) != (1, 0)
    dtype = found.dtype if packed or found.stored.kind == "f" else found.stored.newbyteorder("=")
    try:
        check_pixel_type(dtype)
    except ContractError as error:
        raise ContractError(f"{file}: {error}") from error
    _check_written(where, variable, found)
    return SelectionReader(file, variable.name, tuple(axes), dtype, _DecodePixels(where, found, dtype))


def read_labels(file: VariableFile, variable: Variable) -> np.ndarray:
    """Return all values of a variable as text or numbers, unpacked.

    Raises
    ------
    ContractError
        If they are neither, or some are missing.
    """
    where = _where(file, variable)
    values = variable.labels()
    if values.dtype.kind not in "iuf":
        return values
    found = decoding(where, values.dtype, variable.attributes)
    decoded = found.decode(values)
    if n := np.count_nonzero(np.isnan(decoded)) - np.count_nonzero(values != values):
        raise ContractError(f"{where} lacks {n} of {values.size} labels; write them")
    return decoded if (found.scale, found.offset) != (1, 0) else values.view(found.stored)


def _where(file: VariableFile, variable: Variable) -> str:
    return f"{file}: variable {printable(repr(variable.name))}"


def _check_written(where: str, variable: Variable, found: Decoding) -> None:
    if variable.dataset is not None:
        check_written(where, variable.dataset, found)
    variable.read((slice(1),) * variable.ndim)  # names a type or filter that cannot be read
