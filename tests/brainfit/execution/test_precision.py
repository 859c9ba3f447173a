"""Models in bfloat16 give nearly the same features, are left unchanged, and report the precision used."""

from typing import Any

import networks
import pytest
import torch

import brainfit
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.vocabulary import PRECISIONS
from brainfit.errors import ContractError, PluginError
from brainfit.execution.precision import computing_in
from brainfit.features.model_contract import full_precision, unroll
from brainfit.support.provenance import weights_sha256
from model_zoo.adapters import from_module, from_sequence, from_step

SHOWN = Presentation(on_ms=60, off_ms=60)
SIZE = 72
GRAPHS = ("rgc_intermediate", "timedecay_shallow", "lstm_shallow", "ugrnn_intermediate", "random_convrnn")


class Plain:
    """A user's model that is not a torch module."""

    name, layers, region_layers, image_size, step_ms, weights = "plain", ("a",), {}, 16, 10, "none"

    def __init__(self) -> None:
        self.kernel = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))

    def unroll(self, images, presentation, layers) -> dict[str, brainfit.Trajectory]:
        kept = [torch.nn.functional.conv2d(images, self.kernel)] * presentation.n_steps
        return {layer: brainfit.Trajectory.from_steps(kept) for layer in layers}


def model_of(kind: str) -> Any:
    if kind in GRAPHS:
        return brainfit.load_model(kind, image_size=SIZE, n_classes=10, channel_divisor=16)
    if kind == "resnet18":
        return brainfit.load_model(kind, image_size=SIZE, n_classes=10)
    layers = ["gates", "h"]
    return {
        "module": lambda: from_module(networks.net(), ["0", "5"], networks.SIZE),
        "transformer": lambda: from_module(networks.Transformer(), ["patch", "norm"], networks.SIZE),
        "step": lambda: from_step(networks.ConvLSTM(), layers, networks.SIZE),
        "sequence": lambda: from_sequence(networks.Video(), ["space", "time"], networks.SIZE),
        "no module": Plain,
    }[kind]()


def module_of(model: Any) -> torch.nn.Module | None:
    return model if isinstance(model, torch.nn.Module) else getattr(model, "network", None)


def images_for(model: Any) -> torch.Tensor:
    size = model.image_size
    return torch.rand(4, 3, size, size, generator=torch.Generator().manual_seed(3))


def features(model: Any, precision: str, images: torch.Tensor) -> dict[str, torch.Tensor]:
    seen = unroll(model, images, SHOWN, model.layers, precision)
    return {layer: full_precision(trajectory).dense(len(images)) for layer, trajectory in seen.items()}


@pytest.mark.parametrize(
    "kind", [*GRAPHS, "resnet18", "module", "transformer", "step", "sequence", "no module"]
)
def test_any_model_computes_in_16_bits_and_is_left_unchanged(kind) -> None:
    model = model_of(kind)
    images, module = images_for(model), module_of(model)
    before = {} if module is None else {name: v.clone() for name, v in module.state_dict().items()}
    hashed = weights_sha256(module)
    narrow, wide = features(model, "bfloat16", images), features(model, "float32", images)
    for layer, expected in wide.items():
        ours = narrow[layer]
        assert ours.dtype == torch.float32
        # bfloat16 has 8 significant bits: an error of 0.4 % per sum, relative to the spread of activities.
        error = (ours - expected).square().mean().sqrt() / expected.std()
        assert 0 < error < 0.03, (layer, error)
    assert weights_sha256(module) == hashed
    if module is not None:
        after = module.state_dict()
        assert list(after) == list(before)
        assert all(after[k].dtype == v.dtype and torch.equal(after[k], v) for k, v in before.items())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_surrounding_autocast_changes_nothing(precision) -> None:
    model = model_of("rgc_intermediate")
    images = images_for(model)
    expected = features(model, precision, images)
    for surroundings in (torch.autocast("cpu", torch.bfloat16), torch.autocast("cpu", torch.float16)):
        with surroundings:
            ours = features(model, precision, images)
            assert torch.is_autocast_enabled("cpu")
        assert all(torch.equal(ours[layer], expected[layer]) for layer in expected)


@pytest.mark.parametrize("kind", ["rgc_intermediate", "lstm_shallow", "step"])
def test_float32_is_exact_after_a_run_in_bfloat16(kind) -> None:
    """No value rounded in bfloat16 is reused in float32."""
    model = model_of(kind)
    images = images_for(model)
    first = features(model, "float32", images)
    features(model, "bfloat16", images)
    again = features(model, "float32", images)
    assert all(torch.equal(first[layer], again[layer]) for layer in first)


def test_features_have_16_bits_wherever_possible() -> None:
    """A single initial state in float32 would promote every sum of the median model to 32 bits."""
    model = model_of("rgc_intermediate")
    seen = unroll(model, images_for(model), SHOWN, model.layers, "bfloat16")
    assert {block.dtype for trajectory in seen.values() for block in trajectory.blocks} == {torch.bfloat16}


def test_a_leaky_sum_stays_in_32_bits() -> None:
    model = model_of("timedecay_shallow")
    seen = unroll(model, images_for(model), SHOWN, ["conv3", "conv4"], "bfloat16")
    assert {block.dtype for block in seen["conv3"].blocks[1:]} == {torch.float32}


def test_images_of_a_batch_do_not_affect_each_other_in_16_bits() -> None:
    model = model_of("rgc_intermediate")
    images = images_for(model)
    together, alone = features(model, "bfloat16", images), features(model, "bfloat16", images[1:2])
    for layer, expected in together.items():
        scale = expected.abs().max()
        assert (alone[layer] - expected[1:2]).abs().max() <= 2**-5 * scale, layer


@pytest.mark.parametrize("precision", ["float16", "bf16", "", None, 32])
def test_other_precisions_are_refused(precision) -> None:
    model = Plain()
    with pytest.raises(ContractError, match=r"precision is 'float32' or 'bfloat16', got"):
        unroll(model, images_for(model), SHOWN, ["a"], precision)


def test_precision_is_restored_after_the_with_block() -> None:
    x = torch.rand(2, 2)
    for precision, inside in zip(PRECISIONS, (torch.float32, torch.bfloat16), strict=True):
        with computing_in(precision):
            assert (x @ x).dtype == inside
        assert (x @ x).dtype == torch.float32
    with pytest.raises(PluginError, match="no such"), computing_in("bfloat16"):
        raise PluginError("no such")
    assert (x @ x).dtype == torch.float32


def test_a_gpu_without_bfloat16_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    with (
        pytest.raises(ContractError, match="does not compute in bfloat16; use"),
        computing_in("bfloat16", "cuda"),
    ):
        pass
    with computing_in("bfloat16", "cpu"), computing_in("float32", "cuda"):
        assert not torch.is_autocast_enabled("cuda")
