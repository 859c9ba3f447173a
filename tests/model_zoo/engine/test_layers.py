"""Convolutions, pools, norms and feedback computed as in TensorFlow."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from model_zoo.engine.layers import Conv, Feedback, LayerNorm, MaxPool, resize, same_padding


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [
        (224, 7, 2, (2, 3)),
        (112, 7, 2, (2, 3)),
        (15, 7, 2, (3, 3)),
        (14, 2, 1, (0, 1)),
        (14, 4, 1, (1, 2)),
        (14, 3, 1, (1, 1)),
        (4, 7, 1, (3, 3)),
        (14, 1, 1, (0, 0)),
    ],
)
def test_same_padding_is_as_in_tensorflow(size, kernel, stride, expected) -> None:
    assert same_padding(size, kernel, stride) == expected


@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (2, 1), (3, 1), (4, 1), (1, 1)])
@pytest.mark.parametrize("size", [9, 14])
def test_a_convolution_is_a_valid_convolution_of_the_padded_image(size, kernel, stride) -> None:
    conv = Conv(2, 5, kernel, stride)
    for parameter in conv.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(0))
    x = torch.rand(2, 2, size, size)
    before, after = same_padding(size, kernel, stride)
    expected = F.conv2d(F.pad(x, (before, after, before, after)), conv.weight, conv.bias, stride)
    assert expected.shape[2] == -(-size // stride)
    torch.testing.assert_close(conv(x), expected)


def test_pooling_an_odd_map_keeps_its_last_row() -> None:
    x = -torch.rand(1, 1, 7, 7)
    pooled = MaxPool()(x)
    assert pooled.shape == (1, 1, 4, 4)
    assert pooled[0, 0, 3, 3] == x[0, 0, 6, 6]


def test_feedback_is_a_convolution_of_the_resized_sources() -> None:
    feedback = Feedback((3, 5), 4)
    for parameter in feedback.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(0))
    sources = [torch.rand(2, 3, 4, 4), torch.rand(2, 5, 2, 2)]
    size = torch.Size((7, 7))
    joined = torch.cat([resize(source, size) for source in sources], dim=1)
    torch.testing.assert_close(feedback(sources, size), F.conv2d(joined, feedback.weight, feedback.bias))
    assert resize(joined, size) is joined


def test_layer_norm_is_over_channels_and_positions_together(rng) -> None:
    layer = LayerNorm(3, 1e-12).double()
    gamma, beta, x = rng.normal(size=3), rng.normal(size=3), 5 + rng.normal(size=(2, 3, 4, 5))
    layer.load_state_dict({"gamma": torch.from_numpy(gamma), "beta": torch.from_numpy(beta)})
    ours = layer(torch.from_numpy(x)).detach().numpy()
    for image, got in zip(x, ours, strict=True):
        scaled = (image - image.mean()) / np.sqrt(image.var() + 1e-12)
        np.testing.assert_allclose(got, gamma[:, None, None] * scaled + beta[:, None, None])
