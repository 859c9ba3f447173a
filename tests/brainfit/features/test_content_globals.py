"""What a model reads of its module while it runs is part of its hash, however it came there."""

import pytest
import torch
from torch import nn

import model_zoo.engine.graph
from brainfit.features import source_files
from brainfit.features.model_content import model_content
from brainfit.registry.lookup import load_model
from brainfit.registry.plugins import foreign_attribute

SCALE = torch.tensor(1.0)


def activation(x):
    return x.relu()


class Net(nn.Module):
    """Reads a tensor and a function of its module when it is called."""

    def forward(self, x):
        return activation(x) * SCALE


@pytest.fixture(autouse=True)
def _old_files(monkeypatch):
    """Files of the tree may be edited while tests run."""
    monkeypatch.setattr(source_files, "_started", lambda: float("inf"))


def other_activation(x):
    return x.tanh()


@pytest.mark.parametrize(
    ("name", "value"), [("SCALE", torch.tensor(2.0)), ("activation", other_activation)], ids=["data", "code"]
)
def test_a_global_that_is_replaced_changes_the_hash(monkeypatch, name, value):
    before = model_content(Net())
    assert model_content(Net()) == before
    monkeypatch.setitem(globals(), name, value)
    assert model_content(Net()) != before


def test_a_global_that_is_written_into_changes_the_hash(monkeypatch):
    monkeypatch.setitem(globals(), "SCALE", torch.tensor(1.0))
    before = model_content(Net())
    SCALE.mul_(3)
    assert model_content(Net()) != before


def test_a_function_of_ours_that_is_replaced_changes_the_hash(monkeypatch):
    model = load_model("ff", image_size=72)
    before = model_content(model)
    monkeypatch.setattr(model_zoo.engine.graph, "_like", other_activation)
    assert model_content(model) != before


def test_the_layout_of_weights_changes_the_hash():
    conv = nn.Conv2d(3, 4, 3)
    before = model_content(conv)
    conv.weight.data = conv.weight.data.contiguous(memory_format=torch.channels_last)
    assert model_content(conv) != before


def test_a_hook_on_all_modules_changes_the_hash():
    before = model_content(Net())
    handle = nn.modules.module.register_module_forward_hook(lambda module, x, y: y * 2)
    try:
        assert model_content(Net()) != before
    finally:
        handle.remove()
    assert model_content(Net()) == before


def test_packages_that_say_no_version_have_one():
    assert source_files._version("google_crc32c")
    assert source_files._version("sys") == ""


def test_files_of_one_name_do_not_pass_for_each_other(tmp_path):
    text = "import torch\n\nclass Net(torch.nn.Module):\n    def forward(self, x):\n        return {} * x\n"
    found = {}
    for gain in (2, 3):
        path = tmp_path / str(gain) / "net.py"
        path.parent.mkdir()
        path.write_text(text.format(gain))
        found[gain] = foreign_attribute("net", f"{path}:Net")()
    first = model_content(found[2])
    assert first != model_content(found[3])
    assert model_content(found[2]) == first
    (tmp_path / "moved").mkdir()
    moved = (tmp_path / "2" / "net.py").rename(tmp_path / "moved" / "net.py")
    assert model_content(foreign_attribute("net", f"{moved}:Net")()) == first
