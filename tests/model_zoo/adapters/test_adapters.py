"""Adapters for a user's own network: behaviour shared by all, and networks read by submodule or by step."""

import contextlib
import copy
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
import torch
from networks import (
    GRAY,
    HELD,
    RT,
    SHOWN,
    SIZE,
    ConvLSTM,
    Residual,
    Transformer,
    Unfit,
    Video,
    net,
    normalized,
    some_images,
)
from torch import nn

from brainfit.contracts.model import Model
from brainfit.contracts.presentation import Presentation
from brainfit.errors import ContractError, UnknownNameError
from brainfit.features.check_model import check_model
from model_zoo.adapters import each_call, from_module, from_sequence, from_step
from model_zoo.networks.median_convrnn import median_convrnn


@pytest.fixture
def images() -> torch.Tensor:
    return some_images()


class Kind(NamedTuple):
    """A network, the adapter that makes it a model, and inputs for it."""

    network: Callable[[], nn.Module]
    adapt: Callable[[Any], Model]
    presentation: Presentation = SHOWN


KINDS = {
    "module": Kind(net, lambda m: from_module(m, ["5"], SIZE, weights="mine")),
    "step": Kind(ConvLSTM, lambda m: from_step(m, ["h"], SIZE, weights="mine")),
    "frames": Kind(Video, lambda m: from_sequence(m, ["time"], SIZE, weights="mine")),
    "image": Kind(
        RT,
        lambda m: from_sequence(
            each_call(m, ["IT.output"]), ["IT.output"], SIZE, takes="image", weights="mine"
        ),
        HELD,
    ),
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def test_a_module_responds_to_the_image_and_then_to_gray(images) -> None:
    module = net().train()
    module[1].eval()
    model = from_module(module, ["0", "2", "5"], SIZE, name="mine", region_layers={"V4": "2"})
    assert isinstance(model, Model)
    seen = model.unroll(images, SHOWN, ["0", "5"])
    assert [seen[layer].index for layer in ("0", "5")] == [(0, 0, 0, 1, 1, 1, 1), (0, 0, 1, 1, 1, 2, 2)]
    module.eval()
    with torch.inference_mode():
        expected = [torch.zeros(1, 5), module(normalized(images)), module(GRAY)]
        first = module[0](normalized(images))
    for block, theirs in zip(seen["5"].blocks, expected, strict=True):
        torch.testing.assert_close(block, theirs)
    torch.testing.assert_close(seen["0"].blocks[0], first)


def broken(module: nn.Module, _inputs: Any) -> None:
    raise ValueError("broken in training" if module.training else "broken in evaluation")


@each_kind
def test_training_modes_and_hooks_are_restored_even_after_an_error(images, kind) -> None:
    module = kind.network().train()
    next(module.children()).eval()
    modes = [part.training for part in module.modules()]
    model = kind.adapt(module)
    once, again = (model.unroll(images, kind.presentation, model.layers) for _ in range(2))
    for layer in model.layers:  # compared without dropout
        assert torch.equal(once[layer].dense(), again[layer].dense())
    assert [part.training for part in module.modules()] == modes
    module.register_forward_pre_hook(broken)
    with pytest.raises(ValueError, match="broken in evaluation"):
        model.unroll(images, kind.presentation, model.layers)
    assert [part.training for part in module.modules()] == modes
    assert not any(part._forward_hooks for part in module.modules())


@each_kind
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_features_have_the_precision_of_the_network(images, kind, dtype) -> None:
    plain = kind.adapt(kind.network())
    typed = kind.adapt(kind.network().to(dtype))
    (layer,) = plain.layers
    seen = typed.unroll(images, kind.presentation, [layer])[layer].dense()
    assert seen.dtype == dtype
    expected = plain.unroll(images, kind.presentation, [layer])[layer].dense()
    torch.testing.assert_close(seen.float(), expected, atol=0.05, rtol=0.05)


@each_kind
def test_models_fulfil_the_contract_and_can_be_copied(images, kind) -> None:
    model = kind.adapt(kind.network())
    check_model(model)
    (layer,) = model.layers
    copied = copy.deepcopy(model).unroll(images, kind.presentation, [layer])[layer]
    assert torch.equal(copied.dense(), model.unroll(images, kind.presentation, [layer])[layer].dense())


def test_threads_sharing_a_network_run_one_at_a_time() -> None:
    together = threading.Barrier(2)

    class Meeting(nn.Module):
        def forward(self, shown: torch.Tensor) -> torch.Tensor:
            with contextlib.suppress(threading.BrokenBarrierError):
                together.wait(0.2)  # times out, because no other thread may enter
            return shown.mean((2, 3))

    model = from_module(nn.Sequential(Meeting()), ["0"], SIZE)
    batches = [torch.full((2, 3, SIZE, SIZE), value) for value in (0.2, 0.8)]
    with ThreadPoolExecutor(2) as pool:
        seen = list(pool.map(lambda batch: model.unroll(batch, HELD, ["0"])["0"].blocks[0], batches))
    assert together.broken
    for block, batch in zip(seen, batches, strict=True):
        torch.testing.assert_close(block, normalized(batch).mean((2, 3)))


@pytest.mark.parametrize("layer", ["conv1", "bn1", "conv2", "bn2"])
def test_an_in_place_activation_does_not_change_the_recorded_output(images, layer) -> None:
    module = Residual().eval()
    seen = from_module(module, [layer], SIZE).unroll(images, SHOWN, [layer])[layer].blocks[0]
    with torch.inference_mode():
        first = module.conv1(normalized(images))
        second = module.conv2(module.bn1(first).relu())
        truth = {"conv1": first, "bn1": module.bn1(first), "conv2": second, "bn2": module.bn2(second)}
    torch.testing.assert_close(seen, truth[layer])
    assert seen.min() < 0


def test_each_distinct_frame_is_computed_once_for_all_layers(images) -> None:
    module = net()
    runs = []
    module.register_forward_hook(lambda *_: runs.append(1))
    layers = ["0", "1", "2", "4", "5"]
    model = from_module(module, layers, SIZE)
    seen = model.unroll(images, Presentation(), layers)
    assert len(runs) == 2
    assert [trajectory.run_lengths for trajectory in seen.values()] == [
        (10, 15),
        (1, 10, 14),
        (2, 10, 13),
        (3, 10, 12),
        (4, 10, 11),
    ]
    model.unroll(images, HELD, layers)
    assert len(runs) == 3


def test_latencies_shift_layers_in_time(images) -> None:
    model = from_module(net(), ["5"], SIZE, latencies={"5": 4})
    assert model.unroll(images, SHOWN, ["5"])["5"].index == (0, 0, 0, 0, 1, 1, 1)


def test_tokens_of_a_transformer_are_features(images) -> None:
    module = Transformer().eval()
    seen = from_module(module, ["patch", "norm"], SIZE).unroll(images, SHOWN, ["norm"])["norm"]
    with torch.inference_mode():
        torch.testing.assert_close(seen.blocks[1].flatten(0, 1), module(normalized(images)))
    assert seen.blocks[1].shape == (2, 16, 8)


def test_channels_last_memory_gives_the_same_features(images) -> None:
    plain = from_module(net(), ["1"], SIZE).unroll(images, SHOWN, ["1"])["1"].dense()
    last = from_module(net().to(memory_format=torch.channels_last), ["1"], SIZE)  # type: ignore[call-overload]
    torch.testing.assert_close(last.unroll(images, SHOWN, ["1"])["1"].dense(), plain)


@pytest.mark.parametrize(
    ("module", "layer", "message"),
    [
        (
            Unfit,
            "relu",
            "'relu' ran 2 times in one forward pass, wanted once; .* from_sequence with each_call",
        ),
        (Residual, "relu", "'relu' ran 2 times"),
        (Residual, "same", "'same' ran 2 times"),
        (RT, "V1.output", "'V1.output' ran 20 times .* each_call"),
        (Unfit, "unused", "'unused' did not run in the forward pass"),
        (Unfit, "rnn", "'rnn' gives a tuple, wanted one tensor"),
        (Unfit, "named", "'named' gives a dict, wanted one tensor"),
        (Transformer, "attention", "'attention' gives a tuple"),
        (Unfit, "sum", r"shape \(1536,\) for 2 images, wanted \(image, \.\.\.\)"),
        (Transformer, "pool", r"shape \(32, 8\) for 2 images"),
    ],
)
def test_submodules_that_cannot_be_layers_are_refused(images, module, layer, message) -> None:
    model = from_module(module(), [layer], SIZE)
    with pytest.raises(ContractError, match=message):
        model.unroll(images, SHOWN, [layer])


def test_unknown_layer_names_are_refused(images) -> None:
    for adapt in (
        lambda layers: from_module(Unfit(), layers, SIZE),
        lambda layers: each_call(Unfit(), layers),
    ):
        with pytest.raises(UnknownNameError, match="submodule of Unfit 'reluu'; did you mean 'relu'"):
            adapt(["reluu"])
    with pytest.raises(UnknownNameError, match="layer of custom 'rnn'"):
        from_module(Unfit(), ["relu"], SIZE).unroll(images, SHOWN, ["rnn"])


@each_kind
@pytest.mark.parametrize("ask", [lambda layer: [layer] * 2, lambda layer: (x for x in [layer])])
def test_repeated_layers_and_generators_of_layers_are_read_once(images, kind, ask) -> None:
    model = kind.adapt(kind.network())
    (layer,) = model.layers
    once = model.unroll(images, kind.presentation, [layer])[layer]
    again = model.unroll(images, kind.presentation, ask(layer))
    assert list(again) == [layer]
    assert again[layer].index == once.index
    assert torch.equal(again[layer].dense(), once.dense())


@pytest.mark.parametrize("form", ["module", "method", "function"])
def test_a_step_function_gets_each_frame_and_its_last_state(images, form) -> None:
    lstm = ConvLSTM().train()
    step = {"module": lstm, "method": lstm.named, "function": lambda f, s: lstm(f, s)}[form]
    if form == "function":
        lstm.eval()
    model = from_step(step, ["gates", "h"], SIZE)
    assert isinstance(model, Model)
    seen = model.unroll(images, SHOWN, ["h"])["h"]
    assert seen.index == tuple(range(7))
    assert lstm.training == (form != "function")
    lstm.eval()
    state = None
    with torch.inference_mode():
        for frame, block in zip(
            [normalized(images)] * 3 + [GRAY.repeat(2, 1, 1, 1)] * 4, seen.blocks, strict=True
        ):
            outputs, state = lstm(frame, state)
            torch.testing.assert_close(block, outputs["h"])


def in_place(frame: torch.Tensor, state: torch.Tensor | None):
    """Step a network that modifies its frame and its state in place."""
    frame.mul_(2).relu_()
    state = torch.zeros_like(frame) if state is None else state
    state.mul_(0.5).add_(frame)
    return {"state": state}, state


def test_a_step_function_may_modify_its_arguments_in_place(images) -> None:
    seen = from_step(in_place, ["state"], SIZE).unroll(images, SHOWN, ["state"])["state"]
    state = torch.zeros_like(images)
    for frame, block in zip([normalized(images)] * 3 + [GRAY] * 4, seen.blocks, strict=True):
        state = 0.5 * state + (2 * frame).relu()
        torch.testing.assert_close(block, state)


def test_a_module_may_modify_its_input_in_place(images) -> None:
    before = images.clone()
    module = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 2, 3))
    model = from_module(module, ["0", "1"], SIZE, mean=(0, 0, 0), std=(1, 1, 1))
    model.unroll(images, SHOWN, ["1"])
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda frame, state: frame, "must return a dict of outputs and the next state, got Tensor"),
        (lambda frame, state: (frame, state), "must return a dict of outputs"),
        (lambda frame, state: ({"b": frame}, state), "step gives outputs 'b', but not 'a'"),
        (lambda frame, state: ({"a": [frame]}, state), "'a' gives a list"),
        (lambda frame, state: ({"a": frame[:1]}, state), r"shape \(1, 3, 16, 16\) for 2 images"),
    ],
)
def test_invalid_step_functions_are_refused(images, step, message) -> None:
    with pytest.raises(ContractError, match=message):
        from_step(step, ["a"], SIZE).unroll(images, SHOWN, ["a"])


