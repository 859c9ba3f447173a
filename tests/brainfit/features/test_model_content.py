"""A model's hash is the same in another process, and changes with all that it computes with."""

import copy
import dataclasses
import functools
import os
import subprocess
import sys
import threading
import typing
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
import torch
from tiny import TinyModel
from torch import nn

import brainfit
from brainfit.contracts.presentation import Presentation
from brainfit.errors import ContractError
from brainfit.features import source_files
from brainfit.features.model_content import model_content
from model_zoo.adapters import from_module, from_step


@pytest.fixture(autouse=True)
def _old_files(monkeypatch):
    """Files of the tree may be edited while tests run."""
    monkeypatch.setattr(source_files, "_started", lambda: float("inf"))


class Net(nn.Module):
    gain = 1.0

    def __init__(self, stride=1, bias=0.0):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.stride = stride
        self.register_buffer("bias", torch.tensor(bias))

    def forward(self, x):
        return self.norm(self.conv(x))[:, :, :: self.stride] * self.gain + self.bias


def change(net, what):
    match what:
        case "one weight":
            net.conv.weight.data[0, 0, 0, 0] += 1e-6
        case "a weight's sign of zero":
            net.bias.data.copy_(torch.tensor(-0.0))
        case "statistics":
            net.norm.running_mean += 1e-6
        case "a plain attribute":
            net.stride = 2
        case "an attribute of a part":
            net.conv.padding = (1, 1)
        case "the mode":
            net.eval()
        case "a part's class":
            net.norm = nn.InstanceNorm2d(4)
        case "the type of a weight":
            net.conv.weight.data = net.conv.weight.data.double()
        case "a hook":
            net.register_forward_hook(lambda module, given, found: found * 2)
        case "a method":
            net.forward = lambda x: x


CHANGES = (
    "one weight", "a weight's sign of zero", "statistics", "a plain attribute", "an attribute of a part",
    "the mode", "a part's class", "the type of a weight", "a hook", "a method",
)  # fmt: skip


def test_each_change_gives_another_hash():
    found = {"nothing": model_content(Net())}
    assert model_content(Net()) == found["nothing"]
    for what in CHANGES:
        net = Net()
        change(net, what)
        found[what] = model_content(net)
    assert len(set(found.values())) == len(found), found


def test_a_class_that_was_changed_gives_another_hash(monkeypatch):
    before = model_content(Net())
    monkeypatch.setattr(Net, "gain", 2.0)
    other = model_content(Net())
    assert other != before
    monkeypatch.setattr(Net, "forward", lambda self, x: x)
    assert model_content(Net()) not in (before, other)


def made_with(gain):
    class Closed(TinyModel):
        def unroll(self, images, presentation, layers):
            return super().unroll(images * gain, presentation, layers)

    return Closed()


def test_what_a_class_or_a_function_closes_over_counts():
    assert model_content(made_with(1)) == model_content(made_with(1))
    assert model_content(made_with(1)) != model_content(made_with(2))
    for make in (
        lambda gain: from_step(lambda frame, state: (frame * gain, state), ["a"], 16),
        lambda gain: from_module(nn.Sequential(nn.Identity()), ["0"], 16, std=(gain, 1, 1)),
        lambda gain: from_module(nn.Sequential(nn.Identity()), ["0"], 16, latencies={"0": gain}),
    ):
        assert model_content(make(1)) == model_content(make(1))
        assert model_content(make(1)) != model_content(make(2))


@pytest.mark.parametrize(
    "attribute",
    [
        [1, (2.0, None), {"a": {3}}, frozenset({"b"})],
        np.arange(6.0)[::2],
        np.array([{"a": 1}], object),
        torch.float16,
        Path("x"),
        functools.partial(max, 1),
        torch.relu,
        networks,
        dataclasses.make_dataclass,
        range(3),
    ],
    ids=lambda attribute: type(attribute).__name__,
)
def test_attributes_of_all_kinds_are_read_by_value(attribute):
    def with_it():
        model: Any = TinyModel()
        model.extra = attribute
        return model

    assert model_content(with_it()) == model_content(with_it()) != model_content(TinyModel())


def test_models_may_hold_themselves():
    model: Any = TinyModel()
    model.parts = [model]
    assert model_content(model) != model_content(TinyModel())


@pytest.mark.parametrize(
    ("attribute", "what"),
    [
        (threading.Lock(), "it holds a _thread.lock, which cannot be read by value"),
        ((k for k in "ab"), "it holds a builtins.generator"),
        (torch.ones(2).to_sparse(), "a tensor that is not a dense one"),
    ],
)
def test_what_cannot_be_read_by_value_is_said(attribute, what):
    model: Any = TinyModel()
    model.extra = attribute
    with pytest.raises(ContractError, match=what):
        model_content(model)


def test_code_in_no_file_has_no_hash():
    space = {"__name__": "notebook", "TinyModel": TinyModel}
    exec("class Mine(TinyModel): pass", space)
    with pytest.raises(ContractError, match="code of module 'notebook', which is in no file"):
        model_content(space["Mine"]())


