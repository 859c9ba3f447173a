"""Recordings from arrays in memory or in one ``.npz`` file."""

from .recording import from_arrays, from_npz

__all__ = ["from_arrays", "from_npz"]
