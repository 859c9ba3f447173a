"""Laws of unrolling, on graphs small enough to compare with a plain loop over all nodes and steps."""

import pytest
import torch
import torch.nn.functional as F

from brainfit.contracts.model import Model
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ContractError, UnknownNameError
from model_zoo.cells.gru import GRU
from model_zoo.cells.simple_rnn import SimpleRNN
from model_zoo.cells.time_decay import TimeDecay
from model_zoo.engine.graph import Edges, GraphModel
from model_zoo.engine.layers import Conv, MaxPool
from model_zoo.engine.node import Cell, CellContext, Node
from model_zoo.networks.intermediate import CHANNELS, intermediate_convrnn
from model_zoo.networks.median_convrnn import median_convrnn

SIZE = 40  # odd maps inside: 20, 10, 5, 3, 2
PIXEL_GRAY = Presentation(background_space="pixel")


@pytest.fixture(scope="module")
def model() -> GraphModel:
    """Build a narrow median ConvRNN with biases that are not zero."""
    model = median_convrnn(SIZE, channel_divisor=16, n_classes=10)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(6))


def plain_unroll(
    model: GraphModel, images: torch.Tensor, presentation: Presentation
) -> dict[str, torch.Tensor]:
    """Run every node at every step for every image; return (image, step, feature) per layer."""
    state = model.initial_state(images, batch=len(images))
    outputs: dict[str, list[torch.Tensor]] = {layer: [] for layer in model.layers}
    with torch.inference_mode():
        for frame, steps in presentation.frames(images, model.normalize):
            for _ in range(steps):
                state = model.step(frame.expand_as(images), state)
                for layer, output in state.outputs.items():
                    outputs[layer].append(output.flatten(1))
    return {layer: torch.stack(steps, dim=1) for layer, steps in outputs.items()}


def dense(seen: dict[str, Trajectory], n_images: int) -> dict[str, torch.Tensor]:
    return {layer: trajectory.dense(n_images) for layer, trajectory in seen.items()}


def assert_equal(ours: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-6) -> None:
    assert ours.shape == expected.shape
    assert (ours - expected).abs().max() <= tolerance * expected.abs().max()


def test_a_graph_model_satisfies_the_model_protocol(model: GraphModel) -> None:
    assert isinstance(model, Model)


@pytest.mark.parametrize(
    "presentation",
    [Presentation(), PIXEL_GRAY, Presentation(on_ms=20, off_ms=170), Presentation(on_ms=200, off_ms=0)],
    ids=["default", "pixel gray", "short", "always on"],
)
def test_unroll_equals_the_plain_loop(model, images, presentation) -> None:
    ours = dense(model.unroll(images, presentation, model.layers), 3)
    expected = plain_unroll(model, images, presentation)
    for layer in model.layers:
        assert_equal(ours[layer], expected[layer])


def test_the_two_gray_conventions_give_different_features(model, images) -> None:
    a, b = (
        model.unroll(images, presentation, ["conv1"])["conv1"].blocks[-1]
        for presentation in (Presentation(), PIXEL_GRAY)
    )
    assert (a - b).abs().max() > 0.1


@pytest.mark.parametrize("layers", [["conv7"], ["conv8", "conv5"], ["conv2"], ["readout"]])
def test_requesting_fewer_layers_does_not_change_their_features(model, images, layers) -> None:
    some = dense(model.unroll(images, Presentation(), layers), 3)
    every = dense(model.unroll(images, Presentation(), model.layers), 3)
    assert list(some) == layers
    for layer in layers:
        assert_equal(some[layer], every[layer], tolerance=0)


