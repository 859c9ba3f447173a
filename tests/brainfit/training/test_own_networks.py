"""Networks of one's own train as the models that they are scored as."""

from pathlib import Path

import pytest
import torch
from small_task import SmallTask
from torch import nn

import brainfit
from brainfit.errors import ContractError
from brainfit.training import MINI, Recipe, train, train_model
from brainfit.training.network import as_network, logits_over_steps
from model_zoo.adapters import from_module, from_step

NETWORKS = """
from torch import nn
from model_zoo.adapters import from_module, from_step
from model_zoo.weights.load import set_weights


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.input, self.recurrent = nn.Conv2d(3, 8, 3, stride=2), nn.Conv2d(8, 8, 3, padding=1)
        self.readout = nn.Linear(8 * 49, 4)

    def forward(self, frame, state):
        drive = self.input(frame) + (0 if state is None else self.recurrent(state))
        state = drive.relu()
        return {"hidden": state, "logits": self.readout(state.flatten(1))}, state


def recurrent(seed=0, weights="random"):
    net = Recurrent()
    name = set_weights(net, weights, seed)
    return from_step(
        net, ["hidden", "logits"], 16, name="recurrent", region_layers={"V4": "hidden"},
        readout_layers=["logits"], weights=name,
    )


def feedforward(seed=0, weights="random"):
    net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 49, 4))
    name = set_weights(net, weights, seed)
    return from_module(net, ["1", "3"], 16, name="feedforward", readout_layers=["3"], weights=name)
"""


def logits(network, images, **options):
    return logits_over_steps(network, images, network.presentation, **options)


@pytest.mark.parametrize(("factory", "n_steps"), [("recurrent", 10), ("feedforward", 2)])
def test_the_factory_that_is_scored_is_trained_and_takes_the_weights(tmp_path, monkeypatch, factory, n_steps):
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(NETWORKS)
    run = train_model(
        f"nets.py:{factory}", SmallTask(), out="run", recipe=MINI, changes={"batch_size": 16, "epochs": 25}
    )
    assert run.card["accuracy"]["last"] > 0.6
    assert len(run.card["accuracy"]["by_step"]) == n_steps
    model = brainfit.load_model(f"nets.py:{factory}", weights="run")
    brainfit.check_model(model)
    images = torch.rand(3, 3, 16, 16)
    trained, loaded = (
        logits(network.eval(), images) for network in (run.network, as_network("again", model))
    )
    assert torch.equal(trained[-1], loaded[-1])


def test_gradients_of_a_step_function_are_those_of_its_plain_loop():
    torch.manual_seed(0)
    cell = nn.Linear(3 * 16 * 16 + 4, 4)

    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = cell

        def forward(self, frame, state):
            state = torch.zeros(len(frame), 4) if state is None else state
            state = self.cell(torch.cat([frame.flatten(1), state], 1)).tanh()
            return {"logits": state}, state

    model = from_step(Plain(), ["logits"], 16, readout_layers=["logits"], mean=(0, 0, 0), std=(1, 1, 1))
    network = as_network("plain", model)
    images = torch.rand(2, 3, 16, 16)
    steps = logits(network, images)
    mine = torch.autograd.grad(steps[-1].square().sum(), cell.weight)[0]
    state = torch.zeros(2, 4)
    for _ in range(10):
        state = cell(torch.cat([images.flatten(1), state], 1)).tanh()
    theirs = torch.autograd.grad(state.square().sum(), cell.weight)[0]
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-7)


def test_models_that_cannot_be_trained_are_refused():
    with pytest.raises(ContractError, match="holds no torch module"):
        as_network("mine", object())
    without = from_module(nn.Sequential(nn.Conv2d(3, 4, 3)), ["0"], 16)
    with pytest.raises(ContractError, match=r"names no readout layer.*readout_layers=\[...\]"):
        as_network("mine", without)


def test_a_network_of_the_zoo_names_its_weights_after_training(tmp_path):
    network = brainfit.load_model("ff_mini", weights="random", n_classes=4, image_size=32)
    assert isinstance(network, nn.Module)

    class Task(SmallTask):
        image_size = 32

        def example(self, rng):
            pixels, label = super().example(rng)
            return pixels.repeat(2, 1).repeat(2, 2), label

    recipe = Recipe.from_dict({"batch_size": 32, "epochs": 0.5}, MINI)
    train(network, Task(), recipe, tmp_path, name="ff_mini")
    assert network.weights == "trained here on 32 images of small, seed 0"
    with torch.no_grad():
        next(network.parameters()).add_(1)
    assert str(network.weights).startswith("unknown")


@pytest.mark.parametrize("name", ["median_convrnn_mini", "basenet_mini"])
def test_computing_steps_again_gives_the_same_gradients(name):
    network = brainfit.load_model(name, weights="random", image_size=32)
    assert isinstance(network, nn.Module)
    images, found = torch.rand(2, 3, 32, 32), []
    for recompute in (False, True):
        network.zero_grad()
        steps = logits(network, images, recompute=recompute)
        steps[-1].square().sum().backward()
        found.append([parameter.grad for parameter in network.parameters()])
    for a, b in zip(*found, strict=True):
        assert a is not None
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-8)
