r"""Compute the second version of the simulated recording, ``simulated``.

**Images** are those of `render`, with another object in front in one of three (`render.render_occluded`).

**Drives.** Three signals of unit u for image i, each standardised over images:

    ``e = z_1``                                          early, image-level (`units.projections`)
    ``s = .6 z_1 + .8 z_2``                                  sustained, image-level
    ``l = a z_1 + sqrt(1 - a^2) (b o + sqrt(1 - b^2) z_2)``  late, image-level and object-level

The object-level variable o is a random linear tuning to the object's category, its identity, its pose (size,
place and turn) and how much of it is hidden: variables that no single place of the image shows, and that a
network trained to name objects represents. (a, b) is (.3, .3) in V4, (.4, .75) in pIT, (.4, .8) in cIT and
(.4, .85) in aIT.

**Mean response**, in units of the mean response to a blank image:

    ``mean(i, u, t) = max(.1, 1 + g_u sum over k of A_ku K_ku(t - latency_u) f(k(i, u)))``, k = e, s, l,
    ``f(z) = log(1 + exp q) - .1``,  ``q = z / sqrt(1 + (z / 1.5)^2)``,

with kernels whose times differ between units: a transient that peaks after 14 to 26 ms; a sustained
response that rises from 5 ms on and falls once the image is off; and a late one that begins 30 to 60 ms
after the transient and outlasts the image. Latencies are uniform within 8 ms of 58 (V4), 70 (pIT), 80 (cIT)
and 90 ms (aIT). 3 % of the units are dead (their mean response is always 1) and 5 % unselective (all images
are the mean image to them).

**Trials.** Trial k of all images is one block of the session. An image is shown in the first five blocks and
in each further one with a probability of its own, between .1 and 1; where it was not, its responses are NaN.
On each trial a count is Poisson with mean gain x blank x mean; the gain is the product of

    a *drift* of each unit, the same for all images of a block: log-normal, autocorrelated .9 between blocks,
    sd .12, half of its variance shared by the units of an electrode array;
    a *shared gain* of each array, drawn for every image and block (sd .03 in V4, .07 in IT);
    a *private gain* of each unit, drawn for every image and block (sd .12).

docs/simulated-recording.md holds the table of what that gives beside what was published.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .objects import N_CATEGORIES, N_OBJECTS
from .render import pose, render_occluded
from .streams import Stream, normals, uniforms
from .units import BIN_MS, BIN_STARTS, mean_and_sd, projections, unit_labels

DESCRIPTION = (
    "V1 energies > V4, IT second-order filters, object-level tuning > transient, sustained, late > "
    "Poisson, private and shared gain, drift over blocks, unequal trials, dead and unselective units"
)
ALWAYS_SHOWN = 5
_LATENCY = {"V4": 58.0, "pIT": 70.0, "cIT": 80.0, "aIT": 90.0}
_EARLY_IN_LATE = {"V4": 0.3, "pIT": 0.4, "cIT": 0.4, "aIT": 0.4}
_OBJECT_IN_LATE = {"V4": 0.3, "pIT": 0.75, "cIT": 0.8, "aIT": 0.85}
_EARLY_IN_SUSTAINED = 0.6
_SHARED = {"V4": 0.03, "pIT": 0.07, "cIT": 0.07, "aIT": 0.07}
_PRIVATE, _DRIFT, _DRIFT_MEMORY, _DRIFT_SHARED = 0.12, 0.12, 0.9, 0.5
_DEAD, _UNSELECTIVE = 0.03, 0.05
_BLANK, _BLANK_SPREAD = 0.6, 0.5
_FLOOR = 0.1
_SQUASH, _SUPPRESSION = 1.5, 0.1
_N_POSE = 7  # size, place, turns, occlusion
_TUNING = {"category": 0.7, "identity": 0.45, "pose": 0.55}


class Parameters(NamedTuple):
    """Parameters of the units, one entry a unit.

    Attributes
    ----------
    blank
        Mean count in a bin on a blank image.
    gain
        Strength of the response.
    amplitude
        Strength of the three components, shape (3, unit).
    kernels
        Their time courses, shape (3, unit, time_bin).
    selective
        1 for a unit that tells images apart, 0 for one that does not.
    shared
        Standard deviation of the log of the gain that its array shares.
    """

    blank: np.ndarray
    gain: np.ndarray
    amplitude: np.ndarray
    kernels: np.ndarray
    selective: np.ndarray
    shared: np.ndarray


@lru_cache(maxsize=4)
def parameters(seed: int) -> Parameters:
    """Return the units' parameters."""
    region = unit_labels().region
    n = region.size
    z = normals(seed, Stream.UNIT, 10, 0, 5 * n).reshape(5, n)
    u = uniforms(seed, Stream.UNIT, 10, 1, 8 * n).reshape(8, n)
    latency = np.array([_LATENCY[r] for r in region]) + 16 * u[0] - 8
    since = BIN_STARTS[:, None] + np.arange(BIN_MS) + 0.5 - latency[:, None, None]
    peak, rise, fall = 14 + 12 * u[1], 10 + 15 * u[2], 25 + 30 * u[3]
    onset, late_rise, late_fall = 30 + 30 * u[4], 20 + 25 * u[5], 35 + 40 * u[6]
    kernels = np.stack(
        [
            _transient(since, peak),
            _plateau(since, np.full(n, 5.0), rise, np.full(n, 100.0), fall),
            _plateau(since, onset, late_rise, np.full(n, 130.0), late_fall),
        ]
    ).mean(-1)
    kind = u[7]
    gain = np.where(kind < _DEAD, 0, 0.9 * np.exp(0.5 * z[0]))
    selective = np.where(kind < _DEAD + _UNSELECTIVE, 0.0, 1.0)
    amplitude = np.array([1.0, 0.8, 1.0])[:, None] * np.exp(0.4 * z[1:4])
    blank = _BLANK * np.exp(_BLANK_SPREAD * z[4])
    shared = np.array([_SHARED[r] for r in region])
    return Parameters(blank, gain, amplitude, kernels, selective, shared)


