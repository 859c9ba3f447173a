"""The content hash of a model is the same in another process, and changes with all it computes with."""

import copy
import os
import subprocess
import sys
import threading
import typing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import TinyModel
from torch import nn

import brainfit
from brainfit.contracts.presentation import Presentation
from brainfit.errors import ContractError, PluginError
from brainfit.features import code_identity as identity
from brainfit.features.code_identity import code_identity
from brainfit.features.content import content_hash
from model_zoo.adapters import from_module, from_step
from model_zoo.engine.graph import GraphModel


@pytest.fixture(autouse=True)
def _old_files(monkeypatch):
    """Allow source files to be edited while tests run."""
    monkeypatch.setattr("brainfit.features.code_identity._started", lambda: float("inf"))


class Net(nn.Module):
    def __init__(self, stride=1, bias=0.0):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.stride = stride
        self.register_buffer("bias", torch.tensor(bias))

    def forward(self, x):
        return self.norm(self.conv(x))[:, :, :: self.stride] + self.bias

    def double_output(self, module, given, found):
        return found * 2


def twice(module, given, found):
    return found * 2


def plus_one(module, given, found):
    return found + 1


CHANGES = {
    "one weight": lambda net: net.conv.weight.data[0, 0, 0, 0].add_(1e-6),
    "the sign of zero": lambda net: net.bias.data.copy_(torch.tensor(-0.0)),
    "statistics": lambda net: net.norm.running_mean.add_(1e-6),
    "a plain attribute": lambda net: setattr(net, "stride", 2),
    "an attribute of a part": lambda net: setattr(net.conv, "padding", (1, 1)),
    "the mode": lambda net: net.eval(),
    "the class of a part": lambda net: setattr(net, "norm", nn.InstanceNorm2d(4)),
    "the type of a weight": lambda net: setattr(net.conv.weight, "data", net.conv.weight.data.double()),
    "the memory format": lambda net: net.to(memory_format=torch.channels_last),
    "a hook": lambda net: net.register_forward_hook(twice),
    "a hook that is always called": lambda net: net.register_forward_hook(twice, always_call=True),
    "another hook": lambda net: net.register_forward_hook(lambda module, given, found: found * 2),
    "a method": lambda net: setattr(net, "forward", lambda x: x),
    "a note on a weight": lambda net: setattr(net.conv.weight, "note", 1),
}


def test_every_change_changes_the_hash():
    found = {"nothing": content_hash(Net())}
    assert content_hash(Net()) == found["nothing"]
    for what, change in CHANGES.items():
        net = Net()
        change(net)
        found[what] = content_hash(net)
    assert len(set(found.values())) == len(found), found


def test_the_hash_depends_on_the_order_of_parts():
    parts = [("a", nn.ReLU()), ("b", nn.Sigmoid())]
    one, other = (nn.ModuleDict(dict(order)) for order in (parts, parts[::-1]))
    assert content_hash(one) != content_hash(other)


@pytest.mark.parametrize(
    "make",
    [
        lambda gain: from_step(lambda frame, state: (frame * gain, state), ["a"], 16),
        lambda gain: from_module(nn.Sequential(nn.Identity()), ["0"], 16, std=(gain / 2, 1, 1)),
        lambda gain: from_module(nn.Sequential(nn.Identity()), ["0"], 16, latencies={"0": gain}),
    ],
)
def test_the_hash_depends_on_closures_and_arguments(make):
    assert content_hash(make(1)) == content_hash(make(1))
    assert content_hash(make(1)) != content_hash(make(2))


def test_hooks_of_other_modules_do_not_change_the_hash():
    def hooked(*hooks):
        net = Net()
        for hook in hooks:
            net.register_forward_hook(hook)
        return content_hash(net)

    before = hooked(twice, plus_one)
    nn.Identity().register_forward_hook(twice)
    assert hooked(twice, plus_one) == before
    assert len({before, hooked(), hooked(twice), hooked(plus_one, twice)}) == 4


