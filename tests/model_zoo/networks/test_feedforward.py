"""Feedforward networks compared with hand-written passes, and their numbers of parameters."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F

from brainfit.contracts.presentation import Presentation
from brainfit.errors import ContractError
from model_zoo.engine.graph import GraphModel
from model_zoo.networks.feedforward import ff, ff_deeper, ff_wider
from model_zoo.networks.intermediate import basenet

ALL_FIVE = (1, 2, 3, 4, 5)
FIVE_OF_TEN = (1, 4, 6, 7, 10)
TEN = (64, 64, 64, 128, 128, 256, 256, 512, 512, 512)


class Net(NamedTuple):
    """Published facts of a network: channels of its layers, and the layers followed by a pool."""

    build: Callable[..., GraphModel]
    channels: tuple[int, ...]
    pools: tuple[int, ...]
    readout: int  # kernel of the readout
    blocks: bool = False  # from the second layer on: two convolutions and a shortcut per layer


NETS = {
    "ff": Net(ff, (64, 128, 256, 256, 512), ALL_FIVE, readout=2),
    "ff_wider": Net(ff_wider, (128, 512, 512, 512, 1024), ALL_FIVE, readout=2),
    "ff_deeper": Net(ff_deeper, TEN, FIVE_OF_TEN, readout=1),
    "basenet": Net(basenet, TEN, FIVE_OF_TEN, readout=1, blocks=True),
}
every_net = pytest.mark.parametrize("net", NETS.values(), ids=NETS)


def same_conv(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, stride: int = 1):
    """Pad by hand with as many zeros as the last window needs, the odd one at the end."""
    kernel, size = weight.shape[2], x.shape[2]
    need = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    before, after = need // 2, need - need // 2
    return F.conv2d(F.pad(x, (before, after, before, after)), weight, bias, stride)


def plain_pass(net: Net, model: GraphModel, x: torch.Tensor) -> dict[str, torch.Tensor]:
    values = {name.removeprefix("nodes."): value for name, value in model.state_dict().items()}
    outputs = {}
    for k in range(1, len(net.channels) + 1):
        layer = f"conv{k}"
        below, stride = x, 2 if k == 1 else 1
        x = F.elu(same_conv(x, values[f"{layer}.pre.weight"], values[f"{layer}.pre.bias"], stride))
        if net.blocks and k > 1:
            x = same_conv(x, values[f"{layer}.post.weight"], values[f"{layer}.post.bias"])
            widens = below.shape[1] != x.shape[1]
            x = F.elu(x + (same_conv(below, values[f"{layer}.shortcut.weight"]) if widens else below))
        if k in net.pools:
            odd = x.shape[2] % 2
            x = F.max_pool2d(F.pad(x, (0, odd, 0, odd), value=-torch.inf), 2)
        outputs[layer] = x
    weight, bias = values["readout.pre.weight"], values["readout.pre.bias"]
    if net.readout == 2:
        outputs["readout"] = F.conv2d(x, weight, bias).mean((2, 3))
    else:
        outputs["readout"] = x.mean((2, 3)) @ weight.T + bias
    return outputs


@every_net
@pytest.mark.parametrize("size", [72, 224])
def test_the_last_step_equals_a_plain_forward_pass(net: Net, size: int) -> None:
    model = net.build(size, n_classes=10, channel_divisor=16)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    images = torch.rand(2, 3, size, size, generator=generator)
    seen = model.unroll(images, model.presentation, model.layers)
    with torch.inference_mode():
        expected = plain_pass(net, model, model.normalize(images))
    assert list(expected) == list(model.layers)
    for layer, values in expected.items():
        assert seen[layer].index[-1] == len(seen[layer].blocks) - 1
        torch.testing.assert_close(seen[layer].blocks[-1], values)
    # The image stays on exactly until it reaches the last layer.
    assert model.presentation == Presentation(on_ms=10 * len(model.layers), off_ms=0)
    assert [len(block) for block in seen["readout"].blocks] == [1] * (len(model.layers) - 1) + [2]


@every_net
def test_layers_have_the_published_maps_and_channels(net: Net) -> None:
    model = net.build(224, channel_divisor=16)
    size = 112
    for k, channels in enumerate(net.channels, 1):
        size = -(-size // 2) if k in net.pools else size
        assert model.nodes[f"conv{k}"].out_shape == (channels // 16, size, size)
    assert size == 4


def by_hand(net: Net) -> int:
    """Count weights and biases of all convolutions and of the readout to 1000 classes."""
    total, below = 0, 3
    for k, channels in enumerate(net.channels, 1):
        total += (49 if k == 1 else 9) * below * channels + channels
        if net.blocks and k > 1:
            total += 9 * channels * channels + channels
            total += below * channels if below != channels else 0
        below = channels
    return total + net.readout**2 * below * 1000 + 1000


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("ff", 4_197_736),  # timedecay_shallow without its three decays
        ("ff_wider", 14_145_512),
        ("ff_deeper", 7_602_792),
        ("basenet", 16_403_432),  # timedecay_intermediate without its seven
    ],
)
def test_the_number_of_parameters_is_the_one_counted_by_hand(name: str, published: int) -> None:
    net = NETS[name]
    with torch.device("meta"):  # allocates no memory
        model = net.build()
    assert sum(parameter.numel() for parameter in model.parameters()) == by_hand(net) == published


@pytest.mark.parametrize(("build", "least"), [(ff, 65), (ff_wider, 65), (ff_deeper, 32)])
def test_too_small_images_are_refused(build: Callable[..., GraphModel], least: int) -> None:
    build(least, channel_divisor=16)
    with pytest.raises(ContractError, match=f"image_size is a whole number from {least} up, got {least - 1}"):
        build(least - 1)
