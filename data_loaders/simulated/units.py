"""Place 256 units in four regions of two animals, and compute what drives them in an image.

With M the maps of `features` (V4-like for V4, IT-like for pIT, cIT and aIT), rf_u a Gaussian of sum 1
(sd 1.5 of 16 points in V4; 1.3, 2 and 3 of 8 in pIT, cIT, aIT) and two random sparse sets of weights,
8 channels each and none in both, the two image-level projections of image i for unit u are

    ``z_n(i, u) = sum_c w_nuc sum_x rf_u(x) M_c(i, x)``,  n = 1, 2,

standardised by their mean and standard deviation over the first 64 images, one of each object.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .features import N_IT, N_V4, maps
from .streams import Stream, normals, uniforms

BIN_STARTS = np.arange(0, 250, 10)
BIN_MS = 10
REGIONS = ("V4", "pIT", "cIT", "aIT")
N_CALIBRATION = 64

# animal, array, letter in the unit's name, region, number of units: 256 in all. As in the recordings
# that this stands for, aIT was reached in one animal only, and pIT almost only in the other.
_ARRAYS = (
    ("Ada", "V4", "V", "V4", 44), ("Ada", "posterior", "P", "pIT", 6),
    ("Ada", "anterior", "A", "cIT", 58), ("Ada", "anterior", "A", "aIT", 17),
    ("Bo", "V4", "V", "V4", 44), ("Bo", "posterior", "P", "pIT", 70), ("Bo", "anterior", "A", "cIT", 17),
)  # fmt: skip
_RF_SD = {"V4": 1.5, "pIT": 1.3, "cIT": 2.0, "aIT": 3.0}
_N_CHANNELS = 8


class UnitLabels(NamedTuple):
    """Labels of the units, one entry a unit.

    Attributes
    ----------
    unit_id, region, animal, array
        Names.
    group
        Number of the electrode array: units of one array share a trial gain.
    """

    unit_id: np.ndarray
    region: np.ndarray
    animal: np.ndarray
    array: np.ndarray
    group: np.ndarray


@lru_cache(maxsize=1)
def unit_labels() -> UnitLabels:
    """Return the labels of all units, which no seed changes."""
    rows, site = [], {}
    for animal, array, letter, region, n in _ARRAYS:
        for _ in range(n):
            number = site[animal, array] = site.get((animal, array), -1) + 1
            rows.append((f"{animal}_L_{letter}_{number // 10}_{number % 10}", region, animal, array))
    unit_id, region, animal, array = (np.array(column) for column in zip(*rows, strict=True))
    group = np.unique(np.char.add(animal, array), return_inverse=True)[1]
    return UnitLabels(unit_id, region, animal, array, group)


def projections(gray: np.ndarray, seed: int) -> np.ndarray:
    """Return z_1 and z_2 of one image before they are standardised.

    Parameters
    ----------
    gray
        uint8, shape (128, 128).
    seed
        Seed of the filters, receptive fields and weights.

    Returns
    -------
    numpy.ndarray
        Shape (2, unit).
    """
    v4_field, it_field, weights = _readout(seed)
    v4, it = maps(gray, seed)
    is_v4 = unit_labels().region == "V4"
    seen = np.zeros(weights.shape[1:])
    seen[is_v4, :N_V4] = v4_field @ v4.reshape(N_V4, -1).T
    seen[~is_v4, :N_IT] = it_field @ it.reshape(N_IT, -1).T
    return (weights * seen).sum(-1)


def mean_and_sd(projected: Callable[[int], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation over the calibration images of a function of their positions."""
    z = np.stack([projected(position) for position in range(N_CALIBRATION)])
    return z.mean(0), z.std(0)


@lru_cache(maxsize=4)
def _readout(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return receptive fields (V4 unit, point), (IT unit, point) and weights (projection, unit, channel)."""
    region = unit_labels().region
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
