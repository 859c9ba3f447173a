"""Recordings in BrainIO's netCDF layout, as Brain-Score publishes them."""

from .recording import from_brainio
from .write import to_brainio

__all__ = ["from_brainio", "to_brainio"]