@pytest.mark.parametrize(
    ("attribute", "what"),
    [
        (threading.Lock(), "cannot be read by value: cannot pickle '_thread.lock'"),
        ((k for k in "ab"), "cannot be read by value: cannot pickle 'generator'"),
        (torch.ones(2).to_sparse(), "a tensor that is not a dense one"),
        (torch.ones(2, device="meta"), "a tensor that is not a dense one"),
        (nn.LazyLinear(3), "a tensor that is not a dense one"),
        (type("Local", (), {}), "cannot be read by value"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_model_with_unreadable_content_has_no_hash(attribute, what):
    model: Any = TinyModel()
    model.extra = attribute
    with pytest.raises(ContractError, match=what) as refused:
        content_hash(model)
    assert "\n" not in str(refused.value)


def test_a_model_that_refers_to_itself_has_a_hash():
    class_hash = content_hash(TinyModel())
    models: list[Any] = [TinyModel(), TinyModel(), TinyModel(seed=1)]
    for model in models:
        model.parts = [model]
    found = [content_hash(model) for model in models]
    assert found[0] == found[1]
    assert len({*found, class_hash}) == 3
    nets = [Net(), Net(), Net(stride=2)]
    for net in nets:
        net.conv.register_forward_hook(net.double_output)
    found = [content_hash(net) for net in nets]
    assert found[0] == found[1] != found[2]


def test_global_hooks_are_refused():
    handle = torch.nn.modules.module.register_module_forward_hook(twice)
    try:
        with pytest.raises(ContractError, match="global hooks"):
            content_hash(Net())
    finally:
        handle.remove()


class Token(TinyModel):
    def __init__(self, token):
        super().__init__()
        self.token, self.lock = token, threading.Lock()

    def cache_token(self):
        if isinstance(self.token, Exception):
            raise self.token
        return self.token


def test_a_cache_token_replaces_unreadable_content():
    assert content_hash(Token("a")) == content_hash(Token("a")) != content_hash(Token("b"))
    for wrong in (None, "", 3):
        with pytest.raises(ContractError, match=r"cannot be read by value|cache_token"):
            content_hash(Token(wrong))
    with pytest.raises(PluginError, match="out of order"):
        content_hash(Token(RuntimeError("out of order")))


def in_module(name, code, **variables):
    space = {"__name__": name, "TinyModel": TinyModel, **variables}
    exec(code, space)
    return space["Mine"]


def test_code_without_a_file_has_no_hash(monkeypatch):
    module = type(sys)("notebook")
    monkeypatch.setitem(sys.modules, "notebook", module)
    module.Mine = in_module("notebook", "class Mine(TinyModel): pass")
    with pytest.raises(ContractError, match="code of module 'notebook', which is in no file"):
        content_hash(module.Mine())


def test_code_of_a_running_script_has_no_hash(monkeypatch):
    mine = in_module("__main__", "class Mine(TinyModel): pass")
    monkeypatch.setattr(sys.modules["__main__"], "Mine", mine, raising=False)
    with pytest.raises(ContractError, match="in the script or notebook that runs"):
        content_hash(mine())


def test_code_edited_after_its_import_has_no_hash(monkeypatch):
    monkeypatch.setattr("brainfit.features.code_identity._started", lambda: 0.0)
    with pytest.raises(ContractError, match="has changed since this process began"):
        content_hash(TinyModel())


MINE = """
import os
from tiny import TinyModel
import elsewhere.tools
GAIN = float(os.environ.get("GAIN", "1"))

def make():
    return Mine()

class Mine(TinyModel):
    def unroll(self, images, presentation, layers):
        from helper import shade
        return super().unroll(elsewhere.tools.shade(shade(images)) * GAIN, presentation, layers)
"""
PRINT = """
import sys
sys.path[:0] = [sys.argv[1], ".", "other"]
from brainfit.features import code_identity, content
code_identity._started = lambda: float("inf")
from brainfit import load_model
print(content.content_hash(load_model("mine.py:make")), content.content_hash(load_model("median_convrnn")))
"""
AFTER_USE = """
import torch
from brainfit.contracts.presentation import Presentation
mine = load_model("mine.py:make")
mine.unroll(torch.zeros(1, 3, 16, 16), Presentation(step_ms=10), ["small"])
assert "helper" in sys.modules
print(content.content_hash(mine))
"""


@pytest.mark.slow
def test_the_hash_is_the_same_in_another_process_and_changes_with_files(tmp_path):
    def hashes(script=PRINT, **environment):
        tests = str(Path(__file__).parents[2] / "helpers")
        done = subprocess.run(
            [sys.executable, "-c", script, tests],
            capture_output=True, text=True, cwd=tmp_path, check=True, env={**os.environ, **environment},
        )  # fmt: skip
        return done.stdout.split()

    shade = "def shade(images):\n    return images\n"
    mine, helper, tools = (tmp_path / name for name in ("mine.py", "helper.py", "other/elsewhere/tools.py"))
    tools.parent.mkdir(parents=True)
    for path, text in ((mine, MINE), (helper, shade), (tools, shade), (tools.parent / "__init__.py", "")):
        path.write_text(text)
    first = hashes()
    assert hashes(PYTHONHASHSEED="1") == first
    assert hashes(PRINT + AFTER_USE) == [*first, first[0]]
    assert content_hash(brainfit.load_model("median_convrnn")) == first[1]
    found = [first[0], hashes(GAIN="2")[0]]
    for path, text in (
        (helper, shade.replace("return images", "return images * 2")),
        (tools, shade.replace("return images", "return images * 2")),
        (mine, MINE.replace("shade(images) *", "shade(images) +").replace("* GAIN", "+ GAIN")),
    ):
        path.write_text(text)
        found.append(hashes()[0])
    assert len(set(found)) == len(found)
    assert hashes()[1] == first[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["median_convrnn", "ugrnn_shallow", "resnet18", "ff"])
def test_using_a_model_does_not_change_its_hash(name):
    model = brainfit.load_model(name, image_size=72)
    before = content_hash(model)
    with torch.inference_mode():
        model.unroll(torch.rand(2, 3, 72, 72), Presentation(step_ms=model.step_ms), list(model.layers)[-2:])
    assert repr(model)
    copied = copy.deepcopy(model)
    typing.get_type_hints(type(model).unroll)
    assert before == content_hash(model) == content_hash(copied)


def test_packages_are_hashed_by_version_and_other_code_by_text():
    found = code_identity({GraphModel.__module__, "torch.nn.modules.conv", "tiny"})
    assert ("torch", torch.__version__) in found
    assert ("numpy", np.__version__) in found  # imported by tiny
    for name in ("brainfit.contracts", "brainfit.features", "model_zoo"):
        assert ("source", identity._source(Path(sys.modules[name].__path__[0]))) in found
    assert ("source", identity._source(Path(sys.modules["tiny"].__file__ or "").parent)) in found
