"""ResNets compared with a pass written out from their state, and with torchvision's parameter names."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from brainfit.contracts.presentation import Presentation
from brainfit.errors import ContractError
from model_zoo.adapters import ModuleModel
from model_zoo.networks.resnet import resnet18, resnet34

SIZE = 64


class Net(NamedTuple):
    build: Callable[..., ModuleModel]
    blocks: tuple[int, int, int, int]
    parameters: int  # published with torchvision's weights


NETS = {
    "resnet18": Net(resnet18, (2, 2, 2, 2), 11_689_512),
    "resnet34": Net(resnet34, (3, 4, 6, 3), 21_797_672),
}
every_net = pytest.mark.parametrize("net", NETS.values(), ids=NETS)


def torchvisions(net: Net) -> dict[str, tuple[int, ...]]:
    """Return the keys of torchvision's state dict in order, with their shapes."""
    state: dict[str, tuple[int, ...]] = {}

    def norm(name: str, channels: int) -> None:
        for key in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.{key}"] = (channels,)
        state[f"{name}.num_batches_tracked"] = ()

    state["conv1.weight"] = (64, 3, 7, 7)
    norm("bn1", 64)
    below = 64
    for stage, (channels, n_blocks) in enumerate(zip((64, 128, 256, 512), net.blocks, strict=True), 1):
        for k in range(n_blocks):
            block = f"layer{stage}.{k}"
            state[f"{block}.conv1.weight"] = (channels, below, 3, 3)
            norm(f"{block}.bn1", channels)
            state[f"{block}.conv2.weight"] = (channels, channels, 3, 3)
            norm(f"{block}.bn2", channels)
            if below != channels:
                state[f"{block}.downsample.0.weight"] = (channels, below, 1, 1)
                norm(f"{block}.downsample.1", channels)
            below = channels
    return state | {"fc.weight": (1000, 512), "fc.bias": (1000,)}


def trained(model: ModuleModel) -> dict[str, torch.Tensor]:
    """Return a state in which gains, biases and statistics are not trivial, as after training."""
    generator = torch.Generator().manual_seed(1)
    state = {}
    for key, value in model.module.state_dict().items():
        if value.ndim == 1:
            drawn = torch.rand(value.shape, generator=generator)
            value = 0.5 + drawn if key.endswith(("weight", "running_var")) else 0.4 * drawn - 0.2
        state[key] = value
    return state


def plain_pass(net: Net, state: dict[str, torch.Tensor], x: torch.Tensor) -> dict[str, torch.Tensor]:
    def conv(name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2)

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        mean, variance, gain, bias = (
            state[f"{name}.{key}"].view(-1, 1, 1) for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * gain + bias

    x = F.max_pool2d(norm("bn1", conv("conv1", x, stride=2)).relu(), 3, stride=2, padding=1)
    outputs = {"maxpool": x}
    for stage, n_blocks in enumerate(net.blocks, 1):
        for k in range(n_blocks):
            block, stride = f"layer{stage}.{k}", 2 if stage > 1 and k == 0 else 1
            y = norm(f"{block}.bn1", conv(f"{block}.conv1", x, stride)).relu()
            y = norm(f"{block}.bn2", conv(f"{block}.conv2", y))
            if stride == 2:
                x = norm(f"{block}.downsample.1", conv(f"{block}.downsample.0", x, stride))
            outputs[block] = x = (x + y).relu()
    outputs["fc"] = x.mean((2, 3)) @ state["fc.weight"].T + state["fc.bias"]
    return outputs


@every_net
def test_names_and_shapes_of_parameters_equal_torchvisions(net: Net) -> None:
    model = net.build(SIZE)
    shapes = {key: tuple(value.shape) for key, value in model.module.state_dict().items()}
    assert list(shapes.items()) == list(torchvisions(net).items())
    assert sum(p.numel() for p in model.module.parameters()) == net.parameters


@every_net
@pytest.mark.parametrize("size", [SIZE, 75])
def test_each_layer_equals_a_plain_forward_pass(net: Net, size: int) -> None:
    model = net.build(size, n_classes=10)
    state = trained(model)
    model.module.load_state_dict(state)
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    n = len(model.layers)
    seen = model.unroll(images, Presentation(on_ms=10 * n, off_ms=0), model.layers)
    expected = plain_pass(net, state, model.normalize(images))
    assert list(expected) == list(model.layers)
    for late, (layer, values) in enumerate(expected.items()):
        assert seen[layer].run_lengths == ((late, n - late) if late else (n,))
        torch.testing.assert_close(
            seen[layer].blocks[-1], values, rtol=1e-4, atol=1e-5 * float(values.abs().max())
        )


@pytest.mark.parametrize("counts", [True, False], ids=["all", "without counts of batches"])
def test_a_file_of_torchvision_can_be_loaded(tmp_path, counts: bool) -> None:
    """Files from before 2018 lack ``num_batches_tracked``, which inference does not need."""
    state = trained(resnet18(SIZE))
    path = tmp_path / "resnet18.safetensors"
    save_file({key: v for key, v in state.items() if counts or not key.endswith("num_batches_tracked")}, path)
    model = resnet18(SIZE, weights=str(path))
    assert model.weights.startswith("sha256:")
    for key, value in model.module.state_dict().items():
        assert torch.equal(value, state[key]), key
    with pytest.raises(ContractError, match="seed is a whole number from 0 up, got -1"):
        resnet18(SIZE, seed=-1, weights=str(path))


def test_random_weights_have_the_variance_of_he_et_al() -> None:
    for key, value in resnet18(SIZE).module.state_dict().items():
        if value.ndim == 4:
            fan_out = len(value) * value[0, 0].numel()
            assert float(value.std()) == pytest.approx((2 / fan_out) ** 0.5, rel=0.05), key
        elif key == "fc.weight":
            assert float(value.std()) == pytest.approx(512**-0.5, rel=0.05)
        else:
            one = key.endswith(("weight", "running_var"))
            assert (value == one).all(), key


@every_net
def test_layers_of_regions_have_the_documented_channels(net: Net) -> None:
    model = net.build(SIZE)
    state = model.module.state_dict()
    channels = {region: len(state[f"{layer}.conv2.weight"]) for region, layer in model.region_layers.items()}
    assert channels == {"V4": 128, "pIT": 256, "cIT": 512, "aIT": 512, "IT": 512}
    after = model.layers[model.layers.index(model.region_layers["IT"]) + 1 :]
    assert len(after) == 2


def test_too_small_images_are_refused() -> None:
    with pytest.raises(ContractError, match="image_size is a whole number from 32 up, got 31"):
        resnet18(31)
