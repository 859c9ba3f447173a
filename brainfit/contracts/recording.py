"""Neural recordings: responses of units to images in time bins, with the images themselves."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr

from brainfit.contracts.regions import REGIONS_ADVICE, check_own_regions
from brainfit.contracts.response_labels import text_labels, time_bins, units_by_region
from brainfit.contracts.vocabulary import IT_REGIONS, REGION_CHOICES, SPLITS
from brainfit.errors import ContractError
from brainfit.support.arguments import number, one_of, text, whole_number
from brainfit.support.html import html_table
from brainfit.support.messages import printable
from brainfit.support.suggestions import unknown_name

_DIMS = (("image", "trial", "unit", "time_bin"), ("image", "unit", "time_bin"))
_COORDS = {
    "image": ("image_id", "object_name", "category_name", "variation"),
    "unit": ("unit_id", "region", "animal", "array"),
    "time_bin": ("time_bin_start", "time_bin_end"),
}
_NAMES = ("image_id", "object_name", "category_name", "unit_id", "region", "animal", "array")
SPLIT_PARTS = ("train", "test")
"""Values of the coordinate `split`."""


@dataclass(frozen=True, repr=False)
class Recording:
    """Responses to images, and the images.

    Attributes
    ----------
    name
        Name of the recording in results.
    responses
        Float array with dims ``("image", "trial", "unit", "time_bin")``, or averaged over trials ``("image",
        "unit", "time_bin")``; NaN stands where there is no response, as for images that were shown on fewer
        trials. A file or a simulation may back it lazily: select first, then ask for values. Coordinates:
        `image_id`, `object_name`, `category_name`, `variation` on image, and `split` (``"train"`` or
        ``"test"``) where the split is prescribed; `unit_id`, `region`, `animal`, `array` on unit;
        `time_bin_start`, `time_bin_end` on time_bin, in ms from image onset. The region ``"IT"`` is for units
        that are not known to be in pIT, cIT or aIT.
    stimuli
        The images shown, dims ``("image", "height", "width", "channel")``, uint8 in [0, 255] or
        float in [0, 1]; one for each image of `responses`, in the same order; may be lazy.
    simulated
        True if nothing was recorded; every report then says so.
    provenance
        Origin of the recording: version, seed, checksum, what was dropped and why.
    response_window
        Start and end in ms of the bins that are pooled in a score; None for 70 ms to the last bin.
    on_ms, off_ms
        Duration in ms of an image and of the gray after it in the experiment; None if not known.
    own_regions
        Regions beyond the standard ones (V1, V2, V4, pIT, cIT, aIT, IT) that units of this recording may be
        in. No model commits to a layer for them, so a score names its layer.
    """

    name: str
    responses: xr.DataArray
    stimuli: xr.DataArray
    simulated: bool = False
    provenance: Mapping[str, Any] = field(default_factory=dict)
    response_window: tuple[float, float] | None = None
    on_ms: int | None = None
    off_ms: int | None = None
    own_regions: tuple[str, ...] = ()

    def __repr__(self) -> str:
        title, *lines = [
            f"Recording {printable(repr(self.name))}",
            *(f"  {k}: {v}" for k, v in self._facts()),
        ]
        return "\n".join([f"{title} (simulated recording)" if self.simulated else title, *lines])

    def _repr_html_(self) -> str:
        notes = ["Simulated recording"] if self.simulated else []
        return html_table(f"Recording {self.name}", self._facts(), notes=notes)

    def _facts(self) -> list[tuple[str, str]]:
        origin = [(printable(k), printable(v)) for k, v in self.provenance.items() if isinstance(v, str)]
        return [*recording_facts(self).items(), *origin]

    @property
    def n_images(self) -> int:
        """Number of images."""
        return self.responses.sizes["image"]

    @property
    def has_trials(self) -> bool:
        """True if the responses are those of single trials, which a noise ceiling needs."""
        return "trial" in self.responses.dims

    @property
    def regions(self) -> tuple[str, ...]:
        """Regions that have units, the standard ones first, from early to late."""
        there = set(text_labels(self.responses["region"]))
        return tuple(name for name in (*REGION_CHOICES, *self.own_regions) if name in there)

    def presented(
        self, *, on_ms: int | None = None, off_ms: int | None = None, split: str | None = None
    ) -> Recording:
        """Return the recording with another presentation or split than its own, which its provenance states.

        Parameters
        ----------
        on_ms, off_ms
            Duration in ms of an image and of the gray after it; one alone changes what the recording has.
        split
            ``"drawn"`` removes the prescribed split, so that test images are drawn; ``"recording"`` or None
            keeps it.

        Raises
        ------
        ContractError
            If a duration is no whole number, one is given alone where the recording has none, or there is no
            such split or none to keep.
        """
        asked = {"on_ms": on_ms, "off_ms": off_ms, "split": split}
        given = {key: value for key, value in asked.items() if value is not None}
        if not given:
            return self
        own = {"on_ms": self.on_ms, "off_ms": self.off_ms}
        replaced = {key: value for key, value in own.items() if key in given and value is not None}
        responses, stimuli = self.responses, self.stimuli
        if split is not None:
            one_of("split", split, SPLITS)
        if split == "recording" and "split" not in responses.coords:
            raise ContractError(
                f"recording {self.name!r} has no split of its own; leave the option split out"
            )
        if split == "drawn":
            responses, stimuli = (part.drop_vars("split", errors="ignore") for part in (responses, stimuli))
        changed = replace(
            self,
            responses=responses,
            stimuli=stimuli,
            on_ms=self.on_ms if on_ms is None else on_ms,
            off_ms=self.off_ms if off_ms is None else off_ms,
            provenance={**self.provenance, "as_given": given, "as_given_instead_of": replaced},
        )
        _check_times(changed)
        return changed

    def select_images(self, images: Any) -> Recording:
        """Return a recording of the images at these positions (integers or a slice), in this order."""
        return replace(
            self,
            responses=self.responses.isel(image=images),
            stimuli=self.stimuli.isel(image=images),
        )

    def select_units(self, units: Any) -> Recording:
        """Return a recording of the units at these positions (integers, booleans or a slice)."""
        return replace(self, responses=self.responses.isel(unit=units))

    def select_region(self, region: str) -> Recording:
        """Return a recording of the units of one region.

        ``"IT"`` holds pIT, cIT and aIT too.

        Raises
        ------
        UnknownNameError
            If there is no such region.
        ContractError
            If this recording has no unit in it.
        """
        known = (*REGION_CHOICES, *self.own_regions)
        if text("region", region) not in known:
            raise unknown_name("region", region, known)
        wanted = (*IT_REGIONS, "IT") if region == "IT" else (region,)
        units = np.flatnonzero(np.isin(self.responses["region"].values.astype(str), wanted))
        if not units.size:
            raise ContractError(
                f"recording {self.name!r} has no units in region {region!r}; "
                f"it has {units_by_region(self.responses)}"
            )
        return self.select_units(units)


def recording_facts(recording: Recording) -> dict[str, str]:
    """Describe a recording by its labels, without reading a response or a pixel.

    Returns
    -------
    dict
        A line of text by the name of the fact: ``images``, ``trials``, ``units`` and ``time bins``; where the
        recording has them also ``split``, ``presentation`` and ``response window``.

    Examples
    --------
    >>> from data_loaders.simulated.recording import simulated
    >>> for fact, line in recording_facts(simulated(n_images=64, n_trials=4)).items():
    ...     print(f"{fact}: {line}")
    images: 64 of 64 objects, 128 × 128 pixels, uint8
    trials: up to 4 per image
    units: V4 88 (Ada 44, Bo 44); pIT 76 (Ada 6, Bo 70); cIT 75 (Ada 58, Bo 17); aIT 17 (Ada 17)
    time bins: 25 from 0 to 250 ms, each 10 ms wide
    """
    responses, stimuli = recording.responses, recording.stimuli
    objects = len(np.unique(text_labels(responses["object_name"])))
    pixels = f"{stimuli.sizes['height']} × {stimuli.sizes['width']} pixels, {stimuli.dtype}"
    facts = {"images": f"{recording.n_images:,} of {objects} object{'s' * (objects != 1)}, {pixels}"}
    if "split" in responses.coords:
        counts = Counter(text_labels(responses["split"]))
        facts["split"] = ", ".join(f"{counts[part]:,} {part} images" for part in ("train", "test"))
    if recording.on_ms is not None:
        facts["presentation"] = f"image for {recording.on_ms} ms, then gray for {recording.off_ms} ms"
    n_trials = responses.sizes.get("trial")
    trials = "averaged" if n_trials is None else f"up to {n_trials:,} per image"
    facts["trials"] = f"{trials}, so there is no noise ceiling" if ceiling_obstacle(recording) else trials
    facts["units"] = units_by_region(responses)
    facts["time bins"] = time_bins(responses)
    if recording.response_window is not None:
        facts["response window"] = "{:g} to {:g} ms".format(*recording.response_window)
    return facts


def ceiling_obstacle(recording: Recording) -> str | None:
    """Return why a recording has no noise ceiling, and so no score; None if nothing stands in the way.

    Only its shape is known here: a recording with trials may still have too few images that repeat.
    """
    n_trials = recording.responses.sizes.get("trial", 0)
    if n_trials >= 2:
        return None
    return (
        f"recording {printable(repr(recording.name))} has {('no single trials', 'one trial')[n_trials]} "
        f"({', '.join(map(str, recording.responses.dims))}), but a noise ceiling needs at least 2 trials per "
        "image; give the responses of single trials (image, trial, unit, time_bin)"
    )


def unique_unit_ids(unit_id: np.ndarray, *groups: np.ndarray) -> tuple[np.ndarray, str | None]:
    """Return ids of units that are unique, and how they were made so (None if they were).

    Animals, and arrays in them, often number their units alike. As many of `groups` as needed are put
    before the ids; ids that still repeat are returned as they are, since these may be one unit twice.

    Parameters
    ----------
    unit_id
        One id per unit.
    *groups
        Labels of animals, then of arrays, one per unit.

    Examples
    --------
    >>> unique_unit_ids(np.array([0, 1, 0]), np.array(["a", "a", "b"]))
    (array(['a_0', 'a_1', 'b_0'], dtype='<U3'), "made unique with the animal's name")
    """
    names = unit_id.astype(str)
    if len(set(names.tolist())) == len(names):
        return unit_id, None
    for n, how in enumerate(("the animal's name", "the names of animal and array")[: len(groups)], 1):
        parts = zip(*(group.astype(str).tolist() for group in groups[:n]), names.tolist(), strict=True)
        longer = np.array(["_".join(part) for part in parts])
        if len(set(longer.tolist())) == len(longer):
            return longer, f"made unique with {how}"
    return unit_id, None


def check_recording(recording: Recording) -> None:
    """Raise unless `recording` has the form that the rest of brainfit relies on.

    Reads shapes, dims and coordinates, but no responses or pixels, so it is cheap on any file.

    Raises
    ------
    ContractError
        Naming the first fault: what was wanted, and what was got.
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
    _check_unique(name, responses["image_id"], "give every image one id, and its repeats as trials")
    _check_unique(
        name,
        responses["unit_id"],
        "give every unit an id of its own, such as the animal's name and a number",
    )
    _check_regions(recording)
    if "split" in responses.coords:
        if responses["split"].dims != ("image",):
            raise ContractError(
                f"recording {name!r}: coordinate 'split' is not on dim 'image'; move it there"
            )
        _check_choice(name, responses["split"], SPLIT_PARTS)
    _check_bins(name, responses)
    _check_times(recording)
    _check_stimuli(name, stimuli, responses)


