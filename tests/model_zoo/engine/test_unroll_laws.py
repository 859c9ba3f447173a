"""Optimisations of the unroll do not change results: float64 against plain formulas and a plain loop."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from brainfit.contracts.presentation import Presentation
from model_zoo.cells import find_cell
from model_zoo.cells.reciprocal_gated_median import ReciprocalGatedMedian
from model_zoo.cells.time_decay import TimeDecay
from model_zoo.engine import elementwise
from model_zoo.engine.graph import Edges, GraphModel
from model_zoo.engine.layers import Conv, Feedback, SeparableConv, resize
from model_zoo.engine.node import CellContext, Node
from model_zoo.networks.intermediate import intermediate_convrnn
from model_zoo.networks.median_convrnn import median_convrnn

SIZE = 40
SHOWN = Presentation(on_ms=60, off_ms=80)
MEDIAN = "reciprocal_gated_median:ReciprocalGatedMedian"


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def filled(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.double().parameters():
            parameter.normal_(0, 0.3, generator=generator)
    return module


def close(ours: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


GATES = {
    "sigmoid": (elementwise.sigmoid, torch.sigmoid, 1),
    "tanh": (elementwise.tanh, torch.tanh, 1),
    "relu": (elementwise.relu, torch.relu, 1),
    "elu": (elementwise.elu, F.elu, 1),
    "add": (elementwise.add, lambda x, y: x + y, 2),
    "affine": (lambda x: elementwise.affine(x, -2.0, 0.5), lambda x: 0.5 - 2 * x, 1),
    "gated_sum": (elementwise.gated_sum, lambda f, o, g, n: f * o + g * n, 4),
    "gated_sum, scaled": (
        lambda f, o, g, n: elementwise.gated_sum(f, o, g, n, 0.9, 1.4),
        lambda f, o, g, n: 0.9 * f * o + 1.4 * g * n,
        4,
    ),
    "blend": (elementwise.blend, lambda k, o, n: k * o + (1 - k) * n, 3),
}


@pytest.mark.parametrize("with_gradient", [False, True])
@pytest.mark.parametrize(("ours", "formula", "n"), GATES.values(), ids=GATES)
def test_elementwise_functions_equal_their_formulas(ours, formula, n, with_gradient) -> None:
    """Compare for full batches and for a batch of one in any argument."""
    for batches in itertools.product((1, 3), repeat=n):
        given = [draw(batch, 2, 4, 5, seed=k) for k, batch in enumerate(batches)]
        expected = formula(*(x.clone() for x in given))
        with torch.set_grad_enabled(with_gradient):
            got = ours(*(x.clone() for x in given))
        close(got, expected)


@pytest.mark.parametrize(("ours", "formula", "n"), GATES.values(), ids=GATES)
def test_elementwise_functions_overwrite_at_most_one_argument(ours, formula, n) -> None:
    """With gradients nothing is overwritten, and the gradient is the formula's."""
    given = [draw(2, 2, 3, 3, seed=k) for k in range(n)]
    used = [x.clone() for x in given]
    with torch.no_grad():
        ours(*used)
    changed = [k for k, x in enumerate(given) if not torch.equal(x, used[k])]
    assert changed in ([], [0])
    leaves, plain = ([x.clone().requires_grad_() for x in given] for _ in range(2))
    ours(*leaves).square().sum().backward()
    formula(*plain).square().sum().backward()
    for a, b, x in zip(leaves, plain, given, strict=True):
        assert torch.equal(a.detach(), x)
        assert a.grad is not None
        assert b.grad is not None
        close(a.grad, b.grad)


def test_the_output_of_a_gate_is_not_a_view_of_a_larger_tensor() -> None:
    """States are kept for all steps; a view would keep the memory of all gates alive."""
    for layout in (torch.contiguous_format, torch.channels_last):
        whole = draw(2, 8, 3, 3).contiguous(memory_format=layout)
        first, second = whole.chunk(2, dim=1)
        x = draw(2, 4, 3, 3, seed=5)
        with torch.no_grad():
            for kept in (elementwise.gated_sum(first, x, x, x), elementwise.blend(x, x, second)):
                assert kept.untyped_storage().nbytes() == x.untyped_storage().nbytes()


def test_mixed_types_are_promoted_as_in_the_formula() -> None:
    """Under autocast, some arguments have 16 bits."""
    wide, narrow = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4).bfloat16()
    with torch.no_grad():
        for got in (
            elementwise.add(narrow.clone(), wide),
            elementwise.gated_sum(narrow.clone(), wide, narrow, narrow),
            elementwise.blend(narrow, wide, narrow.clone()),
        ):
            assert got.dtype == torch.float32
        torch.testing.assert_close(
            elementwise.blend(narrow, wide, narrow), narrow * wide + (1 - narrow) * narrow
        )


