"""Images cut into batches, with the hashes by which their features are found again."""

from __future__ import annotations

import hashlib

import numpy as np
import xarray as xr


class ImageBatches:
    """Images cut into consecutive batches, and the hash of each image.

    Parameters
    ----------
    images
        Dims ``("image", "height", "width", "channel")``; may be lazy.
    batch_size
        Number of images in a batch; the last may have fewer.
    """

    def __init__(self, images: xr.DataArray, batch_size: int) -> None:
        self._images = images
        self.batch_size, self.n_images = batch_size, images.sizes["image"]
        self._hashes: dict[int, bytes] = {}
        self._last: tuple[int, np.ndarray] | None = None
        starts = range(0, self.n_images, batch_size)
        self.batches = [np.arange(start, min(start + batch_size, self.n_images)) for start in starts]

    def pixels(self, number: int) -> np.ndarray:
        """Return the stored pixels of a batch, shape (image, height, width, 3)."""
        if self._last is None or self._last[0] != number:
            batch = self.batches[number]
            pixels = self._images.isel(image=slice(batch[0], batch[-1] + 1)).values
            layout = f"{pixels.dtype.str} {pixels.shape[1:]}".encode()
            for image, values in zip(batch.tolist(), pixels, strict=True):
                self._hashes[image] = hashlib.sha256(layout + np.ascontiguousarray(values).tobytes()).digest()
            self._last = number, pixels
        return self._last[1]

    def batch_hash(self, number: int) -> bytes:
        """Return the sha256 of all images of a batch, concatenated."""
        batch = self.batches[number].tolist()
        if batch[0] not in self._hashes:
            self.pixels(number)
        return b"".join(self._hashes[image] for image in batch)

    def image_hashes(self, images: np.ndarray) -> np.ndarray:
        """Return the sha256 of each image by position, shape (image, 32)."""
        for number, batch in enumerate(self.batches):
            if np.isin(batch, images).any():
                self.batch_hash(number)
        found = b"".join(self._hashes[image] for image in images.tolist())
        return np.frombuffer(found, np.uint8).reshape(-1, 32)