def _check_labels(name: str, coord: xr.DataArray) -> None:
    """Refuse labels that cannot be printed or written with a score."""
    if not str(coord.name).isidentifier() or coord.dtype.kind not in "biufUO" or coord.dtype.char in "eg":
        raise ContractError(
            f"recording {name!r}: coordinate {coord.name!r} is {coord.dtype}; wanted numbers or text, and a "
            "name of letters, digits and _; convert, rename or drop it"
        )
    if coord.name in _NAMES and coord.dtype.kind == "f" and np.isnan(coord.values).any():
        n = int(np.isnan(coord.values).sum())
        raise ContractError(f"recording {name!r}: {coord.name} is NaN for {n} of {coord.size}; name each")
    if coord.dtype.kind in "UO":
        for label in np.unique(coord.values).tolist() if coord.dtype.kind == "U" else coord.values.flat:
            text(f"recording {name!r}: each {coord.name}", label)


def _check_unique(name: str, ids: xr.DataArray, advice: str) -> None:
    values, counts = np.unique(ids.values.astype(str), return_counts=True)
    if (counts > 1).any():
        raise ContractError(
            f"recording {name!r}: {ids.name} must be unique, but {str(values[counts > 1][0])!r} occurs "
            f"{counts.max()} times; {advice}"
        )


