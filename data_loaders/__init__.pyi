# What `data_loaders` offers: read by type checkers, and at run time by lazy_loader.
from .arrays import from_arrays, from_npz, from_xarray
from .matlab import from_mat
from .netcdf import from_netcdf, to_netcdf
from .tables import from_spikes, from_table

__all__ = [
    "from_arrays",
    "from_mat",
    "from_netcdf",
    "from_npz",
    "from_spikes",
    "from_table",
    "from_xarray",
    "to_netcdf",
]
