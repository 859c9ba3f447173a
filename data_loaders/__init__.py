"""Loaders that turn recordings, real or simulated, into `brainfit.Recording`."""
