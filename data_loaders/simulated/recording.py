"""The simulated recording itself: rendered images and noisy counts, made only where they are asked for."""

from __future__ import annotations

import numpy as np
import xarray as xr

from brainfit.contracts.recording import Recording, check_recording
from brainfit.errors import ContractError
from brainfit.support.lazy_arrays import lazy_variable

from .objects import N_OBJECTS, object_names
from .render import SIZE, render_image, variation
from .streams import Stream, normals, poisson, uniforms
from .units import BIN_MS, BIN_STARTS, drives, kernels, unit_table

CATALOGUE_SIZE = 5120
GAIN_CV = 0.2
VERSION = "1"


def simulated(n_images: int = 640, n_trials: int = 50, seed: int = 0) -> Recording:
    """Return a recording that was computed, not recorded, and whose truth is known (see `truth`).

    Images are 64 objects in 8 categories over 1/f noise, at medium (3) and high (6) variation of place,
    size and turn (`render`). 256 units in V4 (88), pIT (76), cIT (75) and aIT (17) of two animals
    respond through a stated model of the image (`features`, `units`). On trial k of image i, with
    mean response m and blank response b of a unit,

        ``count ~ Poisson(gain * b * m)``, ``response = count / b``,

    in 25 bins of 10 ms from image onset. The gain is log-normal with mean 1 and coefficient of variation
    0.2, drawn anew for every image, trial and electrode array, and shared by the units of that array.

    Parameters
    ----------
    n_images
        The first so many of a fixed catalogue of 5120, in which the objects take turns; asking for
        more images or trials never changes those that came before.
    n_trials
        Trials of each image.
    seed
        Of everything: objects, images, units and noise. Not negative.

    Returns
    -------
    Recording
        Images (128, 128, 3) uint8; responses float32, not negative, 1 being the mean response to a
        blank image. Nothing is computed yet: values are, when they are read, and only those.

    Raises
    ------
    ContractError
        If a number is out of its range.

    References
    ----------
    .. [1] Majaj, Hong, Solomon & DiCarlo (2015), J. Neurosci. 35:13402, for the experiment it imitates.
       doi:10.1523/JNEUROSCI.5181-14.2015
    .. [2] Goris, Movshon & Simoncelli (2014), Nat. Neurosci. 17:858, for the trial gain. doi:10.1038/nn.3711

    Examples
    --------
    >>> recording = simulated(n_images=64, n_trials=4).select_region("pIT")
    >>> dict(recording.responses.sizes)
    {'image': 64, 'trial': 4, 'unit': 76, 'time_bin': 25}
    """
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
    units = unit_table(seed)
    unit = {"unit_id": units.unit_id, "region": units.region, "animal": units.animal, "array": units.array}
    time_bin = {"time_bin_start": BIN_STARTS.astype(float), "time_bin_end": BIN_STARTS + float(BIN_MS)}

    def coords(**by_dim: dict) -> dict:
        return {name: (dim, values) for dim, of_dim in by_dim.items() for name, values in of_dim.items()}

    responses = lazy_variable(
        ("image", "trial", "unit", "time_bin"),
        (n_images, n_trials, units.unit_id.size, BIN_STARTS.size),
        np.float32,
        lambda *positions: _responses(seed, *positions),
    )
    responses.attrs["units"] = "mean response to a blank image"
    stimuli = lazy_variable(
        ("image", "height", "width", "channel"),
        (n_images, SIZE, SIZE, 3),
        np.uint8,
        lambda *positions: _stimuli(seed, *positions),
    )
    recording = Recording(
        name="simulated",
        responses=xr.DataArray(responses, coords=coords(image=image, unit=unit, time_bin=time_bin)),
        stimuli=xr.DataArray(stimuli, coords=coords(image=image)),
        simulated=True,
        provenance={
            "source": "simulated",
            "generator": f"brainfit simulated recording, version {VERSION}",
            "seed": seed,
            "n_images": n_images,
            "n_trials": n_trials,
            "model": "V1 energies > V4, IT second-order filters > transient and late > Poisson, trial gain",
            "gain_cv": GAIN_CV,
        },
    )
    check_recording(recording)
    return recording


def mean_response(seed: int, position: int) -> np.ndarray:
    """Return the mean response of all units to image `position`, blank = 1: (unit, time_bin)."""
    return respond(drives(seed, position), seed)


def respond(drive: np.ndarray, seed: int) -> np.ndarray:
    """Return the mean response over time to the two drives: (2, unit) -> (unit, time_bin)."""
    transient, late = kernels(seed)
    return 1 + drive[0][:, None] * transient + drive[1][:, None] * late


def _responses(
    seed: int, images: np.ndarray, trials: np.ndarray, units: np.ndarray, bins: np.ndarray
) -> np.ndarray:
    table = unit_table(seed)
    blank, group = table.blank[units, None], table.group[units]
    n_trials, n_bins = trials.max(initial=-1) + 1, BIN_STARTS.size
    spread = np.sqrt(np.log1p(GAIN_CV**2))
    chosen = np.ix_(trials, bins)
    values = np.empty((images.size, trials.size, units.size, bins.size), np.float32)
    draws = np.empty((units.size, trials.size, bins.size))
    for row, image in enumerate(images):
        mean = blank * mean_response(seed, int(image))[np.ix_(units, bins)]
        z = np.stack(
            [normals(seed, Stream.TRIAL_GAIN, image, g, n_trials) for g in range(group.max(initial=0) + 1)]
        )
        gain = np.exp(spread * z - spread**2 / 2)[np.ix_(group, trials)]
        for k, unit in enumerate(units):
            draws[k] = uniforms(seed, Stream.COUNT, image, unit, n_trials * n_bins).reshape(n_trials, n_bins)[
                chosen
            ]
        counts = poisson(draws, gain[:, :, None] * mean[:, None])
        values[row] = (counts / blank[:, None]).transpose(1, 0, 2)
    return values


def _stimuli(
    seed: int, images: np.ndarray, rows: np.ndarray, columns: np.ndarray, channels: np.ndarray
) -> np.ndarray:
    values = np.empty((images.size, rows.size, columns.size, channels.size), np.uint8)
    for row, image in enumerate(images):
        values[row] = render_image(seed, int(image))[np.ix_(rows, columns)][:, :, None]
    return values


def _whole(name: str, value: int, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise ContractError(
            f"{name} of the simulated recording is a whole number from {low} to {high}, got {value!r}"
        )
    return int(value)