def test_zero_mean_and_unit_std_leave_pixels_unchanged(images) -> None:
    model = from_step(lambda f, s: ({"a": f}, s), ["a"], SIZE, mean=(0, 0, 0), std=(1, 1, 1))
    torch.testing.assert_close(model.unroll(images, SHOWN, ["a"])["a"].blocks[0], images)


def test_the_name_of_weights_is_a_hash_of_their_values() -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 3))
    first = from_module(module, ["0"], 8).weights
    assert first.startswith("unknown, sha256:")
    assert from_module(module, ["0"], 8).weights == first
    assert from_step(module, ["0"], 8).weights == first  # type: ignore[arg-type]
    assert from_sequence(each_call(module, ["0"]), ["0"], 8).weights == first
    with torch.no_grad():
        module[0].weight.add_(1)  # type: ignore[union-attr]
    assert from_module(module, ["0"], 8).weights != first
    assert from_step(lambda frame, state: ({"a": frame}, state), ["a"], 8).weights == "unknown"
    assert from_sequence(lambda frames: {"a": frames}, ["a"], 8).weights == "unknown"
    assert from_module(module.bfloat16(), ["0"], 8).weights.startswith("unknown, sha256:")


def two_layers() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))


NAMED: dict[str, Callable[[], Any]] = {
    "module": lambda: from_module(two_layers(), ["0"], 8, weights="mine"),
    "step": lambda: from_step(two_layers(), ["0"], 8, weights="mine"),  # type: ignore[arg-type]
    "sequence": lambda: from_sequence(each_call(two_layers(), ["0"]), ["0"], 8, weights="mine"),
    "graph": lambda: median_convrnn(32, channel_divisor=32, n_classes=4),
}


