"""State what is true of the simulated recording: mean responses, and what the best possible scores are."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import xarray as xr

from brainfit.contracts.recording import Recording
from brainfit.errors import ContractError

from . import version1
from .recording import VERSIONS
from .render import SIZE
from .units import BIN_MS, unit_labels

_ROUNDING = 1e-20  # variance of means, which are around 1, below which they are the same


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
    responses, (version, seed) = recording.responses, _origin(recording)
    bins = (responses["time_bin_start"].values // BIN_MS).astype(int)
    chosen = np.ix_(_units(recording), bins)
    values = np.stack([version.mean_response(seed, i)[chosen] for i in _positions(recording)])
    coords = {name: c for name, c in responses.coords.items() if "trial" not in c.dims}
    return xr.DataArray(values, dims=("image", "unit", "time_bin"), coords=coords)


def true_ceiling(recording: Recording) -> xr.DataArray:
    """Return the Pearson correlation over images between the mean and an average of the trials.

    With m the mean of an image, b the blank response in counts, n the image's trials, v the variance of the
    part of the gain that differs between images, and D the mean over these trials of the drift,

        ``cov(m, D m) / sqrt(var(m) (var(D m) + mean over images of (D m / b + v mean(drift^2) m^2) / n))``

    is the correlation in the limit of many images: counts are Poisson given the gain. In the first version
    D is 1, and so the square root of the reliability.

    Parameters
    ----------
    recording
        The simulated recording or any selection of it.

    Returns
    -------
    xarray.DataArray
        Dims ``("unit", "time_bin")``, in [0, 1]; NaN where the mean is the same for all images.

    Raises
    ------
    ContractError
        If the recording is not a simulated one.
    """
    return _ceiling(recording, mean_responses(recording), ("image",))


def true_pooled_ceiling(recording: Recording) -> xr.DataArray:
    """Return `true_ceiling` over images and time bins together: dims ``("unit",)``."""
    return _ceiling(recording, mean_responses(recording), ("image", "time_bin"))


def true_image_driven_ceiling(recording: Recording) -> xr.DataArray:
    """Return `true_pooled_ceiling` once each bin's mean over images is taken off: dims ``("unit",)``."""
    mean = mean_responses(recording)
    return _ceiling(recording, mean, ("image", "time_bin"), centre=mean.mean("image"))


def image_driven_share(recording: Recording) -> xr.DataArray:
    """Return the share of the mean's variance over images and bins that the mean time course leaves.

    Dims ``("unit",)``, in [0, 1]; NaN for a unit whose mean is constant. The rest is what a predictor that
    never sees an image can explain.
    """
    mean = mean_responses(recording)
    total = mean.var(("image", "time_bin"))
    return (mean.var("image").mean("time_bin") / total).where(total > 0)


def mean_from_pixels(images: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the mean responses of ``simulated-v1`` to any images: the model that generated it.

    (The second version depends on what an image shows as well, which its pixels alone do not say.)

    Parameters
    ----------
    images
        uint8, shape (image, 128, 128) or, with equal channels, (image, 128, 128, 3).
    seed
        Seed of the recording.

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
    return np.stack([version1.mean_from_gray(gray, seed) for gray in images])


def _ceiling(
    recording: Recording, mean: xr.DataArray, over: tuple[str, ...], centre: xr.DataArray | float = 0.0
) -> xr.DataArray:
    version, seed = _origin(recording)
    units = _units(recording)
    n_trials = recording.responses.sizes.get("trial", recording.provenance["n_trials"])
    shown = np.stack([version.shown(seed, i, n_trials) for i in _positions(recording)])
    drift = version.known_gain(seed, n_trials)[units]

    def over_trials(values: np.ndarray) -> xr.DataArray:
        """Return the mean over each image's trials: dims (image, unit)."""
        return xr.DataArray(shown @ values.T / shown.sum(1, keepdims=True), dims=("image", "unit"))

    blank = xr.DataArray(version.blank(seed)[units], dims="unit")
    variance = xr.DataArray(version.gain_variance(seed)[units], dims="unit")
    n = xr.DataArray(shown.sum(1), dims="image")
    expected = over_trials(drift) * mean
    noise = ((expected / blank + variance * over_trials(drift**2) * mean**2) / n).mean(over)
    signal = mean - centre
    average = expected - (expected.mean("image") if isinstance(centre, xr.DataArray) else 0.0)
    cov = ((signal - signal.mean(over)) * (average - average.mean(over))).mean(over)
    total = signal.var(over) * (average.var(over) + noise)
    return (cov / np.sqrt(total.where(signal.var(over) > _ROUNDING))).clip(0, 1)


def _origin(recording: Recording) -> tuple[ModuleType, int]:
    """Return the version of a simulated recording and its seed."""
    facts = recording.provenance
    if not recording.simulated or facts.get("source") != "simulated":
        raise ContractError(f"recording {recording.name!r} is not a simulated one: its truth is not known")
    return VERSIONS[facts["version"]], facts["seed"]


def _positions(recording: Recording) -> list[int]:
    return [int(str(name).rsplit("_", 1)[1]) for name in recording.responses["image_id"].values]


def _units(recording: Recording) -> np.ndarray:
    number = {name: u for u, name in enumerate(unit_labels().unit_id)}
    return np.array([number[name] for name in recording.responses["unit_id"].values.astype(str)])
