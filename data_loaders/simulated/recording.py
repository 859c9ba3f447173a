"""Assemble the simulated recordings: rendered images and noisy counts, made only where they are read."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import xarray as xr

from brainfit.contracts.recording import Recording, check_recording
from brainfit.errors import ContractError
from brainfit.support.lazy_arrays import lazy_variable

from . import version1, version2
from .objects import N_OBJECTS, object_names
from .render import SIZE, variation
from .streams import Stream, poisson, uniforms
from .units import BIN_MS, BIN_STARTS, unit_labels

CATALOGUE_SIZE = 5120
VERSIONS: dict[str, ModuleType] = {"1": version1, "2": version2}
"""For each version its images, mean responses and gains, as functions of the same names."""


def simulated(n_images: int = 640, n_trials: int = 50, seed: int = 0) -> Recording:
    """Return a recording that was computed, not recorded, and whose truth is known (see `truth`).

    Images are 64 objects in 8 categories over 1/f noise, at medium (3) and high (6) variation of place,
    size and turn, partly hidden by another object in one of three (`render`). 256 units in V4 (88), pIT
    (76), cIT (75) and aIT (17) of two animals respond through a stated model (`version2`) in 25 bins of
    10 ms from image onset; a response is a count divided by the unit's mean count on a blank image.

    Parameters
    ----------
    n_images
        Number of images, the first of a fixed catalogue of 5120 in which the objects take turns; asking
        for more images or trials never changes those that came before.
    n_trials
        Number of blocks of the session. Each image is shown in five of them or more; its responses in the
        others are NaN.
    seed
        Seed of everything: objects, images, units and noise. Not negative.

    Returns
    -------
    Recording
        Images (128, 128, 3) uint8; responses float32, not negative, 1 being the mean response to a
        blank image. Values are computed when they are read, and only those.

    Raises
    ------
    ContractError
        If a number is out of its range.

    References
    ----------
    .. [1] Majaj, Hong, Solomon & DiCarlo (2015), J. Neurosci. 35:13402, for the experiment it imitates.
       doi:10.1523/JNEUROSCI.5181-14.2015
    .. [2] Goris, Movshon & Simoncelli (2014), Nat. Neurosci. 17:858, for gains that vary between trials.
       doi:10.1038/nn.3711

    Examples
    --------
    >>> recording = simulated(n_images=64, n_trials=8).select_region("pIT")
    >>> dict(recording.responses.sizes)
    {'image': 64, 'trial': 8, 'unit': 76, 'time_bin': 25}
    """
    return _simulated("2", "simulated", n_images, n_trials, seed)


def simulated_v1(n_images: int = 640, n_trials: int = 50, seed: int = 0) -> Recording:
    """Return the first version of `simulated` (`version1`), so that its scores can be reproduced.

    Parameters, form and errors are those of `simulated`; all images are shown on all trials, and none of the
    objects is hidden.
    """
    return _simulated("1", "simulated-v1", n_images, n_trials, seed)


def _simulated(version: str, name: str, n_images: int, n_trials: int, seed: int) -> Recording:
    n_images = _whole("n_images", n_images, 1, CATALOGUE_SIZE)
    n_trials = _whole("n_trials", n_trials, 1, 100_000)
    seed = _whole("seed", seed, 0, 2**63 - 1)

    positions = np.arange(n_images)
    names, categories = np.array(object_names())[positions % N_OBJECTS].T
    variations = np.array([variation(i) for i in range(n_images)])
    image = {
        "image_id": [f"{name}_v{v}_{i:04d}" for i, name, v in zip(positions, names, variations, strict=True)],
        "object_name": names,
        "category_name": categories,
        "variation": variations,
    }
    units = unit_labels()
    unit = {"unit_id": units.unit_id, "region": units.region, "animal": units.animal, "array": units.array}
    time_bin = {"time_bin_start": BIN_STARTS.astype(float), "time_bin_end": BIN_STARTS + float(BIN_MS)}

    def coords(**by_dim: dict) -> dict:
        return {name: (dim, values) for dim, of_dim in by_dim.items() for name, values in of_dim.items()}

    responses = lazy_variable(
        ("image", "trial", "unit", "time_bin"),
        (n_images, n_trials, units.unit_id.size, BIN_STARTS.size),
        np.float32,
        lambda *positions: _responses(VERSIONS[version], seed, *positions),
    )
    responses.attrs["units"] = "mean response to a blank image"
    stimuli = lazy_variable(
        ("image", "height", "width", "channel"),
        (n_images, SIZE, SIZE, 3),
        np.uint8,
        lambda *positions: _stimuli(VERSIONS[version], seed, *positions),
    )
    recording = Recording(
        name=name,
        responses=xr.DataArray(responses, coords=coords(image=image, unit=unit, time_bin=time_bin)),
        stimuli=xr.DataArray(stimuli, coords=coords(image=image)),
        simulated=True,
        provenance={
            "source": "simulated",
            "generator": f"brainfit simulated recording, version {version}",
            "seed": seed,
            "n_images": n_images,
            "n_trials": n_trials,
            "version": version,
            "model": VERSIONS[version].DESCRIPTION,
        },
    )
    check_recording(recording)
    return recording


def _responses(
    version: ModuleType,
    seed: int,
    images: np.ndarray,
    trials: np.ndarray,
    units: np.ndarray,
    bins: np.ndarray,
) -> np.ndarray:
    blank = version.blank(seed)[units, None]
    n_trials, n_bins = trials.max(initial=-1) + 1, BIN_STARTS.size
    values = np.full((images.size, trials.size, units.size, bins.size), np.nan, np.float32)
    for row, image in enumerate(images):
        seen = np.flatnonzero(version.shown(seed, int(image), n_trials)[trials])
        chosen = np.ix_(trials[seen], bins)
        mean = blank * version.mean_response(seed, int(image))[np.ix_(units, bins)]
        gain = version.trial_gain(seed, int(image), n_trials)[np.ix_(units, trials[seen])]
        draws = np.empty((units.size, seen.size, bins.size))
        for k, unit in enumerate(units):
            of_unit = uniforms(seed, Stream.COUNT, image, unit, n_trials * n_bins)
            draws[k] = of_unit.reshape(n_trials, n_bins)[chosen]
        counts = poisson(draws, gain[:, :, None] * mean[:, None])
        values[row, seen] = (counts / blank[:, None]).transpose(1, 0, 2)
    return values


def _stimuli(
    version: ModuleType,
    seed: int,
    images: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    channels: np.ndarray,
) -> np.ndarray:
    values = np.empty((images.size, rows.size, columns.size, channels.size), np.uint8)
    for row, image in enumerate(images):
        values[row] = version.image(seed, int(image))[np.ix_(rows, columns)][:, :, None]
    return values


def _whole(name: str, value: int, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise ContractError(
            f"{name} of the simulated recording is a whole number from {low} to {high}, got {value!r}"
        )
    return int(value)
