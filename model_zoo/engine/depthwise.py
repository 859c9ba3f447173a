"""Depthwise convolution whose gradient is fast on a CPU.

Torch computes the gradient of a depthwise kernel quickly if the kernel has at most three columns, and about
twenty times slower if it has more. So wide kernels are cut into bands of three columns, each with the part
of the input that it reads. The gradient of the input is a depthwise convolution itself, with the kernel
turned by 180 degrees.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight

_COLUMNS = 3
_LEAST = 2**15
"""Numbers in a map of all images from which bands are faster: below, the calls themselves take the time."""


def depthwise_conv(x: Tensor, weight: Tensor, padding: tuple[int, int]) -> Tensor:
    """Convolve each channel with its own kernel, with stride 1; equal to ``conv2d`` with as many groups.

    Parameters
    ----------
    x
        Shape (image, channel, height, width).
    weight
        Shape (channel, 1, kernel, kernel).
    padding
        Zeros on both sides of rows and of columns, fewer than the kernel has.
    """
    trains = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    slow = weight.shape[3] > _COLUMNS and x.numel() >= _LEAST and x.device.type == "cpu"
    if trains and slow and not torch.is_autocast_enabled("cpu"):
        return _DepthwiseConv.apply(x, weight, padding)  # pyright: ignore[reportReturnType]
    return F.conv2d(x, weight, None, padding=padding, groups=len(weight))


class _DepthwiseConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, padding: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding = padding
        return F.conv2d(x, weight, None, padding=padding, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]: it has one output
        ctx: Any, gradient: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, _ = ctx.needs_input_grad
        return (
            _gradient_of_x(gradient, weight, ctx.padding) if of_x else None,
            _gradient_of_weight(gradient, x, weight, ctx.padding) if of_weight else None,
            None,
        )


def _gradient_of_x(gradient: Tensor, weight: Tensor, padding: tuple[int, int]) -> Tensor:
    top, left = (k - 1 - p for k, p in zip(weight.shape[2:], padding, strict=True))
    return F.conv2d(gradient, weight.flip(2, 3), None, padding=(top, left), groups=len(weight))


def _gradient_of_weight(gradient: Tensor, x: Tensor, weight: Tensor, padding: tuple[int, int]) -> Tensor:
    top, left = padding
    x = F.pad(x, (left, left, top, top))  # rows too: padding of the convolution's own is slow on small maps
    bands = []
    for band in weight.split(_COLUMNS, dim=3):
        reads = x[..., : gradient.shape[3] + band.shape[3] - 1]
        x = x[..., _COLUMNS:]
        bands.append(conv2d_weight(reads, band.shape, gradient, groups=len(weight)))
    return torch.cat(bands, dim=3)
