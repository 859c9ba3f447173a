"""Recurrent cells compared with their equations, written independently, and with torch's own cells."""

from collections.abc import Callable

import cell_equations as equations
import numpy as np
import pytest
import torch
from torch import nn

from brainfit.errors import ContractError, UnknownNameError
from model_zoo.cells import find_cell, lstm, simple_rnn
from model_zoo.cells.gru import GRU
from model_zoo.cells.intersection_rnn import IntersectionRNN
from model_zoo.cells.reciprocal_gated_median import ReciprocalGatedMedian
from model_zoo.cells.reciprocal_gated_shallow import ReciprocalGatedShallow
from model_zoo.cells.time_decay import TimeDecay
from model_zoo.cells.ugrnn import UGRNN
from model_zoo.engine.node import Cell, CellContext

INPUTS, CHANNELS, SIZE = 3, 4, 5
HERE = CellContext("conv4", INPUTS, CHANNELS, SIZE)
CASES: dict[str, tuple[Callable[[], Cell], equations.Oracle]] = {
    "time decay": (lambda: TimeDecay(HERE), equations.time_decay),
    "simple rnn": (lambda: simple_rnn.SimpleRNN(HERE), equations.plain),
    "simple rnn, shallow": (lambda: simple_rnn.shallow(HERE._replace(layer="conv3")), equations.plain),
    "gru": (lambda: GRU(HERE), equations.gru),
    "lstm": (lambda: lstm.LSTM(HERE), equations.lstm_with(1.0)),
    "lstm, conv3": (
        lambda: lstm.shallow(HERE._replace(layer="conv3")),
        equations.lstm_with(1.3561755203084322),
    ),
    "lstm, conv4": (lambda: lstm.shallow(HERE), equations.lstm_with(0.977962918535079)),
    "lstm, conv5": (
        lambda: lstm.shallow(HERE._replace(layer="conv5")),
        equations.lstm_with(0.9249280259963113),
    ),
    "ugrnn": (lambda: UGRNN(HERE), equations.ugrnn),
    "intersection rnn": (lambda: IntersectionRNN(HERE), equations.intersection),
    "reciprocal, shallow": (lambda: ReciprocalGatedShallow(HERE), equations.reciprocal_shallow),
    "reciprocal, median": (lambda: ReciprocalGatedMedian(HERE, 2, 3), equations.reciprocal_median),
    "reciprocal, fed back": (
        lambda: ReciprocalGatedMedian(HERE._replace(inputs=CHANNELS, feedback=(2, 3)), 2, 7),
        equations.reciprocal_median,
    ),
}
each = pytest.mark.parametrize(("make", "oracle"), CASES.values(), ids=CASES)


def filled(cell: Cell) -> Cell:
    """Draw every parameter at random in float64, so that each of them affects the output."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in cell.double().parameters():
            parameter.normal_(0, 0.5, generator=generator)
    return cell


def inputs_of(cell: Cell, batch: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, list]:
    """Return x, ff and feedback."""
    place_inputs = CHANNELS if "feedback.weight" in dict(cell.named_parameters()) else INPUTS
    shapes = [CHANNELS, place_inputs, *((2, 3) if place_inputs == CHANNELS else ())]
    x, ff, *fb = (torch.from_numpy(rng.normal(size=(batch, c, SIZE, SIZE))) for c in shapes)
    return x, ff, fb


@each
@torch.no_grad()
def test_a_cell_equals_its_equations(make, oracle, rng) -> None:
    cell = filled(make())
    p = {name: values.numpy() for name, values in cell.named_parameters()}
    state = cell.initial_state(cell.drive(*inputs_of(cell, 2, rng)[:2]))
    expected = tuple(part.numpy() for part in state)
    assert all(part.shape[0] == 2 and not part.any() for part in state)
    for _ in range(4):
        x, ff, fb = inputs_of(cell, 2, rng)
        output, state = cell(cell.drive(x, ff), fb, state)
        output_expected, *expected = oracle(
            p, x.numpy(), ff.numpy(), [f.numpy() for f in fb], tuple(expected)
        )
        np.testing.assert_allclose(output.numpy(), output_expected, rtol=0, atol=1e-9)
        assert output.shape[1] == cell.channels
        for ours, theirs in zip(state, expected, strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=1e-9)


@each
@pytest.mark.parametrize("one", ["drive", "state"])
@torch.no_grad()
def test_a_batch_of_one_is_broadcast(make, oracle, one, rng) -> None:
    cell = filled(make())
    x, ff, fb = inputs_of(cell, 3, rng)
    _, state = cell(cell.drive(x, ff), fb, cell.initial_state(cell.drive(x, ff)))
    x, ff, _ = inputs_of(cell, 3, rng)
    drive = cell.drive(x, ff)
    if one == "drive":
        alone, drive = cell.drive(x[:1], ff[:1]), tuple(part[:1].expand_as(part) for part in drive)
        output, after = cell(alone, fb, state)
    else:
        alone, state = tuple(part[:1] for part in state), tuple(part[:1].expand_as(part) for part in state)
        output, after = cell(drive, fb, alone)
    expected = cell(drive, fb, state)
    for ours, theirs in zip((output, *after), (expected[0], *expected[1]), strict=True):
        torch.testing.assert_close(ours, theirs.expand_as(ours))
        assert len(ours) == 3


ONE_PIXEL = CellContext("conv4", 3, 4, 1)


def middle(cell: Cell, name: str) -> torch.Tensor:
    """Return the middle tap of a kernel: the only one used on a map of one pixel."""
    return cell.get_parameter(f"{name}.weight").detach()[:, :, 1, 1]


def test_an_lstm_on_one_pixel_equals_the_torch_cell(rng) -> None:
    """Compare with torch's LSTM; its gates are ordered i, f, j, o, and the forget gate's bias starts at 1."""
    cell = filled(lstm.LSTM(ONE_PIXEL))
    x, c, h = (torch.from_numpy(rng.normal(size=(5, 4))) for _ in range(3))

    def reordered(values: torch.Tensor) -> torch.Tensor:
        i, j, f, o = values.chunk(4)
        return torch.cat([i, f, j, o])

    bias = reordered(cell.get_parameter("gates.of_input.bias").detach())
    bias[4:8] += 1
    theirs = nn.LSTMCell(4, 4, dtype=torch.float64)
    theirs.load_state_dict(
        {
            "weight_ih": reordered(middle(cell, "gates.of_input")),
            "weight_hh": reordered(middle(cell, "gates.of_state")),
            "bias_ih": bias,
            "bias_hh": torch.zeros(16),
        }
    )
    x_map, c_map, h_map = (values[:, :, None, None] for values in (x, c, h))
    output, (next_c, next_h) = cell(cell.drive(x_map, x_map), [], (c_map, h_map))
    expected_h, expected_c = theirs(x, (h, c))
    torch.testing.assert_close(next_c[:, :, 0, 0], expected_c)
    torch.testing.assert_close(next_h[:, :, 0, 0], expected_h)
    assert output is next_h


def test_a_gru_on_one_pixel_equals_the_torch_cell(rng) -> None:
    """Compare with torch's GRU, which applies the reset gate after the weights; so they are diagonal here."""
    cell = filled(GRU(ONE_PIXEL))
    with torch.no_grad():
        cell.get_parameter("candidate.of_state.weight").mul_(torch.eye(4)[:, :, None, None])
    x, h = (torch.from_numpy(rng.normal(size=(5, 4))) for _ in range(2))
    parts = ("gates", "candidate")
    bias = torch.cat([cell.get_parameter(f"{part}.of_input.bias").detach() for part in parts])
    bias[:4] += 1
    theirs = nn.GRUCell(4, 4, dtype=torch.float64)
    theirs.load_state_dict(
        {
            "weight_ih": torch.cat([middle(cell, f"{part}.of_input") for part in parts]),
            "weight_hh": torch.cat([middle(cell, f"{part}.of_state") for part in parts]),
            "bias_ih": bias,
            "bias_hh": torch.zeros(12),
        }
    )
    x_map, h_map = x[:, :, None, None], h[:, :, None, None]
    output, _ = cell(cell.drive(x_map, x_map), [], (h_map,))
    torch.testing.assert_close(output[:, :, 0, 0], theirs(x, h))


