"""Recordings from tables: one row a spike, or one row a unit's response in a trial and bin."""

from .long_table import from_table
from .spikes import from_spikes

__all__ = ["from_spikes", "from_table"]
