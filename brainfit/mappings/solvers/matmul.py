"""Products of matrices that are all that a fit on many rows waits for.

On x86 torch multiplies float32 matrices with MKL, which on processors that are not Intel's runs at half the
speed of oneDNN. That multiplies in convolutions: one of size one is a product of matrices.
"""

from __future__ import annotations

import torch

COLUMNS = 8192
"""Features to work on at once: what is read and written again then stays in a processor's cache."""


def times(x: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """X times directions, shape (row, direction).

    Parameters
    ----------
    x
        Shape (row, feature); 16 bits are widened, or stay where `directions` are of the same kind.
    directions
        Shape (direction, feature).
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
        Shape (direction, feature).
    x
        Shape (row, feature); 16 bits are widened, or stay where `y` is of the same kind.
    y
        Shape (row, direction).
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


def multiplies_in_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for that: without, it is slower than in float32."""
    if device.type != "cpu":
        return device.type == "cuda"
    has = getattr(torch.cpu, "get_capabilities", dict)()  # an older torch does not say
    return torch.backends.mkldnn.is_available() and has.get("avx512_bf16", False)


def _convolves(*matrices: torch.Tensor) -> bool:
    """Whether it pays, and can be: on the CPU of an x86, in float32, where there is something to multiply."""
    pays = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()
    return pays and all(x.device.type == "cpu" and x.dtype == torch.float32 and x.numel() for x in matrices)


def _convolved(x: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """X times directions, its rows taken for the places of an image and its features for channels, last."""
    image = x.contiguous()[None, None].permute(0, 3, 1, 2)
    return _convolution(image, directions)[0, :, 0].T


def _convolution(image: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    # conv2d leaves convolutions of size one to MKL on a single thread.
    one, none = [1, 1], [0, 0]
    return torch.mkldnn_convolution(image, weights[:, :, None, None], None, none, one, one, 1)
