"""Arrays whose values are computed or read only for the part that is selected."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

Read = Callable[..., np.ndarray]


class _ComputedArray(BackendArray):
    """Backend array of xarray that calls a function instead of reading a file."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype, read: Read) -> None:
        self.shape = shape
        self.dtype = dtype
        self._read = read

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        if not isinstance(key, indexing.VectorizedIndexer):  # xarray's adapter fails on empty reversed slices
            return self._select(key.tuple)
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._select
        )

    def _select(self, key: tuple) -> np.ndarray:
        positions = [np.atleast_1d(np.arange(size)[k]) for k, size in zip(key, self.shape, strict=True)]
        values = self._read(*positions)
        scalars = tuple(i for i, k in enumerate(key) if isinstance(k, (int, np.integer)))
        return values.squeeze(axis=scalars)


def lazy_variable(
    dims: tuple[str, ...], shape: tuple[int, ...], dtype: np.typing.DTypeLike, read: Read
) -> xr.Variable:
    """Return a variable that calls `read` for the selected positions when its values are needed.

    Parameters
    ----------
    dims, shape, dtype
        Dims, shape and dtype of the whole array.
    read
        Function called with one 1-d integer array of positions for each dimension; returns the outer
        selection, an array of shape ``tuple(len(p) for p in positions)``.
    """
    array = _ComputedArray(shape, np.dtype(dtype), read)
    return xr.Variable(dims, indexing.LazilyIndexedArray(array))
