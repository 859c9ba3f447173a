"""Recordings in the HvM file ``ventral_neural_data.hdf5``."""

from .recording import from_hvm

__all__ = ["from_hvm"]