def test_a_file_that_has_changed_since_it_was_imported_has_no_hash(monkeypatch):
    monkeypatch.setattr(source_files, "_started", lambda: 0.0)
    with pytest.raises(ContractError, match="has changed since this process began"):
        model_content(TinyModel())


MINE = """
import os
from tiny import TinyModel
import numpy
GAIN = float(os.environ.get("GAIN", "1"))

def make():
    return Mine()

class Mine(TinyModel):
    def unroll(self, images, presentation, layers):
        from helper import shade
        return super().unroll(shade(images) * GAIN, presentation, layers)
"""
PRINT = """
import sys
sys.path[:0] = [sys.argv[1], "."]
from brainfit import source_files
source_files._started = lambda: float("inf")
from brainfit import load_model
from brainfit.features.model_content import model_content
print(model_content(load_model("mine.py:make")), model_content(load_model("median_convrnn", image_size=32)))
"""
AFTER_USE = """
import importlib, pkgutil, torch, brainfit, model_zoo
from brainfit.contracts.presentation import Presentation
for package in (brainfit, model_zoo):
    for _, name, _ in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        name.endswith("__main__") or importlib.import_module(name)
mine = load_model("mine.py:make")
assert "helper" not in sys.modules
mine.unroll(torch.zeros(1, 3, 16, 16), Presentation(step_ms=10), ["small"])
assert "helper" in sys.modules
"""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("__slotnames__", []),
        ("__annotations_cache__", {}),
        ("__annotate_func__", None),
    ],
)
def test_what_python_notes_on_a_class_that_was_used_changes_no_hash(monkeypatch, name, value):
    model = brainfit.load_model("gru_shallow")
    monkeypatch.delattr(type(model), name, raising=False)
    before = model_content(model)
    monkeypatch.setattr(type(model), name, value, raising=False)
    assert model_content(model) == before


def twice(module, given, found):
    return found * 2


def plus_one(module, given, found):
    return found + 1


def hooked(*hooks, **kind):
    net = Net()
    for hook in hooks:
        net.register_forward_hook(hook, **kind)
    return model_content(net)


def test_hooks_count_but_not_how_many_other_modules_have():
    before = hooked(twice, plus_one)
    nn.Identity().register_forward_hook(twice)
    assert hooked(twice, plus_one) == before
    others = (hooked(), hooked(twice), hooked(plus_one, twice), hooked(twice, plus_one, always_call=True))
    assert len({before, *others}) == 5


def test_the_order_within_a_set_and_shared_tuples_count_for_nothing():
    def functions(order):
        return {lambda x, k=k: x * k for k in order}

    def with_it(attribute):
        model: Any = TinyModel()
        model.extra = attribute
        return model_content(model)

    before = with_it(functions(range(9)))
    assert before == with_it(functions(reversed(range(9)))) != with_it(functions(range(8)))
    pair = (1, (2, None))
    assert with_it([pair, pair]) == with_it([pair, (1, (2, None))]) != with_it([pair, (1, (2, 0))])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["median_convrnn", "ugrnn_shallow", "resnet18", "ff"])
def test_use_of_a_model_changes_no_hash(name):
    model = brainfit.load_model(name, image_size=72)
    before = model_content(model)
    with torch.inference_mode():
        model.unroll(torch.rand(2, 3, 72, 72), Presentation(step_ms=model.step_ms), list(model.layers)[-2:])
    assert repr(model)
    copied = copy.deepcopy(model)
    typing.get_type_hints(type(model).unroll)
    assert before == model_content(model) == model_content(copied)


@pytest.mark.slow
def test_the_hash_is_that_of_the_files_and_the_same_in_another_process(tmp_path):
    def hashes(script=PRINT, **environment):
        tests = str(Path(__file__).parents[2] / "helpers")
        done = subprocess.run(
            [sys.executable, "-c", script, tests],
            capture_output=True, text=True, cwd=tmp_path, check=True, env={**os.environ, **environment},
        )  # fmt: skip
        return done.stdout.split()

    mine, helper = tmp_path / "mine.py", tmp_path / "helper.py"
    mine.write_text(MINE)
    helper.write_text("def shade(images):\n    return images\n")
    first = hashes()
    assert hashes(PYTHONHASHSEED="1") == first
    assert hashes(script=PRINT + AFTER_USE + PRINT.splitlines()[-1]) == first * 2
    assert model_content(brainfit.load_model("median_convrnn", image_size=32)) == first[1]
    found = {first[0], hashes(GAIN="2")[0]}
    helper.write_text("def shade(images):\n    return images * 2\n")  # imported within a method
    found.add(hashes()[0])
    mine.write_text(MINE.replace("shade(images) *", "shade(images) +"))
    found.add(hashes()[0])
    assert len(found) == 4
    assert hashes()[1] == first[1]


def test_installed_packages_stand_for_themselves_and_ours_are_read():
    names = dict(source_files.source_identity({"model_zoo.engine.graph", "torch.nn.modules.conv"}))
    assert names["torch"] == torch.__version__
    assert {
        "model_zoo.engine.graph",
        "model_zoo.engine.node",
        "brainfit.contracts.trajectory",
    } <= names.keys()
    assert not [name for name in names if name.startswith("torch.")]
