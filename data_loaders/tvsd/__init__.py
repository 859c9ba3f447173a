"""Recordings of the THINGS Ventral stream Spiking Dataset (TVSD)."""

from .recording import from_tvsd

__all__ = ["from_tvsd"]