@pytest.mark.parametrize("kind", NAMED)
def test_weights_changed_in_memory_lose_their_name(kind) -> None:
    model = NAMED[kind]()
    network = getattr(model, "network", model)
    name = "random:0" if kind == "graph" else "mine"
    assert model.weights == name
    tensor = next(network.buffers(), next(network.parameters())).data
    kept = tensor.clone()
    tensor += 1  # an edit that torch's version counter does not see
    assert model.weights.startswith("unknown, sha256:")
    tensor.copy_(kept)
    assert model.weights == name
    network.double()  # the same values in float64
    assert model.weights == name
    network.half()
    assert model.weights.startswith("unknown, sha256:")


def test_weights_of_a_graph_model_can_be_named() -> None:
    model = median_convrnn(32, channel_divisor=32, n_classes=4)
    model.load_state_dict({name: 0 * values for name, values in model.state_dict().items()})
    assert model.weights.startswith("unknown, sha256:")
    model.weights = "zeros"
    assert model.weights == "zeros"


class Quantized(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)
        self.register_buffer("sparse", torch.eye(3).to_sparse())
        self.register_buffer("narrow", torch.ones(3, dtype=torch.float16))
        self.register_buffer("integers", torch.ones((), dtype=torch.int64))

    def get_extra_state(self):
        return {"step": 3}

    def set_extra_state(self, state):
        pass


