"""A user's own network: feedforward by its submodules, recurrent by its step."""

import pytest
import torch
from torch import nn

from brainfit.errors import ContractError, UnknownNameError
from brainfit.presentation import Presentation
from brainfit.protocols import Model
from model_zoo.adapters import from_module, from_step

SIZE = 16
SHOWN = Presentation(on_ms=30, off_ms=40)


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(196, 5),
    )


class Leaky(nn.Module):
    """A recurrent network whose `step` writes into its own state."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3)
        self.drop = nn.Dropout(0.5)

    def forward(self, frame: torch.Tensor, state: torch.Tensor | None):
        drive = self.drop(self.conv(frame))
        state = torch.zeros_like(drive) if state is None else state
        state.mul_(0.5).add_(drive)
        return {"conv": drive, "leaky": state}, state

    def run(self, frame: torch.Tensor, state: torch.Tensor | None):
        return self(frame, state)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def normalized(images: torch.Tensor) -> torch.Tensor:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (images - mean.view(3, 1, 1)) / std.view(3, 1, 1)


def test_module_answers_in_a_square_wave(images) -> None:
    module = net().train()
    module[1].eval()
    model = from_module(module, ["0", "2", "5"], SIZE, name="mine", region_layers={"V4": "2"})
    assert isinstance(model, Model)
    seen = model.unroll(images, SHOWN, ["0", "5"])
    assert [seen[layer].index for layer in ("0", "5")] == [(0, 0, 0, 1, 1, 1, 1), (0, 0, 1, 1, 1, 2, 2)]
    module.eval()
    gray = torch.full((1, 3, SIZE, SIZE), 0.5)
    with torch.inference_mode():
        expected = [torch.zeros(1, 5), module(normalized(images)), module(gray)]
        first = module[0](normalized(images))
    for block, theirs in zip(seen["5"].blocks, expected, strict=True):
        torch.testing.assert_close(block, theirs)
    torch.testing.assert_close(seen["0"].blocks[0], first)


def test_modes_come_back_even_after_an_error(images) -> None:
    module = net()
    module[3].eval()
    modes = [part.training for part in module.modules()]
    from_module(module, ["5"], SIZE).unroll(images, SHOWN, ["5"])
    assert [part.training for part in module.modules()] == modes
    with pytest.raises(ContractError, match="gives a tuple"):
        from_module(nn.Sequential(module, nn.LSTM(5, 5)), ["1"], SIZE).unroll(images, SHOWN, ["1"])
    assert [part.training for part in module.modules()] == modes
    assert not any(part._forward_hooks for part in module.modules())


def test_output_before_an_activation_in_place_is_kept(images) -> None:
    module = net().eval()
    seen = from_module(module, ["1"], SIZE).unroll(images, SHOWN, ["1"])
    assert seen["1"].blocks[0].min() < 0


def test_each_distinct_frame_runs_once(images) -> None:
    module = net()
    runs = []
    module.register_forward_hook(lambda *_: runs.append(1))
    from_module(module, ["0", "1", "5"], SIZE).unroll(images, SHOWN, ["0", "5"])
    assert len(runs) == 2


def test_latencies_can_be_given(images) -> None:
    model = from_module(net(), ["5"], SIZE, latencies={"5": 4})
    assert model.unroll(images, SHOWN, ["5"])["5"].index == (0, 0, 0, 0, 1, 1, 1)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.unused = nn.ReLU()
        self.rnn = nn.GRU(SIZE, 2)
        self.sum = nn.Flatten(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.relu(x))
        self.rnn(x[:, 0])
        return self.sum(x)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("relu", "'relu' ran 2 times"),
        ("unused", "'unused' ran 0 times"),
        ("rnn", "'rnn' gives a tuple"),
        ("sum", r"shape \(1536,\) for 2 images"),
    ],
)
def test_unfit_submodules_are_refused(images, layer, message) -> None:
    model = from_module(Twice(), [layer], SIZE)
    with pytest.raises(ContractError, match=message):
        model.unroll(images, SHOWN, [layer])


def test_wrong_names_are_refused(images) -> None:
    with pytest.raises(UnknownNameError, match="submodule of Twice 'reluu'; did you mean 'relu'"):
        from_module(Twice(), ["reluu"], SIZE)
    with pytest.raises(UnknownNameError, match="layer of custom 'rnn'"):
        from_module(Twice(), ["relu"], SIZE).unroll(images, SHOWN, ["rnn"])
    with pytest.raises(ContractError, match="latencies must give"):
        from_module(Twice(), ["relu"], SIZE, latencies={"relu": -1})


@pytest.mark.parametrize("form", ["module", "method", "function"])
def test_steps_are_the_users_own(images, form) -> None:
    leaky = Leaky().train()
    step = {"module": leaky, "method": leaky.run, "function": lambda f, s: leaky(f, s)}[form]
    if form == "function":
        leaky.eval()
    model = from_step(step, ["conv", "leaky"], SIZE)
    assert isinstance(model, Model)
    seen = model.unroll(images, SHOWN, ["leaky"])["leaky"]
    assert seen.index == tuple(range(7))
    assert leaky.training == (form != "function")
    with torch.inference_mode():
        drives = [leaky.conv(normalized(images))] * 3 + [leaky.conv(torch.full((2, 3, SIZE, SIZE), 0.5))] * 4
        state = torch.zeros_like(drives[0])
        for drive, block in zip(drives, seen.blocks, strict=True):
            state = 0.5 * state + drive
            torch.testing.assert_close(block, state)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda frame, state: frame, "must return a dict of outputs and the next state, got Tensor"),
        (lambda frame, state: (frame, state), "must return a dict of outputs"),
        (lambda frame, state: ({"b": frame}, state), "gives outputs 'b', but not 'a'"),
        (lambda frame, state: ({"a": [frame]}, state), "'a' gives a list"),
        (lambda frame, state: ({"a": frame[:1]}, state), r"shape \(1, 3, 16, 16\) for 2 images"),
    ],
)
def test_wrong_steps_are_refused(images, step, message) -> None:
    with pytest.raises(ContractError, match=message):
        from_step(step, ["a"], SIZE).unroll(images, SHOWN, ["a"])


def test_pixels_can_be_left_as_they_are(images) -> None:
    model = from_step(lambda f, s: ({"a": f}, s), ["a"], SIZE, mean=(0, 0, 0), std=(1, 1, 1))
    torch.testing.assert_close(model.unroll(images, SHOWN, ["a"])["a"].blocks[0], images)


def test_weights_are_named_by_what_they_hold():
    net = nn.Sequential(nn.Conv2d(3, 2, 3))
    first = from_module(net, ["0"], 8).weights
    assert first.startswith("sha256:")
    assert from_module(net, ["0"], 8).weights == first
    with torch.no_grad():
        net[0].weight.add_(1)  # type: ignore[union-attr]
    assert from_module(net, ["0"], 8).weights != first
    assert from_step(lambda frame, state: ({"a": frame}, state), ["a"], 8).weights == "unknown"
