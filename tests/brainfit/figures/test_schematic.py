"""The schematic shows the model as it is, and its layout obeys laws that need no pixels to test."""

import json
from functools import cache
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.path import Path
from tiny import TinyModel
from typer.testing import CliRunner

from brainfit.cli.app import app
from brainfit.contracts.diagram import Edge, Part, Wiring
from brainfit.errors import ContractError, UnknownNameError
from brainfit.figures import schematic
from brainfit.registry import lookup
from model_zoo.engine.graph import GraphModel
from model_zoo.networks.median_convrnn import median_convrnn

GRAPHS = [
    name for name, entry in lookup.list_models().items() if not entry.target.startswith("networks.resnet")
]


class BrokenModel(TinyModel):
    def wiring(self) -> Wiring:
        raise KeyError("x")


CELLS = ("GRU", "LSTM", "time decay", "UGRNN", "intersection RNN", "reciprocal gated median", "simple RNN")


def chain(n, cells=(), feedback=(), skips=(), names=None):
    """Build a chain of layers that cycles through the cells; all but the last layer have maps."""
    names = names or [f"conv{k}" for k in range(1, n + 1)]
    parts = [
        Part(
            names[k],
            cells[k % len(cells)] if cells else None,
            (1000,) if k == n - 1 else (2 ** min(6 + k // 2, 10), 1 + 224 // (k + 1), 1 + 224 // (k + 1)),
            7**k % 10**8,
        )
        for k in range(n)
    ]
    edges = [Edge(below, name) for below, name in zip([None, *names], names, strict=False)]
    edges += [Edge(None if a < 0 else names[a], names[b]) for a, b in skips]
    edges += [Edge(names[a], names[b], feedback=True) for a, b in feedback]
    return Wiring("made up", 224, tuple(parts), tuple(edges))


def drawn_at_random(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 26))
    pairs = list(combinations(range(n), 2))
    chosen = [pairs[k] for k in rng.permutation(len(pairs))[:16]]
    skips = [(a, b) for a, b in chosen[:6] if b > a + 1]
    return chain(n, CELLS[: seed % 7 + 1], [(b, a) for a, b in chosen[6:]], skips)


WIRINGS = {
    "one layer": chain(1),
    "one layer, all on its own": Wiring("lone", 8, (Part("only", None, (3, 8, 8), 0),), ()),
    "without cells": chain(11),
    "skips": chain(8, skips=[(-1, 2), (0, 2), (1, 5), (5, 7), (2, 7)]),
    "skips past loops": chain(8, ["GRU"], skips=[(-1, 2), (0, 2), (1, 5), (5, 7), (2, 7)]),
    "many onto one": chain(10, ["GRU"], feedback=[(k, 1) for k in range(2, 10)]),
    "many from one": chain(10, ["GRU"], feedback=[(9, k) for k in range(9)]),
    "nested": chain(12, ["GRU"], feedback=[(11 - k, k) for k in range(6)]),
    "onto itself": chain(3, ["GRU"], feedback=[(1, 1), (2, 1), (1, 0)]),
    "up and down": chain(5, ["GRU"], feedback=[(3, 1), (1, 3)], skips=[(3, 1)]),
    "a tall box between": Wiring(
        "hourglass",
        64,
        tuple(Part(name, "GRU", (8, size, size), 0) for name, size in (("a", 4), ("b", 64), ("c", 4))),
        (Edge(None, "a"), Edge("a", "b"), Edge("b", "c"), Edge("a", "c"), Edge("c", "a", feedback=True)),
    ),
    "25 layers": chain(25, ["GRU"], feedback=[(24, 0), (20, 10)]),
    "many cells": chain(25, CELLS),
    "long names": chain(9, ["a cell " * 20], names=[f"blocks.{k}.W{'mW' * 40 * (k % 2)}" for k in range(9)]),
    "names like formulas": chain(3, ["$x$"], names=[r"$\frac{$", "image", " a\nb "]),
    **{f"random {seed}": drawn_at_random(seed) for seed in range(1, 6)},
}
each_wiring = pytest.mark.parametrize("wiring", WIRINGS.values(), ids=WIRINGS)


@pytest.fixture(scope="module")
def median():
    return median_convrnn(40, channel_divisor=16, n_classes=10)


@cache
def draw(wiring):
    figure = schematic(wiring).figure()
    figure.draw_without_rendering()
    return figure


def patches(figure, *kinds):
    return [patch for patch in figure.axes[0].patches if patch.get_gid() in kinds]


def extents(figure, *kinds):
    """Return left, bottom, right and top of the patches in inches; arrows include their heads."""
    return [patch.get_path().transformed(patch.get_patch_transform()).get_extents().extents
            if hasattr(patch, "get_width") else patch.get_path().get_extents().extents
            for patch in patches(figure, *kinds)]  # fmt: skip


def without_head(arrow):
    end = np.flatnonzero(arrow.codes == Path.MOVETO)[1]
    return Path(arrow.vertices[:end], arrow.codes[:end])


def texts(figure):
    return [*figure.axes[0].texts, *figure.texts, *(t for key in figure.legends for t in key.get_texts())]


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@pytest.mark.parametrize("name", GRAPHS)
def test_the_table_of_a_schematic_equals_the_model(name):
    smaller = {} if name.endswith("_mini") else {"channel_divisor": 16}
    model = lookup.load_model(name, image_size=66, n_classes=10, weights="random", **smaller)
    assert isinstance(model, GraphModel)
    display = schematic(model.wiring())
    frame = display.frame()
    layers = frame.loc[frame["kind"] == "layer"].set_index("name")
    assert list(layers.index) == list(model.layers)
    assert layers["parameters"].sum() == sum(p.numel() for p in model.parameters())

    frame_zero = torch.zeros(1, 3, model.image_size, model.image_size)
    with torch.inference_mode():
        outputs = model.step(frame_zero, model.initial_state(frame_zero)).outputs
    for layer, output in outputs.items():
        row = layers.loc[layer]
        shape = [row[size] for size in ("channels", "height", "width") if not pd.isna(row[size])]
        assert shape == list(output.shape[1:])
        assert pd.isna(row["cell"]) == (model.nodes[layer].cell is None)

    rows = frame.loc[frame["kind"].isin(["feedforward", "feedback"]), ["kind", "source", "target"]]
    edges = {(kind, None if pd.isna(source) else source, target) for kind, source, target in rows.to_numpy()}
    feedback = {
        ("feedback", source, target) for target in model.layers for source in model.edges[target].feedback
    }
    forward = {("feedforward", model.edges[target].feedforward, target) for target in model.layers}
    assert edges == feedback | forward
    assert len(rows) == len(edges)
    assert_drawn(draw(model.wiring()), len(model.layers), len(model.layers), len(feedback), layers["cell"])


def assert_drawn(figure, n_layers, n_forward, n_feedback, cells):
    assert len(patches(figure, "box")) == n_layers + 1
    assert len(patches(figure, "feedforward")) == n_forward
    assert len(patches(figure, "feedback")) == n_feedback
    assert len(patches(figure, "loop")) == cells.notna().sum()


def test_the_median_model_is_drawn_as_in_the_paper(median):
    display = schematic(median.wiring())
    assert "11 layers, 7 of them recurrent, 5 feedback connections" in display.caption
    for edge in ("conv8 to conv5", "conv7 to conv6", "conv9 to conv6", "conv10 to conv7", "conv10 to conv9"):
        assert edge in display.alt
    assert "17 steps" in display.subject
    frame = display.frame()
    assert set(frame["cell"].dropna()) == {"reciprocal gated median"}
    legend = [text.get_text() for text in display.figure().legends[0].get_texts()]
    assert legend == ["feedforward", "feedback", "cell: reciprocal gated median"]


def test_the_texts_are_those_of_the_model(median):
    written = [text.get_text() for text in draw(median.wiring()).axes[0].texts]
    assert written[:4] == ["image", "40×40×3\n", "conv1", "10×10×4\n592"]  # 7·7·3·4 + 4 parameters
    assert written[-2:] == ["readout", "10\n330"]


@each_wiring
def test_every_layer_and_connection_is_drawn(wiring):
    feedback = sum(edge.feedback for edge in wiring.edges)
    cells = schematic(wiring).frame().iloc[: 1 + len(wiring.parts)]["cell"]
    assert_drawn(draw(wiring), len(wiring.parts), len(wiring.edges) - feedback, feedback, cells)


@each_wiring
def test_texts_are_neither_cut_off_nor_overlapping(wiring):
    figure = draw(wiring)
    bounds = [np.divide(text.get_window_extent().extents, figure.dpi) for text in texts(figure)]
    width, height = figure.get_size_inches()
    for left, bottom, right, top in bounds:
        assert left >= 0
        assert bottom >= 0
        assert right <= width
        assert top <= height
    assert not any(overlap(a, b) for a, b in combinations(bounds, 2))
    for part in extents(figure, "box", "feedback", "feedforward", "loop"):
        assert not any(overlap(part, text) for text in bounds)
        assert 0 <= part[0] <= part[2] <= width
        assert part[3] <= height


@each_wiring
def test_boxes_do_not_overlap_and_nothing_crosses_them(wiring):
    figure = draw(wiring)
    boxes = np.array(extents(figure, "box"))
    assert (boxes[1:, 0] - boxes[:-1, 2] > 0.1).all()
    for arrow in patches(figure, "feedback", "feedforward", "loop"):
        for line in arrow.get_path().interpolated(20).to_polygons(closed_only=False):
            points = np.asarray(line)[:, None, :]
            inside = (points > boxes[:, :2] + 0.03) & (points < boxes[:, 2:] - 0.03)
            assert not inside.all(axis=2).any()


@each_wiring
def test_arcs_connect_their_boxes_and_cross_only_where_unavoidable(wiring):
    figure = draw(wiring)
    boxes = np.array(extents(figure, "box"))
    place = {part.name: k for k, part in enumerate(wiring.parts, 1)}
    edges = [(place.get(edge.source, 0), place[edge.target]) for edge in wiring.edges if edge.feedback]
    arcs = [without_head(patch.get_path()) for patch in patches(figure, "feedback")]
    for edge, arc in zip(edges, arcs, strict=True):
        for box, (x, y) in zip(boxes[list(edge)], np.asarray(arc.vertices)[[0, -1]], strict=True):
            assert box[0] < x < box[2]
            assert y == pytest.approx(box[3], abs=0.05)  # the arrowhead covers the rest
    for (a, one), (b, other) in combinations(zip(edges, arcs, strict=True), 2):
        (a0, a1), (b0, b1) = sorted([sorted(a), sorted(b)])
        must_cross = a0 < b0 < a1 < b1
        assert one.intersects_path(other, filled=False) == must_cross


def test_boxes_grow_with_maps_and_channels():
    boxes = np.array(extents(draw(chain(11)), "box"))[1:-1]
    assert (np.diff(boxes[:, 3] - boxes[:, 1]) < 0).all()
    widths = boxes[:, 2] - boxes[:, 0]
    assert (np.diff(widths) > -1e-9).all()
    assert widths[-1] > 1.5 * widths[0]


def test_cells_and_edges_are_distinguishable_in_grayscale():
    figure = draw(chain(14, CELLS, feedback=[(3, 1)]))
    looks = [
        (round(float(np.dot(to_rgb(box.get_facecolor()[:3]), (0.3, 0.59, 0.11))), 1), box.get_hatch())
        for box in patches(figure, "box")[1:]
    ]
    assert looks[:7] == looks[7:]
    assert len(set(looks)) == 7
    assert {arrow.get_linestyle() for arrow in patches(figure, "feedforward")} == {"-"}
    assert patches(figure, "feedback")[0].get_linestyle() != "-"


NEWER = Part("a", None, (3, 2, 2), 0)
WRONG = {
    "twice the same name": ((NEWER, NEWER), (), ContractError, "2 parts are called 'a'"),
    "odd shape": ((Part("a", None, (3, 2), 0),), (), ContractError, "(3, 2)"),
    "edge to nowhere": ((NEWER,), (Edge(None, "b"),), UnknownNameError, "'b'"),
    "edge from nowhere": ((NEWER,), (Edge("b", "a"),), UnknownNameError, "'b'"),
}


@pytest.mark.parametrize(("parts", "edges", "error", "says"), WRONG.values(), ids=WRONG)
def test_an_impossible_wiring_is_refused(parts, edges, error, says):
    with pytest.raises(error) as caught:
        Wiring("m", 8, parts, edges)
    assert says in str(caught.value)


@pytest.fixture
def run(monkeypatch, tmp_path, median):
    monkeypatch.chdir(tmp_path)
    models = {
        "small": lambda image_size=40: median_convrnn(image_size, channel_divisor=16, name="a/b"),
        "tiny": TinyModel,
        "broken": BrokenModel,
    }
    monkeypatch.setitem(lookup._REGISTERED, "model", models)
    return lambda *arguments: CliRunner().invoke(app, ["draw", *map(str, arguments)])


@pytest.mark.parametrize(
    ("suffix", "magic"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF"), (".PNG", b"\x89PNG")]
)
def test_draw_replaces_the_file_and_leaves_no_other_files(run, tmp_path, suffix, magic):
    path = tmp_path / "new" / f"small{suffix}"
    first = run("small", "-o", path)
    assert (first.exit_code, first.stdout) == (0, f"{path}\n"), first.output
    content = path.read_bytes()
    assert content.startswith(magic)
    path.write_bytes(b"earlier")
    assert run("small", "--out", path).exit_code == 0
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_draw_names_the_file_by_the_model_and_prints_the_wiring(run, tmp_path):
    printed = json.loads(run("small", "--image-size", 48, "--json").stdout)
    assert printed["file"] == "a_b.svg"
    assert (tmp_path / "a_b.svg").is_file()
    assert (printed["model"], printed["image_size"], printed["steps"]) == ("a/b", 48, 17)
    assert printed["parts"][0] == {"name": "conv1", "cell": None, "shape": [4, 12, 12], "parameters": 592}
    assert {"source": "conv8", "target": "conv5", "feedback": True} in printed["edges"]


def test_help_has_an_example(run):
    assert "Example: brainfit draw" in run("--help").stdout


REFUSED = {
    "suffix": (("small", "-o", "a.gif"), "a.gif"),
    "no suffix": (("small", "-o", "small"), ".svg"),
    "no graph": (("tiny",), "wiring()"),
    "broken": (("broken",), "wiring() failed: KeyError"),
    "unknown": (("smal",), "did you mean 'small'"),
    "not a folder": (("small", "-o", "file/a.svg"), "cannot write"),
    "a folder": (("small", "-o", "folder.svg"), "cannot write"),
}


@pytest.mark.parametrize(("arguments", "says"), REFUSED.values(), ids=REFUSED)
def test_draw_reports_errors_in_one_line(run, tmp_path, arguments, says):
    (tmp_path / "file").touch()
    (tmp_path / "folder.svg").mkdir()
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert says in line
    assert {item.name for item in tmp_path.iterdir()} == {"file", "folder.svg"}
