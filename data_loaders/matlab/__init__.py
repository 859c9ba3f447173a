"""Recordings in MATLAB files of version 5, 7 and 7.3."""

from .recording import from_mat

__all__ = ["from_mat"]
