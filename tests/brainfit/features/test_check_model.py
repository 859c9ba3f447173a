"""Models that fulfil the contract pass; each violation is detected and named."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from brainfit.contracts.model import check_attributes, holds_image, readout_layers
from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ContractError, PluginError, ResourceError
from brainfit.execution import Execution
from brainfit.features.check_model import LayerCheck, ModelCheck, check_model
from brainfit.features.plan import usable_model
from brainfit.support.suggestions import unknown_name
from model_zoo.adapters import each_call, from_module, from_sequence, from_step
from model_zoo.networks.median_convrnn import median_convrnn

Steps = Callable[..., list[torch.Tensor]]


def good(model, images, presentation) -> list[torch.Tensor]:
    """Return the mean pixel one step late, decaying after the image."""
    on = presentation.timeline[0].steps
    mean = images.mean(dim=(2, 3))
    return [mean * 0.5 ** max(0, t - on + 1) for t in range(presentation.n_steps)]


@dataclass
class Toy:
    steps: Steps = good
    name: str = "toy"
    layers: Sequence[str] = ("a", "b")
    region_layers: Mapping[str, str] = field(default_factory=dict)
    image_size: int = 8
    step_ms: int = 10
    weights: str = "none"
    refuses: bool = True
    memory: list = field(default_factory=list)

    def unroll(self, images, presentation, layers) -> Any:
        for layer in layers:
            if self.refuses and layer not in self.layers:
                raise unknown_name("layer", layer, ("a", "b"))
        answer = {layer: Trajectory.from_steps(self.steps(self, images, presentation)) for layer in layers}
        self.memory.append((images, tuple(layers)))
        return answer


def test_models_that_fulfil_the_contract_pass() -> None:
    assert check_model(Toy()) == ModelCheck(
        "toy", (LayerCheck("a", (3,), 18, 18), LayerCheck("b", (3,), 18, 18))
    )
    seen = check_model(median_convrnn(32, channel_divisor=16, n_classes=10), n_images=2)
    assert seen.layers[0] == LayerCheck("conv1", (4, 8, 8), 2, 18)
    assert [check.layer for check in seen.layers][-1] == "readout"
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout())
    assert [check.distinct_blocks for check in check_model(from_module(module, ["0", "3"], 8)).layers] == [
        2,
        3,
    ]
    check_model(from_step(lambda f, s: ({"a": f if s is None else f + s}, f), ["a"], 8))


def test_the_random_state_of_the_caller_is_unchanged() -> None:
    before = torch.random.get_rng_state()
    check_model(Toy())
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": None}, "has name=None, wanted str"),
        ({"layers": "conv1"}, "has layers='conv1', wanted Sequence"),
        ({"name": " "}, "has name=' ', wanted some printable text"),
        ({"name": 3}, "has name=3, wanted str"),
        ({"name": "a\nb"}, "wanted some printable text"),
        ({"name": "a\udcff"}, "wanted some printable text"),
        ({"layers": None}, "has layers=None, wanted Sequence"),
        ({"layers": b"ab"}, "wanted Sequence"),
        ({"layers": (1, 2)}, "wanted different printable names"),
        ({"layers": ("a", ["b"])}, "wanted different printable names"),
        ({"layers": ()}, "wanted different printable names"),
        ({"layers": ("a", "a")}, "wanted different printable names"),
        ({"region_layers": None}, "has region_layers=None, wanted Mapping"),
        ({"region_layers": {3: "a"}}, "to region 3"),
        ({"region_layers": {"V4": "c"}}, "gives layer 'c' to region 'V4'"),
        ({"region_layers": {"V5": "a"}}, "to region 'V5'; regions are V1"),
        ({"image_size": 8.0}, "has image_size=8.0, wanted int"),
        ({"image_size": (8, 8)}, r"has image_size=\(8, 8\), wanted int"),
        ({"image_size": np.int64(8)}, r"has image_size=np.int64\(8\), wanted int"),
        ({"image_size": True}, "has image_size=True, wanted int"),
        ({"image_size": -8}, "has image_size=-8, wanted 1 or more"),
        ({"image_size": 10**400}, "wanted 1 or more, to a billion"),
        ({"step_ms": 0}, "has step_ms=0, wanted 1 or more"),
        ({"step_ms": "10"}, "has step_ms='10', wanted int"),
        ({"weights": None}, "has weights=None"),
        ({"weights": torch.zeros(30, 30)}, "has weights=tensor.*, wanted str"),
        ({"unroll": None}, "without a method unroll"),
    ],
)
def test_wrong_attributes_are_named(change, message) -> None:
    model = Toy()
    vars(model).update(change)
    with pytest.raises(ContractError, match=message) as error:
        check_attributes(model)
    assert str(error.value).isprintable()
    with pytest.raises(ContractError, match=message):
        check_model(model)


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (None, "got a NoneType without a method unroll"),
        (nn.ReLU(), "got a ReLU without a method unroll.*adapters wraps"),
        (Toy, "got the class Toy itself; call it"),
    ],
)
def test_objects_that_are_not_models_are_refused(thing, message) -> None:
    with pytest.raises(ContractError, match=message):
        check_attributes(thing)


def test_a_property_that_fails_is_named() -> None:
    class Failing(Toy):
        weights = property(lambda self: 1 / 0, lambda self, value: None)  # type: ignore[assignment]

    with pytest.raises(PluginError, match=r"model Failing: .* ZeroDivisionError.*test_check_model.py, line"):
        check_attributes(Failing())


def refuses_oddly(model, images, presentation, layers):
    if layers == ["no such layer"]:
        raise ValueError("no")
    return Toy.unroll(model, images, presentation, layers)


def refuses_as_a_dict_does(model, images, presentation, layers):
    return {layer: {"a": 0, "b": 0}[layer] for layer in layers} and Toy.unroll(
        model, images, presentation, layers
    )


def test_a_model_must_refuse_an_unknown_layer() -> None:
    with pytest.raises(ContractError, match="'no such layer' with an UnknownNameError; got an answer"):
        check_model(Toy(refuses=False))
    odd = type("Odd", (Toy,), {"unroll": refuses_oddly})
    with pytest.raises(ContractError, match=r"with an UnknownNameError; got .* ValueError: no"):
        check_model(odd())
    check_model(type("Dict", (Toy,), {"unroll": refuses_as_a_dict_does})())


def test_images_beyond_memory_are_refused() -> None:
    with pytest.raises(ResourceError, match="lower the model's image_size"):
        check_model(Toy(image_size=99999999))


def too_short(model, images, presentation):
    return good(model, images, presentation)[1:]


def not_finite(model, images, presentation):
    steps = good(model, images, presentation)
    steps[5] = steps[5] / 0
    return steps


def integers(model, images, presentation):
    return [step.long() for step in good(model, images, presentation)]


def odd_batch(model, images, presentation):
    return [torch.cat([step, step[:1]]) for step in good(model, images, presentation)]


def growing(model, images, presentation):
    return [step[:, : 1 + (t > 3)] for t, step in enumerate(good(model, images, presentation))]


def scalars(model, images, presentation):
    return [step[:, 0] for step in good(model, images, presentation)]


def fails(model, images, presentation):
    raise ValueError("bad\nthing")


def batch_shapes(model, images, presentation):
    return [step.repeat(1, len(images)) for step in good(model, images, presentation)]


def random(model, images, presentation):
    return [step + 0.1 * torch.rand(3) for step in good(model, images, presentation)]


def remembers(model, images, presentation):
    last = model.memory[-1][0].mean() if model.memory else 0
    return [step + last for step in good(model, images, presentation)]


def batch_norm(model, images, presentation):
    return [step - step.mean(dim=0) for step in good(model, images, presentation)]


def foresees(model, images, presentation):
    return [step + presentation.timeline[0].steps for step in good(model, images, presentation)]


def normalises_over_time(model, images, presentation):
    return [step / presentation.n_steps for step in good(model, images, presentation)]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (too_short, "layer 'a': 17 steps, wanted 18"),
        (not_finite, r"layer 'a': .* not finite \(NaN or infinite\) from step 5 on"),
        (integers, "a block is torch.int64"),
        (odd_batch, r"a block has shape \(5, 3\), wanted \(4 or 1"),
        (growing, r"a block has shape \(4, 2\), wanted \(4 or 1, 1\)"),
        (scalars, r"a block has shape \(4,\), wanted \(4 or 1, features"),
        (
            fails,
            r"model 'toy', layers 'a', 'b': unroll failed: ValueError: bad thing \(.*test_check_model.py",
        ),
        (random, "answers at random"),
        (remembers, "no state may stay from call to call"),
        (batch_norm, "depend on the other images"),
        (batch_shapes, "depend on the other images"),
        (foresees, "depend on what is shown later"),
        (normalises_over_time, "depend on what is shown later, or for how long"),
    ],
)
def test_wrong_trajectories_are_named(steps, message) -> None:
    with pytest.raises((ContractError, PluginError), match=message) as error:
        check_model(Toy(steps))
    assert "\n" not in str(error.value)
    assert "model 'toy'" in str(error.value)


class WrongAlone(Toy):
    def unroll(self, images, presentation, layers):
        answer = super().unroll(images, presentation, layers)
        if len(layers) == 1:
            answer = {
                layer: Trajectory(tuple(b + 1 for b in t.blocks), t.index) for layer, t in answer.items()
            }
        return answer


class ReturnsAll(Toy):
    def unroll(self, images, presentation, layers):
        return super().unroll(images, presentation, layers) | super().unroll(images, presentation, ["a"])


class ReturnsTensors(Toy):
    def unroll(self, images, presentation, layers):
        return {layer: t.dense() for layer, t in super().unroll(images, presentation, layers).items()}


class ReturnsList(Toy):
    def unroll(self, images, presentation, layers):
        return list(super().unroll(images, presentation, layers).values())


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (WrongAlone, "answers differently when it is asked for alone"),
        (ReturnsAll, r"was asked for layers \['b'\] and returned \['b', 'a'\]"),
        (ReturnsTensors, "layer 'a': unroll must return a dict with a Trajectory for it, got Tensor"),
        (ReturnsList, "must return a dict with a Trajectory for it, got list"),
    ],
)
def test_models_that_treat_requests_wrongly_are_named(kind, message) -> None:
    with pytest.raises(ContractError, match=message):
        check_model(kind())


class Faulty(nn.Module):
    """A network of mean colours with a fault, which can be called in each way that the adapters use."""

    def __init__(self, fault: Callable[["Faulty", torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.fault = fault
        self.weight = nn.Parameter(torch.tensor(2.0))
        self.register_buffer("seen", torch.zeros(3))
        self.out = nn.Identity()

    def forward(self, shown: torch.Tensor) -> torch.Tensor:
        return self.out(self.fault(self, self.weight * shown.mean(dim=(-2, -1))))

    def step(self, frame: torch.Tensor, state: None):
        return {"out": self(frame)}, state

    def frames(self, shown: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"out": self(shown)}


class Held(Faulty):
    def forward(self, shown: torch.Tensor) -> torch.Tensor:
        for k in range(20):
            super().forward(shown / (k + 1))
        return shown


ADAPTERS = {
    "module": lambda fault: from_module(Faulty(fault), ["out"], 8),
    "step": lambda fault: from_step(Faulty(fault).step, ["out"], 8),
    "frames": lambda fault: from_sequence(Faulty(fault).frames, ["out"], 8),
    "image": lambda fault: from_sequence(each_call(Held(fault), ["out"]), ["out"], 8, takes="image"),
}


def counts_calls(model, x):
    model.seen += 1
    return x + model.seen


def keeps_a_mean(model, x):
    model.seen.lerp_(x.flatten(0, -2).mean(dim=0), 0.01)
    return x - model.seen


def drops_out(model, x):
    return nn.functional.dropout(x, 0.5, training=True)


def normalises_the_batch(model, x):
    return x - x.mean(dim=0)


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda model, x: x, None),
        (counts_calls, "no state may stay from call to call"),
        (keeps_a_mean, "no state may stay from call to call"),
        (drops_out, "answers at random"),
        (normalises_the_batch, "depend on the other images"),
        (lambda model, x: x / 0, "are not finite .* from step 0 on"),
        (lambda model, x: x * float("nan"), "are not finite"),
        (lambda model, x: x.long(), "a block is torch.int64, wanted floating-point numbers"),
        (lambda model, x: x[:1], r"gives shape .* for [24] images"),
        (lambda model, x: x.tolist(), "gives a list, wanted one tensor"),
    ],
)
def test_faults_of_adapted_networks_are_named(adapter, fault, message) -> None:
    model = ADAPTERS[adapter](fault)
    if message is None:
        assert check_model(model).layers[0].feature_shape == (3,)
        return
    with pytest.raises(ContractError, match=message) as error:
        check_model(model)
    assert str(error.value).isprintable()


def pools(k: int):
    """Average over groups of k steps, as a temporal stride does."""

    def pooled(model, x):
        starts = [t - t % k for t in range(x.shape[1])]
        return torch.stack([x[:, start : start + k].mean(dim=1) for start in starts], dim=1)

    return pooled


@pytest.mark.parametrize(
    "fault",
    [
        *map(pools, range(2, 9)),
        lambda model, x: torch.cat([x[:, 1:], x[:, -1:]], dim=1),
        lambda model, x: x + x.flip(1),
        lambda model, x: x - x.mean(dim=1, keepdim=True),
        lambda model, x: x * torch.linspace(0, 1, x.shape[1])[:, None],
    ],
)
def test_networks_that_see_later_frames_are_refused(fault) -> None:
    with pytest.raises(ContractError, match="depend on what is shown later"):
        check_model(ADAPTERS["frames"](fault))


@pytest.mark.parametrize("change", [1, -1])
def test_a_wrong_number_of_steps_is_refused(change) -> None:
    with pytest.raises(ContractError, match=f"gives {18 + change} steps for 18 frames"):
        check_model(ADAPTERS["frames"](lambda model, x: torch.cat([x, x], dim=1)[:, : x.shape[1] + change]))


def test_a_model_that_holds_its_image_is_checked_without_gray() -> None:
    class Held(Toy):
        holds_image = True

        def unroll(self, images, presentation, layers):
            assert presentation.off_ms == 0
            return super().unroll(images, presentation, layers)

    assert check_model(Held()).layers[0].n_steps == 18
    with pytest.raises(ContractError, match="depend on what is shown later, or for how long"):
        check_model(Held(foresees))


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("holds_image", "yes", "has holds_image='yes', wanted bool"),
        ("holds_image", None, "has holds_image=None, wanted bool"),
        ("readout_layers", "b", "has readout_layers='b', wanted Sequence"),
        ("readout_layers", {"b"}, "has readout_layers={'b'}, wanted Sequence"),
        ("readout_layers", ["fc"], "has readout layer 'fc', wanted one of its layers: a, b"),
        ("layers", {"a", "b"}, "has layers={'[ab]', '[ab]'}, wanted Sequence"),
    ],
)
def test_optional_attributes_and_order_are_checked(attribute, value, message) -> None:
    model = Toy()
    setattr(model, attribute, value)
    with pytest.raises(ContractError, match=message):
        check_model(model)


def test_optional_attributes_have_defaults() -> None:
    assert not holds_image(Toy())
    assert readout_layers(Toy()) == ()


def test_a_state_that_changes_in_place_is_detected() -> None:
    memory = torch.zeros(4, 3)

    def counts_in_place(model, images, presentation):
        memory.add_(1)
        return [memory[: len(images)]] * presentation.n_steps

    with pytest.raises(ContractError, match="no state may stay from call to call"):
        check_model(Toy(counts_in_place))


class Halves(nn.Module):
    """A network with a parameter and a buffer, as each adapter takes it."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x, state=None):
        return self.second(self.first(x))


class OwnModel(Toy, nn.Module):
    """A model that is a torch module itself."""

    __hash__ = nn.Module.__hash__  # pyright: ignore[reportAssignmentType]

    def __init__(self):
        nn.Module.__init__(self)
        Toy.__init__(self)
        self.net = Halves()


@pytest.mark.parametrize("part", ["first", "second"])
@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("module", lambda net: from_module(net, ["second"], 16)),
        ("step", lambda net: from_step(net, ["second"], 16)),
        ("sequence", lambda net: from_sequence(each_call(net, ["second"]), ["second"], 16)),
        ("own", None),
    ],
)
@pytest.mark.parametrize("entry", [check_model, lambda model: usable_model(model, Execution())])
def test_a_part_on_the_meta_device_is_named(kind, make, part, entry) -> None:
    model = OwnModel() if make is None else None
    net = Halves() if model is None else model.net
    getattr(net, part).to("meta")
    model = make(net.eval()) if make else model
    with pytest.raises(
        ContractError, match=rf"'(\w+\.)*{part}\.\w+' is on the meta device and has no values"
    ):
        entry(model)


def test_checking_with_a_single_image_is_refused() -> None:
    with pytest.raises(ContractError, match="2 or more"):
        check_model(Toy(), n_images=1)
