"""Write MATLAB files of version 7.3 as MATLAB does: axes reversed, text as numbers, cells as references."""

import h5py
import numpy as np

_HEADER = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  1 00:00:00 2024 HDF5 schema 1.00 ."


def write_v73(path, **variables):
    """Write variables, given as MATLAB shows them: arrays, text, lists of text (cells) or nested dicts."""
    with h5py.File(path, "w", userblock_size=512, libver="earliest") as file:
        for name, value in variables.items():
            put(file, name, value)
    stamp(path)


def stamp(path):
    with path.open("r+b") as file:
        file.write(_HEADER.ljust(124) + b"\x00\x02IM")


def put(group, name, value):
    """Write one value as a variable of MATLAB."""
    if isinstance(value, dict):
        made = group.create_group(name)
        made.attrs["MATLAB_class"] = np.bytes_("struct")
        for key, of in value.items():
            put(made, key, of)
    elif isinstance(value, str):
        data = group.create_dataset(name, data=np.array([[ord(c)] for c in value], np.uint16))
        data.attrs["MATLAB_class"] = np.bytes_("char")
    elif isinstance(value, list):
        data = group.create_dataset(name, (1, len(value)), h5py.ref_dtype)
        data.attrs["MATLAB_class"] = np.bytes_("cell")
        for k, one in enumerate(value):
            data[0, k] = cell(group.file, one)
    else:
        array = np.atleast_2d(value)
        data = group.create_dataset(name, data=array.T)
        data.attrs["MATLAB_class"] = np.bytes_("double" if array.dtype == float else str(array.dtype))


def cell(file, value):
    """Write a value among the references of a file, and return the reference to it."""
    refs = file.require_group("#refs#")
    name = f"c{len(refs)}"
    put(refs, name, value)
    return refs[name].ref