def _transient(since: np.ndarray, peak: np.ndarray) -> np.ndarray:
    scaled = np.maximum(since, 0) / peak[:, None, None]
    return scaled**2 * np.exp(2 * (1 - scaled))


def _plateau(
    since: np.ndarray, onset: np.ndarray, rise: np.ndarray, end: np.ndarray, fall: np.ndarray
) -> np.ndarray:
    """Return a rise from `onset` that falls from `end` on; all in ms, shape (unit,)."""
    onset, rise, end, fall = (x[:, None, None] for x in (onset, rise, end, fall))
    risen = 1 - np.exp(-np.maximum(since - onset, 0) / rise)
    return risen * np.exp(-np.maximum(since - end, 0) / fall)


def image(seed: int, position: int) -> np.ndarray:
    """Return image `position`: gray, uint8, shape (128, 128)."""
    return render_occluded(seed, position)[0]


def blank(seed: int) -> np.ndarray:
    """Return the mean count in a bin on a blank image, shape (unit,)."""
    return parameters(seed).blank


@lru_cache(maxsize=4)
def _tuning(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return tuning to categories (unit, 8), objects (unit, 64) and pose (unit, 7), each of unit variance."""
    n = unit_labels().region.size
    parts = []
    for k, size in enumerate((N_CATEGORIES, N_OBJECTS, _N_POSE)):
        drawn = normals(seed, Stream.TUNING, k, 0, n * size).reshape(n, size)
        if size != _N_POSE:
            drawn -= drawn.mean(axis=1, keepdims=True)
            drawn /= drawn.std(axis=1, keepdims=True)
        else:
            drawn /= np.sqrt((drawn**2).sum(axis=1, keepdims=True))
        parts.append(drawn)
    return tuple(parts)


def _object_level(seed: int, position: int) -> np.ndarray:
    """Return each unit's tuning to what the image shows, not yet standardised, shape (unit,)."""
    category, identity, of_pose = _tuning(seed)
    number = position % N_OBJECTS
    hidden = render_occluded(seed, position)[1]
    where = np.append(pose(seed, position) * np.sqrt(3), (hidden - 0.1) / 0.2)
    return (
        _TUNING["category"] * category[:, number % N_CATEGORIES]
        + _TUNING["identity"] * identity[:, number]
        + _TUNING["pose"] * of_pose @ where
    )


@lru_cache(maxsize=4)
def _standard(seed: int) -> tuple[np.ndarray, np.ndarray]:
    return mean_and_sd(lambda position: projections(image(seed, position), seed))


@lru_cache(maxsize=8192)
def _signals(seed: int, position: int) -> np.ndarray:
    """Return the early, sustained and late signal of each unit, shape (3, unit)."""
    mean, sd = _standard(seed)
    z1, z2 = (projections(image(seed, position), seed) - mean) / sd
    region = unit_labels().region
    a = np.array([_EARLY_IN_LATE[r] for r in region])
    b = np.array([_OBJECT_IN_LATE[r] for r in region])
    rho = _EARLY_IN_SUSTAINED
    late = a * z1 + np.sqrt(1 - a**2) * (b * _object_level(seed, position) + np.sqrt(1 - b**2) * z2)
    return np.stack([z1, rho * z1 + np.sqrt(1 - rho**2) * z2, late]) * parameters(seed).selective


@lru_cache(maxsize=512)  # 50 kB an image
def mean_response(seed: int, position: int) -> np.ndarray:
    """Return the mean response of all units to image `position`, blank = 1: (unit, time_bin), read-only."""
    units = parameters(seed)
    signals = _signals(seed, position)
    drive = np.logaddexp(0, signals / np.sqrt(1 + (signals / _SQUASH) ** 2)) - _SUPPRESSION
    response = np.einsum("ku,kut->ut", units.amplitude * drive, units.kernels)
    values = np.maximum(_FLOOR, 1 + units.gain[:, None] * response)
    values.flags.writeable = False
    return values


def shown(seed: int, position: int, n_trials: int) -> np.ndarray:
    """Return in which blocks image `position` was shown, shape (trial,)."""
    draw = uniforms(seed, Stream.SHOWN, position, 0, n_trials + 1)
    return (draw[1:] < 0.1 + 0.9 * draw[0]) | (np.arange(n_trials) < ALWAYS_SHOWN)


@lru_cache(maxsize=8)
def known_gain(seed: int, n_trials: int) -> np.ndarray:
    """Return the drift: the part of the gain that all images of a block share, shape (unit, trial)."""
    labels = unit_labels()
    n = labels.group.size
    of_group = np.stack([_autocorrelated(seed, g, n_trials) for g in range(labels.group.max() + 1)])
    of_unit = np.stack([_autocorrelated(seed, 1000 + u, n_trials) for u in range(n)])
    z = np.sqrt(_DRIFT_SHARED) * of_group[labels.group] + np.sqrt(1 - _DRIFT_SHARED) * of_unit
    return np.exp(_DRIFT * z - _DRIFT**2 / 2)


def _autocorrelated(seed: int, number: int, n_trials: int) -> np.ndarray:
    """Return a stationary first-order process of unit variance over blocks."""
    z = normals(seed, Stream.DRIFT, number, 0, n_trials)
    for k in range(1, n_trials):
        z[k] = _DRIFT_MEMORY * z[k - 1] + np.sqrt(1 - _DRIFT_MEMORY**2) * z[k]
    return z


def trial_gain(seed: int, position: int, n_trials: int) -> np.ndarray:
    """Return the gain of each unit on each trial of image `position`, shape (unit, trial); mean 1."""
    labels, units = unit_labels(), parameters(seed)
    of_group = np.stack(
        [normals(seed, Stream.TRIAL_GAIN, position, g, n_trials) for g in range(labels.group.max() + 1)]
    )[labels.group]
    private = normals(seed, Stream.PRIVATE_GAIN, position, 0, labels.group.size * n_trials)
    private = private.reshape(n_trials, -1).T  # so that more trials never change the first ones
    variance = units.shared**2 + _PRIVATE**2
    z = units.shared[:, None] * of_group + _PRIVATE * private
    return known_gain(seed, n_trials) * np.exp(z - variance[:, None] / 2)


def gain_variance(seed: int) -> np.ndarray:
    """Return the variance of the part of the gain that differs between images, shape (unit,)."""
    return np.expm1(parameters(seed).shared ** 2 + _PRIVATE**2)
