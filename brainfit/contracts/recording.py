"""Neural recordings: responses of units to images in time bins, with the images themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr

from brainfit.contracts.vocabulary import IT_REGIONS, REGION_CHOICES, REGIONS
from brainfit.errors import ContractError
from brainfit.support.arguments import text
from brainfit.support.html import html_table
from brainfit.support.suggestions import unknown_name

_DIMS = (("image", "trial", "unit", "time_bin"), ("image", "unit", "time_bin"))
_COORDS = {
    "image": ("image_id", "object_name", "category_name", "variation"),
    "unit": ("unit_id", "region", "animal", "array"),
    "time_bin": ("time_bin_start", "time_bin_end"),
}


@dataclass(frozen=True)
class Recording:
    """Responses to images, and the images.

    Attributes
    ----------
    name
        How it is called in results.
    responses
        Float array with dims ``("image", "trial", "unit", "time_bin")``, or averaged over trials
        ``("image", "unit", "time_bin")``; NaN pads images that were shown on fewer trials.
        It may be backed lazily by a file or a simulation: select first, then ask for values.
        Coordinates: `image_id`, `object_name`, `category_name`, `variation` on image;
        `unit_id`, `region`, `animal`, `array` on unit; `time_bin_start`, `time_bin_end` on
        time_bin, in ms from image onset.
    stimuli
        The images shown, dims ``("image", "height", "width", "channel")``, uint8 in [0, 255] or
        float in [0, 1]; one for each image of `responses`, in the same order; may be lazy.
    simulated
        True where nothing was recorded; every report then says so.
    provenance
        Where it came from: version, seed, checksum, what was dropped and why.
    """

    name: str
    responses: xr.DataArray
    stimuli: xr.DataArray
    simulated: bool = False
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        responses, sizes = self.responses, self.responses.sizes
        start, end = responses["time_bin_start"].values[0], responses["time_bin_end"].values[-1]
        height, width = self.stimuli.sizes["height"], self.stimuli.sizes["width"]
        rows = [
            ["images", f"{sizes['image']:,}, {height} × {width} pixels"],
            ["objects", len(_counts(responses["object_name"]))],
            ["trials", f"up to {sizes['trial']}" if self.has_trials else "averaged"],
            ["units", f"{sizes['unit']:,}: {_listed(responses['region'])}"],
            ["animals", _listed(responses["animal"])],
            ["time bins", f"{sizes['time_bin']}, from {start:g} to {end:g} ms"],
        ]
        notes = ["Simulated recording"] if self.simulated else []
        return html_table(f"Recording {self.name}", rows, notes=notes)

    @property
    def n_images(self) -> int:
        """Number of images."""
        return self.responses.sizes["image"]

    @property
    def has_trials(self) -> bool:
        """Whether single trials are there, which a noise ceiling needs."""
        return "trial" in self.responses.dims

    def select_images(self, images: Any) -> Recording:
        """Keep the images at these positions (integers or a slice), in this order."""
        return replace(
            self,
            responses=self.responses.isel(image=images),
            stimuli=self.stimuli.isel(image=images),
        )

    def select_units(self, units: Any) -> Recording:
        """Keep the units at these positions (integers, booleans or a slice)."""
        return replace(self, responses=self.responses.isel(unit=units))

    def select_region(self, region: str) -> Recording:
        """Keep the units of one region; ``"IT"`` is pIT, cIT and aIT together.

        Raises
        ------
        UnknownNameError
            If there is no such region.
        ContractError
            If this recording has no unit in it.
        """
        if text("region", region) not in REGION_CHOICES:
            raise unknown_name("region", region, REGION_CHOICES)
        wanted = IT_REGIONS if region == "IT" else (region,)
        here = self.responses["region"].values.astype(str)
        units = np.flatnonzero(np.isin(here, wanted))
        if not units.size:
            counts = ", ".join(
                f"{name} {n}" for name, n in zip(*np.unique(here, return_counts=True), strict=True)
            )
            raise ContractError(
                f"recording {self.name!r} has no units in region {region!r}; it has {counts or 'none at all'}"
            )
        return self.select_units(units)


def check_recording(recording: Recording) -> None:
    """Raise unless `recording` has the form that the rest of brainfit relies on.

    Reads shapes, dims and coordinates, not the responses themselves, so it is cheap on any file.

    Raises
    ------
    ContractError
        Naming the first thing that is off, what was wanted, and what was got.
    """
    if not isinstance(recording, Recording):
        raise ContractError(f"wanted a brainfit.Recording, got {type(recording).__name__}")
    name, responses, stimuli = recording.name, recording.responses, recording.stimuli
    text("the name of a recording", name)
    for part, array in (("responses", responses), ("stimuli", stimuli)):
        if not isinstance(array, xr.DataArray):
            raise ContractError(
                f"recording {name!r}: {part} are {type(array).__name__}, wanted an xarray.DataArray"
            )
    if responses.dims not in _DIMS:
        raise ContractError(
            f"recording {name!r}: responses have dims {responses.dims}, wanted {_DIMS[0]} "
            f"or, averaged over trials, {_DIMS[1]}; transpose or rename them"
        )
    if responses.dtype.kind not in "fiu":
        raise ContractError(f"recording {name!r}: responses are {responses.dtype}, wanted numbers")
    for dim, size in responses.sizes.items():
        if size == 0:
            raise ContractError(
                f"recording {name!r}: responses have no {dim} at all (shape {responses.shape})"
            )
    for dim, coords in _COORDS.items():
        for coord in coords:
            if coord not in responses.coords or responses[coord].dims != (dim,):
                raise ContractError(
                    f"recording {name!r}: coordinate {coord!r} is missing on dim {dim!r}; "
                    f"wanted {', '.join(coords)}"
                )
    for coord in responses.coords.values():
        _check_labels(name, coord)
    _check_unique(name, responses["image_id"])
    _check_unique(name, responses["unit_id"])
    _check_bins(name, responses)
    strange = sorted(set(responses["region"].values.astype(str).tolist()) - set(REGIONS))
    if strange:
        raise ContractError(
            f"recording {name!r}: unknown region {', '.join(map(repr, strange))}; "
            f"a unit's region is one of {', '.join(REGIONS)}"
        )
    _check_stimuli(name, stimuli, responses)


def _counts(labels: xr.DataArray) -> Counter[str]:
    return Counter(labels.values.astype(str).tolist())


def _listed(labels: xr.DataArray) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in _counts(labels).items())


def _check_labels(name: str, coord: xr.DataArray) -> None:
    """Refuse labels that a score could not be written with, or printed."""
    if not str(coord.name).isidentifier() or coord.dtype.kind not in "biufUO" or coord.dtype.char in "eg":
        raise ContractError(
            f"recording {name!r}: coordinate {coord.name!r} is {coord.dtype}; wanted numbers or text, and a "
            "name of letters, digits and _; convert, rename or drop it"
        )
    if coord.dtype.kind in "UO":
        for label in np.unique(coord.values).tolist() if coord.dtype.kind == "U" else coord.values.flat:
            text(f"recording {name!r}: each {coord.name}", label)


def _check_unique(name: str, ids: xr.DataArray) -> None:
    values, counts = np.unique(ids.values.astype(str), return_counts=True)
    if (counts > 1).any():
        raise ContractError(
            f"recording {name!r}: {ids.name} must be unique, but {str(values[counts > 1][0])!r} occurs "
            f"{counts.max()} times; merge the repeats into trials"
        )


def _check_bins(name: str, responses: xr.DataArray) -> None:
    start = responses["time_bin_start"].values
    end = responses["time_bin_end"].values
    if not (
        np.isfinite(start).all()
        and np.isfinite(end).all()
        and (end > start).all()
        and (np.diff(start) > 0).all()
    ):
        raise ContractError(
            f"recording {name!r}: time bins must increase and end after they start, in ms; "
            f"got starts {start[:4]}… and ends {end[:4]}…"
        )


def _check_stimuli(name: str, stimuli: xr.DataArray, responses: xr.DataArray) -> None:
    wanted = ("image", "height", "width", "channel")
    if (
        stimuli.dims != wanted
        or stimuli.sizes["channel"] != 3
        or not 1 <= stimuli.sizes["height"] == stimuli.sizes["width"]
    ):
        raise ContractError(
            f"recording {name!r}: images have dims {stimuli.dims} and shape {stimuli.shape}; "
            f"wanted {wanted}, square, at least 1 pixel, 3 channels"
            + ("; channels come last: transpose to (0, 2, 3, 1)" if stimuli.shape[1:2] == (3,) else "")
        )
    if stimuli.sizes["image"] != responses.sizes["image"]:
        raise ContractError(
            f"recording {name!r}: {stimuli.sizes['image']} images but responses to "
            f"{responses.sizes['image']}; give one image for each row of responses, in order"
        )
    if not (stimuli.dtype == np.uint8 or (stimuli.dtype.kind == "f" and stimuli.dtype.isnative)):
        raise ContractError(
            f"recording {name!r}: images are {stimuli.dtype}; wanted uint8 in [0, 255], or float in [0, 1] "
            "in this machine's byte order"
        )