def test_nodes_that_cannot_reach_a_requested_layer_are_not_computed(model, images) -> None:
    calls = dict.fromkeys(model.layers, 0)

    def counting(name: str):
        def hook(*_) -> None:
            calls[name] += 1

        return hook

    hooks = [model.nodes[n].pre.register_forward_hook(counting(n)) for n in model.layers]  # type: ignore[union-attr]
    model.unroll(images, Presentation(on_ms=60, off_ms=60), ["conv7"])
    for hook in hooks:
        hook.remove()
    # Twelve steps. conv10 reaches conv7 by feedback one step later, conv9 after two, conv8 after three.
    assert calls["readout"] == 0
    assert (calls["conv10"], calls["conv9"], calls["conv8"], calls["conv7"]) == (11, 10, 9, 12)
    # Stateless layers, and the input of the first recurrent layer, run once per distinct input:
    # gray enters conv1 at step 7, and would reach conv7 only at step 13.
    assert [calls[f"conv{k}"] for k in (1, 2, 3, 4)] == [1, 2, 3, 4]


def test_a_trajectory_has_one_block_per_distinct_response(model, images) -> None:
    seen = model.unroll(images, Presentation(), model.layers)
    # Image and gray. Before them, conv2 receives zeros; conv3 receives zeros, then conv2's response to zeros.
    assert [len(seen[f"conv{k}"].blocks) for k in (1, 2, 3)] == [2, 3, 4]
    assert [len(block) for block in seen["conv3"].blocks] == [1, 1, 3, 1]
    assert seen["conv3"].run_lengths == (1, 1, 10, 13)
    # Until the image reaches a layer, the layer is computed for a single image.
    assert [len(block) for block in seen["conv10"].blocks[8:10]] == [1, 3]


def test_images_of_a_batch_do_not_affect_each_other(model, images) -> None:
    together = dense(model.unroll(images, Presentation(), model.layers), 3)
    order = [2, 0, 1]
    permuted = dense(model.unroll(images[order], Presentation(), model.layers), 3)
    alone = dense(model.unroll(images[1:2], Presentation(), model.layers), 1)
    for layer in model.layers:
        assert_equal(permuted[layer], together[layer][order])
        assert_equal(alone[layer], together[layer][1:2])


def test_features_do_not_depend_on_later_frames(model, images) -> None:
    shown = [
        Presentation(on_ms=100, off_ms=150),
        Presentation(on_ms=140, off_ms=20),
        Presentation(on_ms=90, off_ms=0),
    ]
    a, b, c = (dense(model.unroll(images, presentation, model.layers), 3) for presentation in shown)
    for layer in model.layers:
        assert_equal(b[layer][:, :10], a[layer][:, :10])
        assert_equal(c[layer], a[layer][:, :9])


def test_a_signal_advances_one_layer_per_step(model, images) -> None:
    seen = dense(model.unroll(images, Presentation(), model.layers), 3)
    for k, layer in enumerate(model.layers):
        differs = (seen[layer] != seen[layer][:1]).any(dim=2).any(dim=0)
        assert int(differs.nonzero()[0]) == k


def test_no_state_is_kept_between_calls(model, images) -> None:
    first = dense(model.unroll(images, Presentation(), model.layers), 3)
    model.unroll(images.flip(3), PIXEL_GRAY, ["conv9"])
    again = dense(model.unroll(images, Presentation(), model.layers), 3)
    for layer in model.layers:
        assert_equal(again[layer], first[layer], tolerance=0)


def test_gradients_flow_through_the_steps(model, images) -> None:
    state = model.initial_state(images)
    for _ in range(3):
        state = model.step(images, state)
    state.outputs["conv3"].sum().backward()
    assert model.nodes["conv1"].pre.weight.grad is not None  # type: ignore[union-attr]
    model.zero_grad()


