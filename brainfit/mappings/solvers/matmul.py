"""Fast products of matrices, on which fits on many rows spend their time.

On x86 torch multiplies float32 matrices with MKL, which on processors of other makers than Intel runs at half
the speed of oneDNN. oneDNN multiplies in convolutions: a convolution of size one is a product of matrices.
"""

from __future__ import annotations

import torch

COLUMNS = 8192
"""Number of features to work on at once, so that the data stay in a processor's cache."""


def times(x: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """Multiply X by directions; the result has shape (row, direction).

    Parameters
    ----------
    x
        Matrix of shape (row, feature); 16 bits are widened unless `directions` have the same format.
    directions
        Matrix of shape (direction, feature).
    """
    found = None
    for part, along in zip(x.split(COLUMNS, 1), directions.split(COLUMNS, 1), strict=True):
        part = part.to(directions.dtype)
        product = _convolved(part, along) if _convolves(part, along) else part @ along.T
        found = product if found is None else found.add_(product)
    assert found is not None
    return found


def add_transposed(total: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> None:
    """Add Y'X, shape (direction, feature), to `total`.

    Parameters
    ----------
    total
        Matrix of shape (direction, feature), changed in place.
    x
        Matrix of shape (row, feature); 16 bits are widened unless `y` has the same format.
    y
        Matrix of shape (row, direction).
    """
    across = y.T.contiguous()
    for part, sums in zip(x.split(COLUMNS, 1), total.split(COLUMNS, 1), strict=True):
        part = part.to(y.dtype).contiguous()
        if _convolves(part, across):
            sums += _convolution(part[None, :, :, None], across)[0, :, :, 0]
        elif part.dtype == sums.dtype:
            sums.addmm_(across, part)
        else:
            sums += across @ part


def _convolves(*matrices: torch.Tensor) -> bool:
    """Return True if a convolution is possible and faster: non-empty float32 matrices on an x86 CPU."""
    pays = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()
    return pays and all(x.device.type == "cpu" and x.dtype == torch.float32 and x.numel() for x in matrices)


def _convolved(x: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """Multiply X by directions, with rows as the places of an image and features as its channels, last."""
    image = x.contiguous()[None, None].permute(0, 3, 1, 2)
    return _convolution(image, directions)[0, :, 0].T


def _convolution(image: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    # Called directly, since conv2d leaves convolutions of size one to MKL on a single thread.
    one, none = [1, 1], [0, 0]
    return torch.mkldnn_convolution(image, weights[:, :, None, None], None, none, one, one, 1)
