"""Recordings from arrays in memory or in one ``.npz`` file."""

from .dataset import from_xarray
from .recording import from_arrays, from_npz

__all__ = ["from_arrays", "from_npz", "from_xarray"]
