"""Read the HvM file ``ventral_neural_data.hdf5``: V4 and IT of two macaques, 5760 images of 64 objects.

Its groups hold the images, their labels (``image_meta``), the regions of units (``neural_meta``), and the
responses: in 11 bins of 20 ms (``time_binned``) or in one (``time_averaged``), with a data set (trial, image,
unit) for each level of variation, because levels have different numbers of trials; or averaged over trials.

References
----------
Majaj, N. J., Hong, H., Solomon, E. A. & DiCarlo, J. J. (2015). Simple learned weighted sums of inferior
temporal neuronal firing rates accurately predict human core object recognition performance. Journal of
Neuroscience 35(39), 13402–13418.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import xarray as xr

from brainfit.contracts.recording import Recording, check_recording
from brainfit.errors import ContractError
from brainfit.support.lazy_arrays import lazy_variable
from brainfit.support.messages import printable

from ..files.hdf5 import Hdf5File, labels, member, place, read_values, select
from ..files.isolation import isolated
from ..files.missing import check_bins
from .responses import Responses, find_responses

_REGIONS = {"V4": "V4_NEURONS", "pIT": "PIT_NEURONS", "cIT": "CIT_NEURONS", "aIT": "AIT_NEURONS"}
_IT = "IT_NEURONS"
_WITH_POOR, _POOR = 296, np.arange(256, 296)
"""Number of sites of a whole file, and the 40 poor ones among them, which others leave out too."""
_MORE = {
    "s": "size", "ty": "translation_y", "tz": "translation_z",
    "rxy": "rotation_xy", "rxz": "rotation_xz", "ryz": "rotation_yz",
}  # fmt: skip
_DIMS = ("image", "height", "width", "channel")


@isolated
def from_hvm(path: str | os.PathLike[str]) -> Recording:
    """Return the recording in an HvM file.

    Trials in time bins are taken if the file has them, else trials of one bin of 70–170 ms, else averages
    over trials in bins, else averages in one bin. Levels of variation with fewer trials are padded with NaN.
    Responses and images are read for the selection, when values are asked for.

    If the file has 296 sites, 256 to 295 are poor and left out, as others do; so are units without a region.
    The provenance counts what is left out.

    Parameters
    ----------
    path
        Path of the file, which must stay there while the recording is used.

    Returns
    -------
    Recording
        Responses with dims (image, trial, unit, time_bin), or averaged (image, unit, time_bin).

    Raises
    ------
    IntegrityError
        If the file is missing, damaged, or not HDF5.
    ContractError
        If something in the file is not as in this layout.
    """
    source = Hdf5File.at(path)
    with source.opened() as file:
        meta = member(file, "image_meta", h5py.Group)
        stimuli = _stimuli(source, member(file, "images", h5py.Dataset))
        n_images = stimuli.sizes["image"]
        images = _image_labels(meta, n_images)
        responses = find_responses(source, file, images["variation"])
        units, of_units, dropped = _units(member(file, "neural_meta", h5py.Group), responses.n_units)
    of_images = {name: ("image", values) for name, values in images.items()}
    recording = Recording(
        name=source.path.stem,
        responses=xr.DataArray(
            responses.variable(units),
            coords={
                **of_images,
                **{name: ("unit", values) for name, values in of_units.items()},
                "time_bin_start": ("time_bin", responses.bin_start),
                "time_bin_end": ("time_bin", responses.bin_end),
            },
        ),
        stimuli=stimuli.assign_coords(of_images),
        provenance=_provenance(source, responses, dropped),
    )
    with source.refusals_named():
        check_recording(recording)
        check_bins(recording.responses)
    return recording


def _provenance(source: Hdf5File, responses: Responses, dropped: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "source": "hvm",
        "file": source.path.name,
        "responses": responses.origin,
        "values": "as in the file, where they are normalised; not counts",
        "dropped": dropped,
    }


@dataclass(frozen=True)
class _Images:
    """Images of a file, gray ones as three equal channels."""

    source: Hdf5File

    def read(
        self, images: np.ndarray, rows: np.ndarray, columns: np.ndarray, channels: np.ndarray
    ) -> np.ndarray:
        with self.source.opened() as file:
            data = member(file, "images", h5py.Dataset)
            if data.ndim == 4:
                return select(data, (images, rows, columns, channels))
            return np.repeat(select(data, (images, rows, columns))[..., None], len(channels), axis=-1)


def _stimuli(source: Hdf5File, data: h5py.Dataset) -> xr.DataArray:
    if data.dtype != np.uint8 or data.ndim not in (3, 4):
        raise ContractError(
            f"{place(data)} is {data.dtype} of shape {data.shape}; wanted uint8 of shape "
            "(image, height, width)"
        )
    shape = data.shape if data.ndim == 4 else (*data.shape, 3)
    return xr.DataArray(lazy_variable(_DIMS, shape, np.uint8, _Images(source).read))


def _image_labels(meta: h5py.Group, n: int) -> dict[str, np.ndarray]:
    """Return the labels of the images by the names that recordings have for them."""
    names = {"image_id": "image_id", "object_name": "object_name", "category_name": "category"}
    texts = {name: labels(meta, key, n).astype(str) for name, key in names.items()}
    levels = labels(meta, "variation_level", n).astype(str).tolist()
    numbers = [re.fullmatch(r"V?(\d{1,6})", level) for level in levels]
    if None in numbers:
        odd = levels[numbers.index(None)]
        raise ContractError(
            f"{place(meta, 'variation_level')} has {printable(repr(odd))}; wanted V0, V3 or V6"
        )
    variation = np.array([int(found[1]) for found in numbers if found])
    more = {name: labels(meta, key, n) for name, key in _MORE.items() if key in meta}
    return {**texts, "variation": variation, **more}


def _units(meta: h5py.Group, n: int) -> tuple[np.ndarray, dict[str, np.ndarray], list[dict[str, Any]]]:
    """Return the positions of the units to keep, their labels, and records of what is left out."""
    region = np.full(n, "", "U3")
    for name, key in _REGIONS.items():
        if key in meta:
            at = _index(meta, key, n)
            if taken := sorted(set(region[at].tolist()) - {""}):
                raise ContractError(
                    f"{place(meta, key)} shares units with {_REGIONS[taken[0]]}; wanted one region for each"
                )
            region[at] = name
    if _IT in meta:
        it = _index(meta, _IT, n)
        region[it[region[it] == ""]] = "IT"
    poor = np.isin(np.arange(n), _POOR) if n == _WITH_POOR else np.zeros(n, bool)
    keep = np.flatnonzero((region != "") & ~poor)
    if not keep.size:
        raise ContractError(
            f"{place(meta)} gives no unit a region; wanted positions in {', '.join(_REGIONS.values())}"
        )
    reasons = {
        f"poor sites, {_POOR[0]} to {_POOR[-1]} of {_WITH_POOR}": int(poor.sum()),
        "in no region": n - len(keep) - int(poor.sum()),
    }
    dropped = [{"what": "units", "n": k, "why": why} for why, k in reasons.items() if k]
    of_units = {
        "unit_id": np.array([f"unit_{u:04d}" for u in keep]),
        "region": region[keep],
        "animal": _info(meta, "ANIMAL_INFO", n)[keep],
        "array": _info(meta, "ARRAY_INFO", n)[keep],
    }
    return keep, of_units, dropped


def _info(meta: h5py.Group, name: str, n: int) -> np.ndarray:
    return labels(meta, name, n).astype(str) if name in meta else np.full(n, "unknown")


def _index(meta: h5py.Group, name: str, n: int) -> np.ndarray:
    """Return positions of units, which may be stored as whole floats, or as one truth value a unit."""
    data = member(meta, name, h5py.Dataset)
    if data.ndim != 1 or data.dtype.kind not in "iufb" or data.size > n:
        raise ContractError(
            f"{place(data)} is {data.dtype} of shape {data.shape}; wanted positions of units, at most {n}"
        )
    values = read_values(data)
    if values.dtype.kind == "b" and len(values) == n:
        return np.flatnonzero(values)
    if values.dtype.kind == "b" or not ((values >= 0) & (values < n) & (values == np.floor(values))).all():
        raise ContractError(
            f"{place(data)} holds numbers that are no position of a unit; wanted 0 to {n - 1}"
        )
    return values.astype(int)
