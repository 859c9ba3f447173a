"""Find images that show the same picture, or nearly the same, under different names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr

NEAR = 0.01
"""Images are near-duplicates if their reduced pictures differ by less, root mean square, as a share of the
range
of pixels."""
_SIDE = 16  # of reduced pictures
_AT_ONCE = 64


@dataclass(frozen=True)
class Pictures:
    """The pictures that images show.

    Attributes
    ----------
    group
        Images with equal pixels have the same number, shape (image,).
    reduced
        Each image averaged to 16 x 16 fields, as a share of the range of pixels, shape (image, field).
    """

    group: np.ndarray
    reduced: np.ndarray

    @property
    def n_repeated(self) -> int:
        """Number of images beyond the first of each picture."""
        return len(self.group) - len(np.unique(self.group))

    def near_duplicates(self, test: np.ndarray, train: np.ndarray) -> int:
        """Count test images that are nearly, but not exactly, the same picture as a training image."""
        x, y = self.reduced[test], self.reduced[train]
        square = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1) - 2 * (x @ y.T)
        near = square < NEAR**2 * x.shape[1]
        near &= self.group[test][:, None] != self.group[train]
        return int(near.any(axis=1).sum())


def find_pictures(
    stimuli: xr.DataArray, on_progress: Callable[[int], None] = lambda images: None
) -> Pictures:
    """Compare the pixels of images.

    Parameters
    ----------
    stimuli
        Dims (image, height, width, channel), uint8 or float in [0, 1]; may be lazy: it is read some images at
        a time.
    on_progress
        Called with the number of images done.
    """
    hashes, reduced = [], []
    for start in range(0, stimuli.sizes["image"], _AT_ONCE):
        pixels = stimuli.isel(image=slice(start, start + _AT_ONCE)).values
        hashes += [hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest() for image in pixels]
        scale = 255.0 if pixels.dtype == np.uint8 else 1.0
        fields = torch.from_numpy(np.ascontiguousarray(pixels.astype(np.float32) / scale)).permute(0, 3, 1, 2)
        side = min(_SIDE, pixels.shape[1])
        reduced.append(torch.nn.functional.adaptive_avg_pool2d(fields, side).flatten(1).numpy())
        on_progress(len(pixels))
    _, group = np.unique(hashes, return_inverse=True)
    return Pictures(group.ravel(), np.concatenate(reduced))
