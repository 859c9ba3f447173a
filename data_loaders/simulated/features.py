"""The model behind the simulated responses, from pixels to maps: V1-like, V4-like and IT-like.

For an image with luminance L in [0, 1] on a 64 x 64 grid (2 x 2 pixels averaged):

1. V1: energies ``E_c = |G_c * (L - mean L)|`` of quadrature pairs of log-Gabor filters [1]_,
   c over 6 orientations x 4 wavelengths (3.5, 6, 10, 17 grid points), averaged 2 x 2 to 32 x 32, then
   divisive normalisation [2]_: ``V1_c(x) = E_c / (0.02 + P(x))``, with P the mean of E over c and over
   5 x 5 neighbours.
2. V4: second-order filters ``F_k(x) = max(0, sum_j w_kj V1_{c_kj}(x + d_kj))``, 64 of them with 4 inputs
   each, at random offsets of up to 3 points and with random weights of zero sum; then
   ``V4_k(x) = F_k^2 / (0.5^2 + mean over k of F_k^2)``, averaged 2 x 2 to 16 x 16.
3. IT: the same again on V4: 96 filters of 6 inputs, offsets of up to 4 points; 8 x 8.

All convolutions wrap around at the border. Nothing here is trained or taken from a model that is scored.

References
----------
.. [1] Field (1987), J. Opt. Soc. Am. A 4:2379. doi:10.1364/JOSAA.4.002379
.. [2] Heeger (1992), Visual Neuroscience 9:181. doi:10.1017/S0952523800009640
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy import fft
from scipy.ndimage import uniform_filter

from .streams import Stream, normals, uniforms

_GRID = 64
_WAVELENGTHS = (3.5, 6.0, 10.0, 17.0)
_N_ORIENTATIONS = 6
_N_V1 = _N_ORIENTATIONS * len(_WAVELENGTHS)
_V1_FLOOR, _FLOOR = 0.02, 0.5
N_V4, N_IT = 64, 96


def maps(gray: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the V4-like maps (64, 16, 16) and the IT-like maps (96, 8, 8) of one image.

    Parameters
    ----------
    gray
        uint8, shape (128, 128).
    seed
        Seed of the second-order filters.
    """
    luminance = _halve(gray / 255.0)
    spectrum = fft.fft2(luminance - luminance.mean())
    energy = _halve(np.abs(fft.ifft2(spectrum * _log_gabors())))
    pool = uniform_filter(energy.mean(0), 5, mode="wrap")
    v1 = energy / (_V1_FLOOR + pool)
    v4 = _second_order(v1, *_wiring(seed, 0, _N_V1, 32, N_V4, 4, 3))
    it = _second_order(v4, *_wiring(seed, 1, N_V4, 16, N_IT, 6, 4))
    return v4, it


def _halve(x: np.ndarray) -> np.ndarray:
    """Average 2 x 2 neighbours of the last two axes."""
    return 0.25 * (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2])


def _second_order(inputs: np.ndarray, sources: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weigh the shifted inputs, rectify, square, normalise over filters, halve the resolution."""
    flat = inputs.reshape(-1)
    drive = sum(w[:, None] * flat[s] for s, w in zip(sources, weights, strict=True))
    power = np.maximum(drive, 0) ** 2
    power /= _FLOOR**2 + power.mean(0)
    return _halve(power.reshape(-1, *inputs.shape[1:]))


@lru_cache(maxsize=1)
def _log_gabors() -> np.ndarray:
    """Return the one-sided transfer functions, whose outputs are quadrature pairs: (24, 64, 64)."""
    fy, fx = fft.fftfreq(_GRID)[:, None], fft.fftfreq(_GRID)[None, :]
    radius, angle = np.hypot(fx, fy), np.arctan2(fy, fx)
    radius[0, 0] = 1.0
    filters = []
    for wavelength in _WAVELENGTHS:
        radial = np.exp(-0.5 * (np.log(radius * wavelength) / np.log(0.62)) ** 2)
        radial[0, 0] = 0.0  # no response to uniform gray
        for k in range(_N_ORIENTATIONS):
            turn = np.angle(np.exp(1j * (angle - np.pi * k / _N_ORIENTATIONS)))
            filters.append(2 * radial * np.exp(-0.5 * (turn / 0.35) ** 2))
    return np.stack(filters)


@lru_cache(maxsize=4)
def _wiring(
    seed: int, level: int, n_in: int, size: int, n_out: int, n_inputs: int, reach: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return where filters read in the flat maps (input, filter, point), and weights (input, filter)."""
    draw = uniforms(seed, Stream.FILTERS, level, 0, 3 * n_inputs * n_out).reshape(3, n_inputs, n_out, 1)
    channel = np.floor(n_in * draw[0]).astype(int)
    down, right = np.floor((2 * reach + 1) * draw[1:]).astype(int) - reach
    rows, columns = np.divmod(np.arange(size * size), size)
    sources = (channel * size + (rows + down) % size) * size + (columns + right) % size
    weights = normals(seed, Stream.FILTERS, level, 1, n_inputs * n_out).reshape(n_inputs, n_out)
    weights -= weights.mean(0)
    return sources, weights / np.sqrt((weights**2).sum(0))
