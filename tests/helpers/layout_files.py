"""Write a small file of every layout; each writer returns a data set that is read, and its shape."""

# pyright: reportAttributeAccessIssue=false

import h5py
import numpy as np
import pytest
from brainio_files import trial_level
from hvm_file import hvm_arrays, write_hvm
from tiny import tiny_recording

from data_loaders.netcdf.recording import to_netcdf


def write_plain(path):
    tiny = tiny_recording()
    with h5py.File(path, "w") as file:
        file["responses"], file["images"] = tiny.responses.values, tiny.stimuli.values
        file["region"] = tiny.responses["region"].values.astype("S")
    return {"used": "responses", "shape": tiny.responses.shape}


def write_own(path, **sizes):
    to_netcdf(tiny_recording(**sizes), path)
    return {"used": "responses", "shape": tiny_recording(**sizes).responses.shape}


def write_brainio(path):
    trial_level(path.parent)[0].rename(path)
    with h5py.File(path) as file:
        return {"used": "data", "shape": file["data"].shape}


def write_hvm_file(path):
    write_hvm(path, hvm_arrays(np.random.default_rng(0)), holding=("time_averaged",))
    with h5py.File(path) as file:
        return {"used": "images", "shape": file["images"].shape}


def write_nwb_file(path):
    nwb_file = pytest.importorskip("nwb_file")
    images = [f"im{k % 3}" for k in range(6)]
    pixels = {f"im{k}": np.full((4, 4, 3), k, np.uint8) for k in range(3)}
    nwb_file.write_nwb(
        path, spikes=[np.linspace(0, 6, 20)] * 5, onsets=np.arange(6.0), images=images, pixels=pixels
    )
    return {"used": "stimulus/templates/pictures/im1", "shape": (4, 4, 3)}
