"""What is true of the simulated recording: mean responses, and the ceilings that estimates must approach."""

from __future__ import annotations

import numpy as np
import xarray as xr

from brainfit.contracts.recording import Recording
from brainfit.errors import ContractError

from .recording import GAIN_CV, mean_response, respond
from .render import SIZE
from .units import BIN_MS, drives_from_gray, unit_table


def mean_responses(recording: Recording) -> xr.DataArray:
    """Return the mean over infinitely many trials of what `recording` holds.

    Parameters
    ----------
    recording
        The simulated recording or any selection of its images, units and bins.

    Returns
    -------
    xarray.DataArray
        Dims ``("image", "unit", "time_bin")``, float64, the coordinates of the recording; 1 is the
        mean response to a blank image, and every value before a unit's latency is exactly that.

    Raises
    ------
    ContractError
        If the recording is not a simulated one.
    """
    responses, seed = recording.responses, _seed(recording)
    positions = [int(str(name).rsplit("_", 1)[1]) for name in responses["image_id"].values]
    chosen = np.ix_(_units(recording), (responses["time_bin_start"].values // BIN_MS).astype(int))
    values = np.stack([mean_response(seed, i)[chosen] for i in positions])
    coords = {name: c for name, c in responses.coords.items() if "trial" not in c.dims}
    return xr.DataArray(values, dims=("image", "unit", "time_bin"), coords=coords)


def true_ceiling(recording: Recording) -> xr.DataArray:
    """Return the Pearson correlation over images between the mean and an average of the trials.

    With S the variance over images of the mean m, b the blank response in counts and n the trials,
    ``sqrt(S / (S + N / n))``, where ``N = mean over images of (m / b + cv^2 m^2)`` is the variance of
    a trial: Poisson, and the trial gain of coefficient of variation cv.

    Returns
    -------
    xarray.DataArray
        Dims ``("unit", "time_bin")``, in [0, 1]; NaN where the mean is the same for all images.

    Raises
    ------
    ContractError
        If the recording is not a simulated one.
    """
    mean = mean_responses(recording)
    return _ceiling(recording, mean, ("image",))


def true_pooled_ceiling(recording: Recording) -> xr.DataArray:
    """Return `true_ceiling` over images and time bins together: dims ``("unit",)``."""
    mean = mean_responses(recording)
    return _ceiling(recording, mean, ("image", "time_bin"))


def mean_from_pixels(images: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the mean responses of all units to any images: the model that generated the recording.

    Parameters
    ----------
    images
        uint8, shape (image, 128, 128) or, with equal channels, (image, 128, 128, 3).
    seed
        Of the recording.

    Returns
    -------
    numpy.ndarray
        Shape (image, 256, 25), float64, 1 being the mean response to a blank image.

    Raises
    ------
    ContractError
        If the images have another form.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.shape[1:] not in ((SIZE, SIZE), (SIZE, SIZE, 3)):
        raise ContractError(
            f"images must be uint8 of shape (image, {SIZE}, {SIZE}) or (image, {SIZE}, {SIZE}, 3), "
            f"got {images.dtype} of shape {images.shape}"
        )
    if images.ndim == 4:
        if (images != images[..., :1]).any():
            raise ContractError("the simulated units see gray images only: the three channels must be equal")
        images = images[..., 0]
    return np.stack([respond(drives_from_gray(gray, seed), seed) for gray in images])


def _ceiling(recording: Recording, mean: xr.DataArray, over: tuple[str, ...]) -> xr.DataArray:
    blank = xr.DataArray(unit_table(_seed(recording)).blank[_units(recording)], dims="unit")
    n_trials = recording.responses.sizes.get("trial", recording.provenance["n_trials"])
    signal = mean.var(over, ddof=1)
    noise = (mean / blank + GAIN_CV**2 * mean**2).mean(over) / n_trials
    return ((signal / (signal + noise)) ** 0.5).where(signal > 0)


def _seed(recording: Recording) -> int:
    if not recording.simulated or recording.provenance.get("source") != "simulated":
        raise ContractError(f"recording {recording.name!r} is not the simulated one: its truth is not known")
    return recording.provenance["seed"]


def _units(recording: Recording) -> np.ndarray:
    number = {name: u for u, name in enumerate(unit_table(_seed(recording)).unit_id)}
    return np.array([number[name] for name in recording.responses["unit_id"].values.astype(str)])
