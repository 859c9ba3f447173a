"""Random numbers with random access, the same on every machine and with every version of numpy.

Only the raw bits of the counter-based generator Philox are taken from numpy; uniforms, normals and
Poisson counts are made from them here, in double precision. Every quantity has its own counter, so
the value for an image, unit and trial does not depend on what else is asked for, and a last-digit
difference between two processors can change one count at most, never the numbers after it.

References
----------
.. [1] Salmon, Moraes, Dror & Shaw (2011), Parallel random numbers: as easy as 1, 2, 3. SC'11.
   doi:10.1145/2063384.2063405
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from scipy.special import ndtri


class Stream(IntEnum):
    """The purpose of the numbers; the highest word of the counter."""

    OBJECT = 0
    POSE = 1
    BACKGROUND = 2
    FILTERS = 3
    UNIT = 4
    TRIAL_GAIN = 5
    COUNT = 6
    OCCLUDER = 7
    SHOWN = 8
    PRIVATE_GAIN = 9
    DRIFT = 10
    TUNING = 11


def uniforms(seed: int, stream: Stream, first: int, second: int, n: int) -> np.ndarray:
    """Return the first `n` numbers in (0, 1) of the stream that (`stream`, `first`, `second`) names.

    Asking for more never changes those that came before.
    """
    philox = np.random.Philox(key=seed, counter=[0, second, first, int(stream)])
    return ((philox.random_raw(n) >> np.uint64(11)) + 0.5) * 2.0**-53


def normals(seed: int, stream: Stream, first: int, second: int, n: int) -> np.ndarray:
    """Return standard normal numbers, one for each of `uniforms`, by inversion."""
    return ndtri(uniforms(seed, stream, first, second, n))


def poisson(uniform: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return Poisson counts by inversion: the least k with `uniform` < P(count <= k).

    Parameters
    ----------
    uniform, mean
        Arrays of one shape; `uniform` in (0, 1), `mean` in (0, 500), where exp(-mean) is still
        a normal number. Counts above mean + 12 sd + 30 are cut there; their probability is below 1e-30.

    Returns
    -------
    numpy.ndarray
        Whole numbers, float64, of that shape.
    """
    shape = uniform.shape
    uniform, mean = uniform.ravel(), mean.ravel()
    counts = np.zeros(uniform.size)
    open_ = np.arange(uniform.size)  # positions whose count may still grow
    probability = np.exp(-mean)
    cumulative = probability.copy()
    limit = int(mean.max(initial=0.0) + 12 * np.sqrt(mean.max(initial=0.0)) + 30)
    for k in range(1, limit):
        above = uniform >= cumulative
        n_above = np.count_nonzero(above)
        if n_above == 0:
            break
        if 2 * n_above < open_.size:  # most are settled: go on with the others only
            keep = np.flatnonzero(above)
            open_, uniform, mean = open_[keep], uniform[keep], mean[keep]
            probability, cumulative = probability[keep], cumulative[keep]
            counts[open_] = k
        else:
            counts[open_[above]] = k
        probability *= mean
        probability /= k
        cumulative += probability
    return counts.reshape(shape)