@pytest.mark.parametrize("times", [1, -1, -2, 0.3])
def test_scaling_a_separable_convolution_scales_its_output(times) -> None:
    conv = filled(SeparableConv(3, 5, 4))
    x = draw(2, 3, 7, 7)
    close(conv(x, times=times), times * conv(x))


@pytest.mark.parametrize("sources", [((6, 3), (5, 2)), ((4, 7),), ((4, 7), (3, 3), (2, 1))])
def test_convolving_feedback_before_resizing_gives_the_same_result(sources) -> None:
    """This holds for a batch of one too, and the argument is not modified."""
    feedback = filled(Feedback(tuple(c for c, _ in sources), 4))
    size = torch.Size((7, 7))
    for batches in itertools.product((1, 3), repeat=len(sources)):
        given = [draw(b, c, s, s, seed=k) for k, (b, (c, s)) in enumerate(zip(batches, sources, strict=True))]
        before = [x.clone() for x in given]
        resized = [resize(x, size).expand(max(batches), -1, -1, -1) for x in given]
        weight, bias = (feedback.get_parameter(name) for name in ("weight", "bias"))
        with torch.no_grad():
            close(feedback(given, size), F.conv2d(torch.cat(resized, 1), weight, bias))
        assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))


def plain_unroll(
    model: GraphModel, images: torch.Tensor, presentation: Presentation
) -> dict[str, torch.Tensor]:
    """Run every node at every step for every image, with gradients enabled so that nothing is overwritten."""
    state = model.initial_state(images, batch=len(images))
    kept: dict[str, list[torch.Tensor]] = {layer: [] for layer in model.layers}
    with torch.enable_grad():
        for frame, steps in presentation.frames(images, model.normalize):
            for _ in range(steps):
                state = model.step(frame.expand_as(images), state)
                for layer, output in state.outputs.items():
                    kept[layer].append(output.detach().flatten(1))
    return {layer: torch.stack(steps, dim=1) for layer, steps in kept.items()}


def relay(*, states: bool) -> GraphModel:
    """Build nodes whose parts return their input unchanged, so that overwriting an output would change it."""
    here = CellContext("b", 4, 4, SIZE)
    nodes = {
        "a": Node((4, SIZE, SIZE), Conv(3, 4, 3)),
        "b": Node(
            (4, SIZE, SIZE),
            nn.Identity(),
            cell=ReciprocalGatedMedian(here, 2, 3) if states else TimeDecay(here),
            shortcut=nn.Identity(),
            finish=nn.ELU(),
        ),
        "c": Node((4, SIZE, SIZE), nn.Identity(), post=nn.Identity(), shortcut=nn.Identity()),
    }
    edges = {"a": Edges(None), "b": Edges("a"), "c": Edges("b")}
    model = GraphModel(nodes, edges, name="x", image_size=SIZE, region_layers={}, presentation=SHOWN)
    filled(model)
    return model


MODELS = {
    "median": lambda: median_convrnn(SIZE, channel_divisor=16, n_classes=10),
    "intermediate": lambda: intermediate_convrnn("lstm:LSTM", SIZE, channel_divisor=16, n_classes=10),
    "identities": lambda: relay(states=True),
    "identities, one sum": lambda: relay(states=False),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("contiguous", [False, True])
def test_unroll_equals_the_plain_loop_in_any_memory_layout(make, contiguous) -> None:
    model = make().double()
    for k, parameter in enumerate(model.parameters()):
        if parameter.ndim == 1:  # nonzero biases are visible where no image has reached
            parameter.data += 0.1 * draw(len(parameter), seed=k)
        if contiguous:
            parameter.data = parameter.data.contiguous()
    images = torch.rand(3, 3, SIZE, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    expected = plain_unroll(model, images, SHOWN)
    seen = model.unroll(images, SHOWN, model.layers)
    for layer, values in expected.items():
        ours = seen[layer].dense(3)
        assert (ours - values).abs().max() <= 1e-12 * values.abs().max(), layer


@pytest.mark.parametrize("cell", ["time_decay:TimeDecay", "gru:GRU", "lstm:LSTM", "ugrnn:UGRNN", MEDIAN])
def test_channels_last_memory_is_kept_through_all_nodes(cell) -> None:
    """Adding one state of the other layout would make every later operation copy its input at every step."""
    made = find_cell(cell)(CellContext("conv4", 4, 4, 6))
    filled(made)
    x = draw(2, 4, 6, 6).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        drive = made.drive(x, x)
        state = made.initial_state(drive)
        for _ in range(2):
            assert all(part.is_contiguous(memory_format=torch.channels_last) for part in state)
            output, state = made(drive, [], state)
            assert output.is_contiguous(memory_format=torch.channels_last)
