"""Recordings in NWB (Neurodata Without Borders) files."""

from .recording import from_nwb

__all__ = ["from_nwb"]
