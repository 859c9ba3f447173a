"""Recordings in one netCDF file."""

from .recording import from_netcdf, to_netcdf

__all__ = ["from_netcdf", "to_netcdf"]
