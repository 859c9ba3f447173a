"""The 256 units: where they are, what they read, how strongly and when they respond.

With M the maps of `features` (V4-like for V4, IT-like for pIT, cIT and aIT), rf_u a Gaussian of sum 1
(sd 1.5 of 16 points in V4; 1.3, 2 and 3 of 8 in pIT, cIT, aIT) and two random sparse sets of weights,
8 channels each and none in both,

    ``z_n(i, u) = sum_c w_nuc sum_x rf_u(x) M_c(i, x)``,  n = 1, 2,

standardised by mean and sd over the first 64 images of the catalogue, one of each object. With
s(z) = log(1 + exp q), q = z / sqrt(1 + (z / 1.5)^2), and a gain g_u, log-normal around 1.1, the drives are

    ``d1 = 7 g_u s(z_1) / (4 + s(z_1))``                       feedforward, saturating
    ``d2 = 5 g_u s(z_2) / (2 + s(z_2) + 2 mean over the region's units of s(z_2))``  competition

and the mean response, in units of the mean response to a blank image,

    ``mean(i, u, t) = 1 + transient(t - latency_u) d1(i, u) + late(t - latency_u) d2(i, u)``,
    ``transient(s) = (s / 20 ms) exp(1 - s / 20 ms)``,
    ``late(s) = 1 - exp(-(s - 25 ms) / 30 ms)``, times ``exp(-(s - 105 ms) / 35 ms)`` once s > 105 ms,

each 0 before its start and averaged over the bin. Latencies are uniform within 6 ms of 58 (V4), 68 (pIT),
78 (cIT) and 88 ms (aIT): before 52 ms no unit knows the image.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .features import N_IT, N_V4, maps
from .render import render_image
from .streams import Stream, normals, uniforms

BIN_STARTS = np.arange(0, 250, 10)
BIN_MS = 10
N_CALIBRATION = 64

# animal, array, letter in the unit's name, region, number of units: 256 in all. As in the recordings
# that this stands for, aIT was reached in one animal only, and pIT almost only in the other.
_ARRAYS = (
    ("Ada", "V4", "V", "V4", 44), ("Ada", "posterior", "P", "pIT", 6),
    ("Ada", "anterior", "A", "cIT", 58), ("Ada", "anterior", "A", "aIT", 17),
    ("Bo", "V4", "V", "V4", 44), ("Bo", "posterior", "P", "pIT", 70), ("Bo", "anterior", "A", "cIT", 17),
)  # fmt: skip
_LATENCY = {"V4": 58.0, "pIT": 68.0, "cIT": 78.0, "aIT": 88.0}
_RF_SD = {"V4": 1.5, "pIT": 1.3, "cIT": 2.0, "aIT": 3.0}
_N_CHANNELS = 8
_GAIN, _GAIN_SPREAD = 1.1, 0.7
_SQUASH = 1.5  # keeps responses over images as mildly skewed as those of multi-unit sites are


class Units(NamedTuple):
    """One entry a unit: labels, blank response in counts a bin, gain, and latency in ms."""

    unit_id: np.ndarray
    region: np.ndarray
    animal: np.ndarray
    array: np.ndarray
    group: np.ndarray  # number of the array: units of one share the trial gain
    blank: np.ndarray
    gain: np.ndarray
    latency: np.ndarray


@lru_cache(maxsize=4)
def unit_table(seed: int) -> Units:
    """Return the units; log-normal blank responses around 0.9 counts in 10 ms (90 spikes/s, multi-unit)."""
    rows, site = [], {}
    for animal, array, letter, region, n in _ARRAYS:
        for _ in range(n):
            number = site[animal, array] = site.get((animal, array), -1) + 1
            rows.append((f"{animal}_L_{letter}_{number // 10}_{number % 10}", region, animal, array))
    unit_id, region, animal, array = (np.array(column) for column in zip(*rows, strict=True))
    group = np.unique(np.char.add(animal, array), return_inverse=True)[1]
    z = normals(seed, Stream.UNIT, 0, 0, 3 * len(rows)).reshape(3, -1)
    jitter = 12 * uniforms(seed, Stream.UNIT, 0, 1, len(rows)) - 6
    latency = np.array([_LATENCY[r] for r in region]) + jitter
    gain = _GAIN * np.exp(_GAIN_SPREAD * z[1])
    return Units(unit_id, region, animal, array, group, 0.9 * np.exp(0.4 * z[0]), gain, latency)


@lru_cache(maxsize=4)
def kernels(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the transient and the late time course, each (unit, time_bin)."""
    ms = BIN_STARTS[:, None] + np.arange(BIN_MS) + 0.5
    since = ms - unit_table(seed).latency[:, None, None]
    transient = np.where(since > 0, since / 20 * np.exp(1 - since / 20), 0)
    late = np.where(since > 25, 1 - np.exp(-np.maximum(since - 25, 0) / 30), 0)
    late *= np.exp(-np.maximum(since - 105, 0) / 35)
    return transient.mean(-1), late.mean(-1)