def _check_choice(name: str, labels: xr.DataArray, allowed: tuple[str, ...]) -> None:
    if strange := sorted(set(labels.values.astype(str).tolist()) - set(allowed)):
        raise ContractError(
            f"recording {name!r}: unknown {labels.name} {printable(', '.join(map(repr, strange)))}; "
            f"wanted {', '.join(allowed)}"
        )


def _check_regions(recording: Recording) -> None:
    own = recording.own_regions
    if not isinstance(own, tuple) or not all(isinstance(region, str) for region in own):
        raise ContractError(
            f"recording {recording.name!r}: own_regions is {own!r}; wanted a tuple of names of regions"
        )
    check_own_regions(own)
    labels = set(text_labels(recording.responses["region"]))
    if strange := sorted(labels - {*REGION_CHOICES, *own}):
        raise ContractError(
            f"recording {recording.name!r}: unknown region {printable(', '.join(map(repr, strange)))}; "
            f"wanted {', '.join(REGION_CHOICES)}; or {REGIONS_ADVICE}"
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


def _check_times(recording: Recording) -> None:
    window, name = recording.response_window, f"recording {recording.name!r}"
    if window is not None:
        if not isinstance(window, tuple) or len(window) != 2:
            raise ContractError(f"{name}: response_window is {window!r}; wanted (start, end) in ms")
        start, end = (number(f"{name}: response_window", edge, -math.inf, math.inf) for edge in window)
        if not (math.isfinite(start) and math.isfinite(end) and start < end):
            raise ContractError(f"{name}: response_window {window!r} must end after it starts, in ms")
    if (recording.on_ms is None) != (recording.off_ms is None):
        raise ContractError(f"{name}: on_ms and off_ms are needed together; give both, or neither")
    if recording.on_ms is not None:
        whole_number(f"{name}: on_ms", recording.on_ms, least=1)
        whole_number(f"{name}: off_ms", recording.off_ms)


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
