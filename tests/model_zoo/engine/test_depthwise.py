"""The depthwise convolution has the output and the gradients of torch's own."""

import pytest
import torch
from torch.nn import functional as F

from model_zoo.engine import depthwise
from model_zoo.engine.depthwise import depthwise_conv


@pytest.mark.parametrize("kernel", [3, 4, 5, 6, 7, 9])
@pytest.mark.parametrize(
    ("images", "channels", "height", "width"), [(64, 8, 8, 8), (3, 5, 47, 51), (700, 3, 4, 4)]
)
def test_gradients_are_those_of_conv2d(kernel, images, channels, height, width, monkeypatch):
    rng = torch.Generator().manual_seed(kernel)
    x, weight = (
        torch.randn(shape, generator=rng, dtype=torch.float64).requires_grad_()
        for shape in ((images, channels, height, width), (channels, 1, kernel, kernel))
    )
    bands = []
    banded = depthwise._gradient_of_weight
    monkeypatch.setattr(depthwise, "_gradient_of_weight", lambda *given: bands.append(1) or banded(*given))
    for padding in {(kernel // 2, kernel // 2), (0, (kernel - 1) // 2)}:
        if kernel > height + 2 * padding[0]:
            continue
        theirs = F.conv2d(x, weight, padding=padding, groups=channels)
        mine = depthwise_conv(x, weight, padding)
        assert torch.equal(mine, theirs)
        gradient = torch.randn(mine.shape, generator=rng, dtype=torch.float64)
        found = torch.autograd.grad(mine, (x, weight), gradient)
        wanted = torch.autograd.grad(theirs, (x, weight), gradient)
        for a, b in zip(found, wanted, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12 * float(b.abs().max()))
    assert bool(bands) == (kernel > 3)  # otherwise torch is fast


def test_gradients_are_computed_only_where_they_are_wanted():
    x, weight = torch.randn(64, 8, 8, 8), torch.randn(8, 1, 7, 7)
    for wanted in (x, weight):
        maps, kernels = (part.detach().requires_grad_(part is wanted) for part in (x, weight))
        y = depthwise_conv(maps, kernels, (3, 3))
        y.sum().backward()
    with torch.no_grad():
        assert depthwise_conv(x, weight.requires_grad_(), (3, 3)).grad_fn is None