PIXELS = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"layers": ["conv77"]}, UnknownNameError, "did you mean 'conv7'"),
        ({"layers": "conv7"}, ContractError, r"write \['conv7'\]"),
        ({"images": torch.rand(2, 3, 41, 41)}, ContractError, r"\(image, 3, 40, 40\), got \(2, 3, 41, 41\)"),
        ({"images": torch.rand(0, 3, SIZE, SIZE)}, ContractError, r"got \(0, 3, 40, 40\)"),
        ({"layers": None}, ContractError, "list of names, got None"),
        ({"images": torch.full((1, 3, SIZE, SIZE), 255.0)}, ContractError, "got 255.0 to 255.0; divide"),
        (
            {"images": torch.full((1, 3, SIZE, SIZE), 1 + 1e-6)},
            ContractError,
            "got 1.00000095.* to 1.0000009",
        ),
        ({"images": torch.full((1, 3, SIZE, SIZE), -0.5)}, ContractError, "got -0.5 to -0.5"),
        (
            {"images": PIXELS.masked_fill(PIXELS > 0.99, torch.nan)},
            ContractError,
            "NaN or infinite ones; check how",
        ),
        (
            {"images": PIXELS.masked_fill(PIXELS > 0.99, torch.inf)},
            ContractError,
            "NaN or infinite ones; check how",
        ),
        (
            {"images": torch.ones(1, 3, SIZE, SIZE, dtype=torch.uint8)},
            ContractError,
            "got torch.uint8; divide",
        ),
        ({"images": PIXELS.to(torch.complex64)}, ContractError, "float pixels .*, got torch.complex64"),
        ({"images": PIXELS.numpy()}, ContractError, "torch.Tensor, got ndarray; torch.from_numpy"),
        ({"presentation": Presentation(step_ms=50)}, ContractError, "steps of 10 ms"),
        ({"presentation": None}, ContractError, "takes a brainfit.Presentation, got NoneType"),
    ],
)
def test_unknown_layers_and_wrong_images_are_refused(model, images, change, error, message) -> None:
    request = {"images": images, "presentation": Presentation(), "layers": ["conv7"]}
    with pytest.raises(error, match=message):
        model.unroll(**(request | change))


@pytest.mark.parametrize("ask", [lambda: ["conv7", "conv7"], lambda: (layer for layer in ["conv7"])])
def test_repeated_layers_and_generators_of_layers_are_read_once(model, images, ask) -> None:
    seen = model.unroll(images, Presentation(), ask())
    assert list(seen) == ["conv7"]
    once = model.unroll(images, Presentation(), ["conv7"])["conv7"]
    assert seen["conv7"].index == once.index
    assert_equal(seen["conv7"].dense(), once.dense())


@pytest.mark.parametrize(
    "cell", [None, GRU(CellContext("a", 3, 4, SIZE))], ids=["none", "one that takes none"]
)
def test_feedback_into_a_cell_without_feedback_is_refused(cell) -> None:
    with pytest.raises(ContractError, match="node 'a' is given feedback, but has no cell that takes it"):
        graph_of(node_of(cell), Edges(None, ("a",)))


def node_of(cell: Cell | None = None) -> Node:
    return Node((4, SIZE, SIZE), Conv(3, 4, 3), cell=cell)


def graph_of(node: Node, edges: Edges, name: str = "a") -> GraphModel:
    """Build a graph of one node."""
    return graph({name: node}, {name: edges})


def graph(nodes: dict[str, Node], edges: dict[str, Edges]) -> GraphModel:
    return GraphModel(
        nodes,
        edges,
        name="x",
        image_size=SIZE,
        region_layers={},
        presentation=Presentation(),
    )


@pytest.mark.parametrize(
    ("edges", "error", "message"),
    [
        ({}, ContractError, r"same names; only one of them has \['a'\]"),
        ({"a": Edges(None), "b": Edges("a")}, ContractError, r"same names; only one of them has \['b'\]"),
        ({"a": Edges("b")}, UnknownNameError, "unknown source of node 'a' 'b'; known: a"),
        ({"a": Edges(None, ("a", "b"))}, UnknownNameError, "unknown source of node 'a' 'b'; known: a"),
    ],
)
def test_invalid_edges_are_refused(edges, error, message) -> None:
    with pytest.raises(error, match=message):
        graph({"a": node_of(Fed(CellContext("a", 3, 4, SIZE)))}, edges)


