"""Convolutions and pools with TensorFlow's padding; weights and biases are set later.

`torch.nn.Conv2d` pads both sides alike and initialises itself from the global random numbers. The
published weights need TensorFlow's "SAME" padding, and a seeded model sets its weights only once.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from .depthwise import depthwise_conv
from .elementwise import add


class Padding(NamedTuple):
    """Zeros before and after one spatial dimension."""

    before: int
    after: int


def same_padding(size: int, kernel: int, stride: int = 1) -> Padding:
    """Return TensorFlow's "SAME" padding: ceil(size / stride) outputs, with an odd zero at the end.

    Examples
    --------
    >>> same_padding(224, 7, 2), same_padding(14, 2), same_padding(14, 3)
    (Padding(before=2, after=3), Padding(before=0, after=1), Padding(before=1, after=1))
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return Padding(total // 2, total - total // 2)


class Conv(nn.Module):
    """Two-dimensional convolution (cross-correlation) with "SAME" zero padding.

    Parameters are not initialised: see `model_zoo.engine.init`.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, bias: bool = True
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.groups = kernel, stride, groups
        shape = (outputs, inputs // groups, kernel, kernel)
        # Faster on CPUs with channels last, here and for the images in `model_zoo.engine.graph`.
        self.weight = nn.Parameter(torch.empty(shape, memory_format=torch.channels_last))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (image, inputs, height, width) -> (image, outputs, height / stride, width / stride)."""
        return self.convolve(x, self.weight, self.bias)

    def convolve(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Convolve with other weights of the same shapes."""
        top, bottom = same_padding(x.shape[2], self.kernel, self.stride)
        left, right = same_padding(x.shape[3], self.kernel, self.stride)
        # The convolution itself pads both sides alike; only unequal padding costs a copy.
        if (top, left) != (bottom, right):
            x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
        if self.groups == x.shape[1] == len(weight) and self.stride == 1 and bias is None:
            return depthwise_conv(x, weight, (top, left))
        return F.conv2d(x, weight, bias, self.stride, (top, left), groups=self.groups)

    def set_bias(self, value: float) -> None:
        """Set the bias of all outputs; there must be one."""
        assert self.bias is not None
        nn.init.constant_(self.bias, value)


class JointConv(nn.Module):
    """Convolution ``conv(concat(x, h))`` of an input and a state, as two convolutions whose sum it is.

    The half of x is computed only when x changes, and either half may be a batch of one.
    """

    def __init__(self, inputs: int, states: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.of_input = Conv(inputs, outputs, kernel)
        self.of_state = Conv(states, outputs, kernel, bias=False)


class SeparableConv(nn.Module):
    """Depthwise k x k, then pointwise 1 x 1 convolution with a bias."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = Conv(inputs, inputs, kernel, groups=inputs, bias=False)
        self.pointwise = Conv(inputs, outputs, 1)

    def forward(self, x: torch.Tensor, times: float = 1.0) -> torch.Tensor:
        """Map (image, inputs, height, width) -> (image, outputs, height, width), multiplied by `times`."""
        if times == 1:
            return self.pointwise(self.depthwise(x))
        # Multiplying these few weights costs nothing, unlike the map.
        x = self.depthwise.convolve(x, times * self.depthwise.weight, None)
        bias = self.pointwise.bias
        return self.pointwise.convolve(x, self.pointwise.weight, None if bias is None else times * bias)


class LayerNorm(nn.Module):
    """Layer norm: mean 0 and variance 1 over channels and map, then a gain and a bias for each channel.

    It is the one of TensorFlow 1's ``contrib``, whose epsilon is 1e-12. `torch.nn.LayerNorm` has a gain for
    each pixel.
    """

    def __init__(self, channels: int, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise (image, channel, height, width); the shape is kept."""
        return F.group_norm(x, 1, self.gamma, self.beta, eps=self.epsilon)


class MaxPool(nn.Module):
    """2 x 2 max-pool with stride 2; the last row or column of an odd map pools by itself."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (image, channel, height, width) -> (image, channel, ceil(height / 2), ceil(width / 2))."""
        return F.max_pool2d(x, 2, 2, ceil_mode=True)


class MeanReadout(nn.Module):
    """Mean over the map, then a linear layer to the classes."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, inputs))
        self.bias = nn.Parameter(torch.empty(classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (image, inputs, height, width) -> (image, classes)."""
        return F.linear(x.mean((2, 3)), self.weight, self.bias)


class ConvReadout(nn.Module):
    """2 x 2 convolution to the classes, without padding, then the mean over the map."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, inputs, 2, 2))
        self.bias = nn.Parameter(torch.empty(classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (image, inputs, height, width) -> (image, classes)."""
        return F.conv2d(x, self.weight, self.bias).mean((2, 3))


class Feedback(nn.Module):
    """1 x 1 convolution of feedback from several sources, resized to the map of the target.

    The result is ``conv(concat(resize(source) for source in sources))``. The convolution commutes with the
    resize, whose interpolation weights sum to one, so each source is convolved at its own, lower,
    resolution.
    """

    def __init__(self, inputs: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.weight = nn.Parameter(torch.empty(outputs, sum(inputs), 1, 1))
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, sources: list[torch.Tensor], size: torch.Size) -> torch.Tensor:
        """Map sources (image, inputs[k], h_k, w_k) to (image, outputs, height, width)."""
        bias, total = self.bias, None
        for weight, source in zip(self.weight.split(self.inputs, dim=1), sources, strict=True):
            part = resize(F.conv2d(source, weight, bias), size)
            bias, total = None, part if total is None else add(total, part)
        assert total is not None  # there is no feedback without a source
        return total


def resize(x: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Resize maps bilinearly with aligned corners, as TensorFlow 1 does; a map of that size is returned."""
    if x.shape[2:] == size:
        return x
    # Under autocast it comes back in float32, in which all that follows would go on.
    return F.interpolate(x, size, mode="bilinear", align_corners=True).to(x.dtype)