@lru_cache(maxsize=4)
def _readout(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return receptive fields (V4 unit, point), (IT unit, point) and weights (drive, unit, channel)."""
    region = unit_table(seed).region
    centre = uniforms(seed, Stream.UNIT, 1, 0, 2 * region.size).reshape(2, -1)
    weights = np.zeros((2, region.size, max(N_V4, N_IT)))
    fields = {16: [], 8: []}
    for u, name in enumerate(region):
        size, n_channels = (16, N_V4) if name == "V4" else (8, N_IT)
        middle = (size - 1) * (0.2 + 0.6 * centre[:, u])
        bumps = np.exp(-0.5 * ((np.arange(size) - middle[:, None]) / _RF_SD[name]) ** 2)
        field = np.outer(*bumps).ravel()
        fields[size].append(field / field.sum())
        order = np.argsort(uniforms(seed, Stream.UNIT, 2, u, n_channels))
        for n in range(2):
            chosen = order[n * _N_CHANNELS : (n + 1) * _N_CHANNELS]
            weights[n, u, chosen] = normals(seed, Stream.UNIT, 3 + n, u, _N_CHANNELS)
    return np.stack(fields[16]), np.stack(fields[8]), weights


def _projections(gray: np.ndarray, seed: int) -> np.ndarray:
    """Return z_1 and z_2 before they are standardised: (2, unit)."""
    v4_field, it_field, weights = _readout(seed)
    v4, it = maps(gray, seed)
    is_v4 = unit_table(seed).region == "V4"
    seen = np.zeros(weights.shape[1:])
    seen[is_v4, :N_V4] = v4_field @ v4.reshape(N_V4, -1).T
    seen[~is_v4, :N_IT] = it_field @ it.reshape(N_IT, -1).T
    return (weights * seen).sum(-1)


@lru_cache(maxsize=4)
def _standard(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and sd of the projections over the calibration images, each (2, unit)."""
    z = np.stack([_projections(render_image(seed, i), seed) for i in range(N_CALIBRATION)])
    return z.mean(0), z.std(0)


def drives_from_gray(gray: np.ndarray, seed: int) -> np.ndarray:
    """Return d1 and d2 of all units for one gray uint8 image (128, 128): (2, unit), non-negative."""
    mean, sd = _standard(seed)
    units = unit_table(seed)
    z = (_projections(gray, seed) - mean) / sd
    soft = np.logaddexp(0, z / np.sqrt(1 + (z / _SQUASH) ** 2))
    competition = np.empty_like(soft[1])
    for region in _LATENCY:
        late = soft[1, units.region == region]
        competition[units.region == region] = 5 * late / (2 + late + 2 * late.mean())
    return units.gain * np.stack([7 * soft[0] / (4 + soft[0]), competition])


@lru_cache(maxsize=8192)  # the whole catalogue: 4 kB an image
def drives(seed: int, position: int) -> np.ndarray:
    """Return `drives_from_gray` of image `position` of the catalogue, read-only."""
    values = drives_from_gray(render_image(seed, position), seed)
    values.flags.writeable = False
    return values