@pytest.mark.parametrize("name", ["", "a.b", "keys", "training"])
def test_names_that_torch_does_not_allow_are_refused(name) -> None:
    with pytest.raises(ContractError, match=f"a node cannot be called '{name}'.*rename it"):
        graph_of(node_of(), Edges(None), name)


class Fed(SimpleRNN):
    """A cell that accepts feedback and ignores it."""

    takes_feedback = True


class Misspelt(SimpleRNN):
    loops = ("of_sate",)


class Absent(SimpleRNN):
    loops = ("of_state", "feedback", "norms.state")

    def __init__(self, context: CellContext) -> None:
        super().__init__(context)
        self.feedback = self.norms = None


def test_the_loops_a_cell_declares_must_be_its_submodules() -> None:
    here = CellContext("a", 3, 4, SIZE)
    graph_of(node_of(Absent(here)), Edges(None))
    with pytest.raises(UnknownNameError, match=r"loops of Misspelt 'of_sate'; did you mean 'of_state'"):
        graph_of(node_of(Misspelt(here)), Edges(None))


@torch.no_grad()
def test_an_output_of_another_shape_than_declared_is_refused(images) -> None:
    model = graph_of(Node((4, SIZE // 2, SIZE // 2), Conv(3, 4, 3)), Edges(None))
    for run in (
        lambda: model.unroll(images, Presentation(), ["a"]),
        lambda: model.step(images, model.initial_state(images)),
    ):
        with pytest.raises(ContractError, match=r"out_shape=\(4, 20, 20\), but .* shape \(4, 40, 40\)"):
            run()


def test_models_do_not_share_their_region_layers() -> None:
    first = median_convrnn(SIZE, channel_divisor=16)
    first.region_layers["pIT"] = "conv1"
    assert median_convrnn(SIZE, channel_divisor=16).region_layers["pIT"] == "conv7"


def test_a_response_to_gray_alone_expands_to_all_images(model, images) -> None:
    seen = model.unroll(images, Presentation(on_ms=20, off_ms=0), ["conv9"])["conv9"]
    assert seen.dense().shape[:2] == (1, 2)
    assert torch.equal(seen.dense(3), seen.dense().expand(3, -1, -1))


@pytest.mark.parametrize("recurrent", [False, True])
def test_the_parts_of_a_node_are_applied_in_order(recurrent) -> None:
    """A node is finish(post(cell(activate(pre(ff)))) + shortcut(ff))."""
    parts = {
        "pre": Conv(3, 4, 3),
        "activate": torch.nn.Tanh(),
        "cell": TimeDecay(CellContext("a", 3, 4, SIZE)) if recurrent else None,
        "post": Conv(4, 5, 3),
        "shortcut": Conv(3, 5, 1, bias=False),
        "finish": torch.nn.Sequential(torch.nn.ReLU(), MaxPool()),
    }
    model = graph_of(Node((5, SIZE // 2, SIZE // 2), **parts), Edges(None))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(generator=generator)
    images = torch.rand(2, 3, SIZE, SIZE, generator=generator)
    state, memory = model.initial_state(images), torch.zeros(1)
    for _ in range(3):
        state = model.step(images, state)
        x = parts["activate"](parts["pre"](images))
        memory = parts["cell"].memory_decay * memory + x if recurrent else x
        total = parts["post"](memory) + parts["shortcut"](images)
        torch.testing.assert_close(state.outputs["a"], F.max_pool2d(total.relu(), 2))
    assert len(state.cells["a"]) == int(recurrent)


def test_a_cell_may_have_fewer_channels_than_its_layer(images) -> None:
    def make_cell(context: CellContext) -> SimpleRNN:
        return SimpleRNN(context, channels=context.channels // 2)

    model = intermediate_convrnn(make_cell, SIZE, channel_divisor=16)
    seen = model.unroll(images, Presentation(on_ms=120, off_ms=0), model.layers)
    assert seen["conv10"].blocks[-1].shape[1] == CHANNELS["conv10"] // 16
    assert model.nodes["conv10"].cell.channels == CHANNELS["conv10"] // 32  # type: ignore[union-attr]