@pytest.mark.parametrize(
    ("layer", "channels", "kernel", "peeps"),
    [("conv3", 128, 2, False), ("conv4", 256, 3, True), ("conv5", 256, 4, False)],
)
def test_shallow_recipes_have_the_published_settings(layer, channels, kernel, peeps) -> None:
    context = CellContext(layer, 8, 512 if layer == "conv5" else 256, 3)
    cell = lstm.shallow(context)
    assert cell.channels == simple_rnn.shallow(context).channels == channels
    assert cell.get_parameter("gates.of_state.weight").shape == (4 * channels, channels, kernel, kernel)
    assert any(name.startswith("peepholes") for name, _ in cell.named_parameters()) == peeps


@pytest.mark.parametrize("shallow", [lstm.shallow, simple_rnn.shallow])
@pytest.mark.parametrize(("layer", "channels"), [("conv2", 256), ("conv3", 5), ("conv5", 5)])
def test_shallow_recipes_are_refused_for_other_layers(shallow, layer, channels) -> None:
    with pytest.raises(ContractError, match=f"conv3, conv4, conv5 of shallow .* got {layer} of {channels};"):
        shallow(CellContext(layer, 8, channels, 3))


@pytest.mark.parametrize("cell", [lstm.LSTM, simple_rnn.SimpleRNN])
def test_zero_channels_do_not_mean_the_default(cell) -> None:
    assert cell(HERE, channels=0).channels == 0


def test_cells_are_chosen_by_name_or_passed_as_a_factory() -> None:
    assert find_cell("gru:GRU") is find_cell(GRU) is GRU
    assert find_cell("lstm:shallow") is lstm.shallow


@pytest.mark.parametrize("name", ["gru", "gru:", "gru:nope", "nope:GRU", "", "gru:Cell", "gru:tanh", "GRU"])
def test_an_unknown_cell_name_is_refused(name) -> None:
    with pytest.raises(
        UnknownNameError, match=f"unknown cell '{name}'; (did you mean 'gru:GRU'|known: gru:GRU, )"
    ):
        find_cell(name)


def test_an_unknown_cell_lists_every_cell() -> None:
    with pytest.raises(UnknownNameError) as error:
        find_cell("?")
    names = str(error.value).partition("known: ")[2].split(", ")
    shallow = {"reciprocal_gated_shallow:ReciprocalGatedShallow", "lstm:shallow", "simple_rnn:shallow"}
    others = {"gru:GRU", "intersection_rnn:IntersectionRNN", "lstm:LSTM", "simple_rnn:SimpleRNN"}
    others |= {"reciprocal_gated_median:ReciprocalGatedMedian", "time_decay:TimeDecay", "ugrnn:UGRNN"}
    assert set(names) == shallow | others


@pytest.mark.parametrize("cell", [None, 5, GRU(HERE)])
def test_a_factory_that_does_not_return_a_cell_is_refused(cell) -> None:
    with pytest.raises(ContractError, match=r"a string such as 'gru:GRU', got (NoneType|int|GRU)$"):
        find_cell(cell)