def test_state_of_any_type_can_be_hashed() -> None:
    assert from_module(Quantized(), ["conv"], 8).weights != from_module(Quantized(), ["conv"], 8).weights
    module = Quantized()
    assert from_module(module, ["conv"], 8).weights == from_module(module, ["conv"], 8).weights


def test_uninitialised_lazy_modules_are_refused() -> None:
    def lazy() -> nn.Module:
        return nn.Sequential(nn.LazyConv2d(4, 3))

    for adapt in (
        lambda: from_module(lazy(), ["0"], 8),
        lambda: from_step(lazy(), ["0"], 8),
        lambda: from_sequence(each_call(lazy(), ["0"]), ["0"], 8, weights="mine"),
    ):
        with pytest.raises(
            ContractError, match=r"has the lazy parameter '0.weight', .* run the network once"
        ):
            adapt()


def test_modules_on_the_meta_device_are_refused() -> None:
    for module in (nn.Sequential(nn.Conv2d(3, 4, 3, device="meta")), nn.Sequential(nn.Conv2d(3, 4, 3))):
        model = from_module(module, ["0"], 8)
        module.to("meta")
        assert model.weights == "unknown"
        with pytest.raises(ContractError, match="is on the meta device and has no values"):
            check_model(model)


@pytest.mark.parametrize(
    "hide", [lambda net: torch.jit.trace(net, torch.zeros(1, 3, 16, 16)), torch.jit.script]
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_layers_of_traced_modules_are_refused(images, hide) -> None:
    module = hide(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval())
    with pytest.raises(
        ContractError, match=r"'0' is part of a traced or scripted module, .* wrap the module that"
    ):
        from_module(module, ["0"], SIZE).unroll(images, SHOWN, ["0"])
