"""Random weights: initial biases, variances, and activities that neither vanish nor explode."""

import numpy as np
import pytest
import torch

import brainfit
from brainfit.contracts.presentation import Presentation
from model_zoo.cells.reciprocal_gated_median import A_GATE, A_TAU
from model_zoo.cells.simple_rnn import SimpleRNN
from model_zoo.engine.graph import GraphModel
from model_zoo.engine.node import CellContext
from model_zoo.networks.shallow import shallow_convrnn

CELLS = ("timedecay", "simplernn", "gru", "lstm", "intersectionrnn", "ugrnn", "rgc")
NETWORKS = tuple(f"{cell}_{size}" for size in ("shallow", "intermediate") for cell in CELLS)
BALANCE = np.arctanh(1 - (1 - A_TAU / 2) / A_GATE)  # A_TAU / 2 + A_GATE (1 - tanh(BALANCE)) = 1
# Suffixes of the names of parameters that do not start at zero, and their initial values.
SETTLED = {"memory_decay": 0.5, "cell.gates.of_input.bias": 1.0, "gate.pointwise.bias": BALANCE, "gamma": 1.0}


def built(name: str, image_size: int, channel_divisor: int) -> GraphModel:
    model = brainfit.load_model(name, image_size=image_size, channel_divisor=channel_divisor)
    assert isinstance(model, GraphModel)
    return model


@pytest.mark.parametrize("name", NETWORKS)
def test_biases_and_peepholes_start_at_the_values_of_their_cell(name: str) -> None:
    """Gate biases start at 1 in the GRU only; the LSTM adds 1 in the cell itself."""
    settled = SETTLED | {"cell.gates.of_input.bias": float(name.startswith("gru"))}
    for parameter_name, parameter in built(name, 65, 16).named_parameters():
        if parameter.ndim == 1 or "peepholes" in parameter_name:
            start = next((value for end, value in settled.items() if parameter_name.endswith(end)), 0.0)
            torch.testing.assert_close(parameter.detach(), torch.full(parameter.shape, start))
        else:
            assert parameter.std() > 0


@pytest.mark.parametrize("name", NETWORKS)
def test_the_variance_of_weights_follows_from_their_gain(name: str) -> None:
    """The variance is 1 / fan-in, times 0.1² where a loop closes and 0.5² before a shortcut."""
    loops = ("of_state", "feedback", ".cell_tau", ".cell_gate", ".out_tau", ".out_gate")
    for parameter_name, parameter in built(name, 65, 4).named_parameters():
        if parameter.ndim > 1 and "depthwise" not in parameter_name and "peepholes" not in parameter_name:
            gain = 0.5 if ".post." in parameter_name else 1.0
            gain = 0.1 if any(part in parameter_name for part in loops) else gain
            spread = parameter.detach().std() * parameter[0].numel() ** 0.5
            assert float(spread) == pytest.approx(gain, rel=0.2)


class Normed(SimpleRNN):
    """A cell with norms and with parameters that keep torch's own initial values."""

    def __init__(self, context: CellContext) -> None:
        super().__init__(context)
        self.norm = torch.nn.GroupNorm(1, self.channels)
        self.rate = torch.nn.Parameter(torch.tensor(0.25))
        self.slope = torch.nn.PReLU()
        self.place_bias = torch.nn.Parameter(torch.ones(self.channels, context.size, context.size))


def test_initialisation_leaves_norms_and_rates_unchanged() -> None:
    model = shallow_convrnn(Normed, 65, channel_divisor=8, n_classes=10)
    cell = model.nodes["conv5"].cell
    kept = {"norm.weight": 1.0, "norm.bias": 0.0, "rate": 0.25, "slope.weight": 0.25, "place_bias": 0.0}
    for name, value in kept.items():
        assert (cell.get_parameter(name) == value).all(), name  # type: ignore[union-attr]
    images = torch.rand(2, 3, 65, 65, generator=torch.Generator().manual_seed(0))
    last = model.unroll(images, Presentation(on_ms=100, off_ms=0), ["conv5"])["conv5"].blocks[-1]
    assert (last - last.mean(dim=0)).std() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_activities_neither_vanish_nor_explode(name: str) -> None:
    """At the size that is scored, on white noise and smooth images, far beyond the 25 steps.

    What lasts is how images differ. An eighth of the channels will do: the gains are relative to fan-in.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(2, 3, 128, 128, generator=generator)
    coarse = torch.rand(2, 3, 8, 8, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (128, 128), mode="bicubic").clamp(0, 1)
    model = built(name, 128, 8)
    seen = model.unroll(torch.cat([noise, smooth]), Presentation(on_ms=400, off_ms=0), model.layers)
    for k, layer in enumerate(model.layers):
        for step in range(k + 4, 40):
            block = seen[layer].blocks[seen[layer].index[step]]
            assert 0.02 < (block - block.mean(dim=0)).std() < 20, (layer, step)
