"""Compute the first version of the simulated recording, ``simulated-v1``.

With z_1 and z_2 of `units`, s(z) = log(1 + exp q), q = z / sqrt(1 + (z / 1.5)^2), and a gain g_u, log-normal
around 1.1, the drives are

    ``d1 = 7 g_u s(z_1) / (4 + s(z_1))``                       feedforward, saturating
    ``d2 = 5 g_u s(z_2) / (2 + s(z_2) + 2 mean over the region's units of s(z_2))``  competition

and the mean response, in units of the mean response to a blank image,

    ``mean(i, u, t) = 1 + transient(t - latency_u) d1(i, u) + late(t - latency_u) d2(i, u)``,
    ``transient(s) = (s / 20 ms) exp(1 - s / 20 ms)``,
    ``late(s) = 1 - exp(-(s - 25 ms) / 30 ms)``, times ``exp(-(s - 105 ms) / 35 ms)`` once s > 105 ms,

each 0 before its start and averaged over the bin. Latencies are uniform within 6 ms of 58 (V4), 68 (pIT),
78 (cIT) and 88 ms (aIT): before 52 ms no unit knows the image. On trial k of image i, a count is Poisson
with mean gain x blank x mean; the gain is log-normal with mean 1 and coefficient of variation 0.2, drawn
for every image, trial and electrode array, and shared by the units of that array.

It is kept so that scores can be reproduced. Its faults as a stand-in for a recording: every unit's
image x time matrix has rank 2, tuning early and late is nearly uncorrelated, noise correlations are high,
and the mean time course holds four fifths of the variance. `version2` mends them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .render import render_image
from .streams import Stream, normals, uniforms
from .units import BIN_MS, BIN_STARTS, REGIONS, mean_and_sd, projections, unit_labels

GAIN_CV = 0.2
DESCRIPTION = "V1 energies > V4, IT second-order filters > transient and late > Poisson, trial gain"
_LATENCY = {"V4": 58.0, "pIT": 68.0, "cIT": 78.0, "aIT": 88.0}
_GAIN, _GAIN_SPREAD = 1.1, 0.7
_SQUASH = 1.5  # keeps responses over images as mildly skewed as those of multi-unit sites are


class Parameters(NamedTuple):
    """Blank response in counts a bin, gain and latency in ms, one entry a unit."""

    blank: np.ndarray
    gain: np.ndarray
    latency: np.ndarray


def image(seed: int, position: int) -> np.ndarray:
    """Return image `position`: gray, uint8, shape (128, 128)."""
    return render_image(seed, position)


def blank(seed: int) -> np.ndarray:
    """Return the mean count in a bin on a blank image, shape (unit,)."""
    return parameters(seed).blank


@lru_cache(maxsize=4)
def parameters(seed: int) -> Parameters:
    """Return the units' parameters; blank responses are log-normal around 0.9 counts in 10 ms."""
    region = unit_labels().region
    z = normals(seed, Stream.UNIT, 0, 0, 3 * region.size).reshape(3, -1)
    jitter = 12 * uniforms(seed, Stream.UNIT, 0, 1, region.size) - 6
    latency = np.array([_LATENCY[r] for r in region]) + jitter
    return Parameters(0.9 * np.exp(0.4 * z[0]), _GAIN * np.exp(_GAIN_SPREAD * z[1]), latency)


@lru_cache(maxsize=4)
def kernels(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the transient and the late time course, each (unit, time_bin)."""
    ms = BIN_STARTS[:, None] + np.arange(BIN_MS) + 0.5
    since = ms - parameters(seed).latency[:, None, None]
    transient = np.where(since > 0, since / 20 * np.exp(1 - since / 20), 0)
    late = np.where(since > 25, 1 - np.exp(-np.maximum(since - 25, 0) / 30), 0)
    late *= np.exp(-np.maximum(since - 105, 0) / 35)
    return transient.mean(-1), late.mean(-1)


@lru_cache(maxsize=4)
def _standard(seed: int) -> tuple[np.ndarray, np.ndarray]:
    return mean_and_sd(lambda position: projections(render_image(seed, position), seed))


def mean_from_gray(gray: np.ndarray, seed: int) -> np.ndarray:
    """Return the mean response of all units to one gray uint8 image (128, 128): (unit, time_bin)."""
    mean, sd = _standard(seed)
    z = (projections(gray, seed) - mean) / sd
    soft = np.logaddexp(0, z / np.sqrt(1 + (z / _SQUASH) ** 2))
    competition = np.empty_like(soft[1])
    for region in REGIONS:
        inside = unit_labels().region == region
        late = soft[1, inside]
        competition[inside] = 5 * late / (2 + late + 2 * late.mean())
    drives = parameters(seed).gain * np.stack([7 * soft[0] / (4 + soft[0]), competition])
    by_time = kernels(seed)
    return 1 + drives[0][:, None] * by_time[0] + drives[1][:, None] * by_time[1]


@lru_cache(maxsize=512)  # 50 kB an image
def mean_response(seed: int, position: int) -> np.ndarray:
    """Return the mean response of all units to image `position`, blank = 1: (unit, time_bin), read-only."""
    values = mean_from_gray(render_image(seed, position), seed)
    values.flags.writeable = False
    return values


def trial_gain(seed: int, position: int, n_trials: int) -> np.ndarray:
    """Return the gain of each unit on each trial of image `position`, shape (unit, trial); mean 1."""
    group = unit_labels().group
    spread = np.sqrt(np.log1p(GAIN_CV**2))
    z = np.stack([normals(seed, Stream.TRIAL_GAIN, position, g, n_trials) for g in range(group.max() + 1)])
    return np.exp(spread * z - spread**2 / 2)[group]


def shown(seed: int, position: int, n_trials: int) -> np.ndarray:
    """Return in which of the trials image `position` was shown, shape (trial,): all."""
    return np.ones(n_trials, bool)


def known_gain(seed: int, n_trials: int) -> np.ndarray:
    """Return the part of the gain that all images share on a trial, shape (unit, trial): 1."""
    return np.ones((unit_labels().group.size, n_trials))


def gain_variance(seed: int) -> np.ndarray:
    """Return the variance of the part of the gain that differs between images, shape (unit,)."""
    return np.full(unit_labels().group.size, GAIN_CV**2)
