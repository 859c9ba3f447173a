"""Layers, cells and connections of a model as a diagram (Nayebi et al. 2018, Fig. 1 and 5a).

Boxes stand side by side on one axis. An edge to the next box is a straight arrow; all other edges are arcs
around the boxes, feedback above and the rest below.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Patch, Rectangle
from matplotlib.path import Path
from matplotlib.textpath import text_to_path
from matplotlib.ticker import EngFormatter
from matplotlib.transforms import Affine2D

from brainfit.contracts.diagram import Wiring
from brainfit.figures.display import Display, column, shorten
from brainfit.figures.edge_paths import Arcs
from brainfit.figures.numbers import count
from brainfit.figures.style import FAINT, INK, MEDIAN, MODEL, MUTED, WINDOWS

COLUMNS = ("kind", "name", "cell", "channels", "height", "width", "parameters", "source", "target")
FILLS, HATCHES = (MODEL, *WINDOWS.values(), "#CC79A7", "#56B4E9"), ("", "////", "....", "xxxx")
"""Colours and hatches of boxes with a cell; hatches distinguish them in gray print."""
OUTLINE: dict[str, Any] = {"edgecolor": INK, "linewidth": 0.7}
EDGES = {"feedforward": (INK, "-"), "feedback": (MEDIAN, (0, (3, 1.5)))}

# All lengths are in inches.
PAGE = 7.2
"""Least width of the figure."""
TALLEST, WIDEST, SMALLEST = 1.2, 0.45, 0.12
"""Height of the largest map, width of the most channels, and the least of either."""
GAP = 0.2
"""Least room between boxes."""
LINE = 0.14
"""Height of a line of text."""
NAME, SMALL, LEGEND = 7.5, 7.0, 8.0
"""Sizes of text, in points."""
LONGEST_LINE = 12
"""Longest line of a layer's name, in characters."""


def schematic(wiring: Wiring) -> Display:
    """Show the layers, cells and connections of a model.

    Parameters
    ----------
    wiring
        The diagram of a model; with more than about ten layers the figure is wider than a page.

    Returns
    -------
    Display
        Its frame has a row for the image, each layer and each edge; `kind` is
        ``image``, ``layer``, ``feedforward``, ``feedback``. Image and layers have a `name`, a `cell` (missing
        if not recurrent), and `channels`, `height` and `width` of their output (the last two missing for
        classes); layers have their number of `parameters`. Edges have a `source` (missing if it is
        the image) and a `target`.

    References
    ----------
    Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
    NeurIPS. arXiv:1807.00053, Fig. 1 and 5a.
    """
    model = shorten(wiring.model)
    parameters = f"{short(sum(part.parameters for part in wiring.parts))} parameters"
    steps = [] if wiring.steps is None else [count(wiring.steps, "step")]
    recurrent = sum(part.cell is not None for part in wiring.parts)
    feedback = [f"{edge.source or 'image'} to {edge.target}" for edge in wiring.edges if edge.feedback]
    seen = (
        f"{model} has {count(len(wiring.parts), 'layer')}, {recurrent} of them recurrent, "
        f"{count(len(feedback), 'feedback connection')} and {parameters}."
    )
    return Display(
        name="schematic",
        title="Layers and connections",
        caption=(
            f"{seen} From left to right: the image, then each layer as a box, the taller the larger its map, "
            "the wider the more channels (or arcs) it has. Under it: height × width × channels of its "
            "output, and its number of parameters. Boxes with a colour and a loop are recurrent; the legend "
            "names their cells. Solid arrows: feedforward; dashed arcs: feedback."
        ),
        alt=f"Boxes joined by arrows. {seen} Feedback: {', '.join(feedback) or 'none'}.",
        subject="  ·  ".join([model, parameters, *steps]),
        numbers=_numbers(wiring),
        draw=_draw,
    )


def short(n: int) -> str:
    """Write a number of parameters in few letters.

    Examples
    --------
    >>> short(650), short(9472), short(999_999), short(25_434_472)
    ('650', '9.5 k', '1.0 M', '25.4 M')
    """
    return str(n) if n < 1000 else EngFormatter(places=1)(n)


def _numbers(wiring: Wiring) -> pd.DataFrame:
    size = wiring.image_size
    rows: list[dict[str, object]] = [
        {"kind": "image", "name": "image", "channels": 3, "height": size, "width": size}
    ]
    for part in wiring.parts:
        shape = dict(zip(("channels", "height", "width"), part.shape, strict=False))
        rows.append(
            {"kind": "layer", "name": part.name, "cell": part.cell, "parameters": part.parameters, **shape}
        )
    for edge in wiring.edges:
        kind = "feedback" if edge.feedback else "feedforward"
        rows.append({"kind": kind, "source": edge.source, "target": edge.target})
    whole = dict.fromkeys(("channels", "height", "width", "parameters"), "Int64")
    return pd.DataFrame(rows, columns=COLUMNS).astype(whole)


def _draw(numbers: pd.DataFrame) -> Figure:
    is_edge = numbers["kind"].isin(list(EDGES))
    boxes = numbers.loc[~is_edge]
    ends = _ends(numbers.loc[is_edge], boxes["name"].tolist())
    cells = [None if pd.isna(cell) else cell for cell in boxes["cell"].tolist()]
    straight = [end for end in ends["feedforward"] if end[1] == end[0] + 1]
    around = [end for end in ends["feedforward"] if end[1] != end[0] + 1]
    loops = [(k, k) for k in range(len(boxes)) if cells[k]]
    above, below = Arcs(ends["feedback"]), Arcs([*loops, *around])

    # Across the page.
    wide = below.widen(above.widen(_scaled(column(boxes, "channels"), WIDEST)))
    names = [textwrap.fill(shorten(name), LONGEST_LINE) for name in boxes["name"]]
    facts = [_facts(row) for row in boxes.to_dict("records")]
    texts = np.maximum([_width(name, NAME) for name in names], [_width(fact, SMALL) for fact in facts])
    columns = np.maximum(wide + GAP, texts + GAP / 3)
    columns *= np.clip((PAGE - GAP) / columns.sum(), 1, 1.4)
    width = max(PAGE, columns.sum() + GAP)
    x = (width - columns.sum()) / 2 + columns.cumsum() - columns / 2

    # Up from the foot of the page.
    tall = _scaled(column(boxes.fillna({"height": 1}), "height"), TALLEST)
    feedback, others = above.paths(x, tall / 2), below.paths(x, tall / 2)
    fills = dict(zip(dict.fromkeys(filter(None, cells)), zip(cycle(FILLS), cycle(HATCHES)), strict=False))
    keys = _legend(fills, ends)
    widest = max((_width(str(key.get_label()), LEGEND) for key in keys), default=0) + 0.7
    keys_a_row = max(1, int(width / widest))
    facts_top = LINE * (1.5 * math.ceil(len(keys) / keys_a_row) + 3)
    names_top = facts_top + LINE * (1 + max(name.count("\n") for name in names))
    up = max([tall.max() / 2, *(path.get_extents().y1 for path in feedback)])
    down = max([tall.max() / 2, *(path.get_extents().y1 for path in others)])
    axis = names_top + GAP / 2 + down
    height = axis + up + 2.5 * LINE

    figure = Figure(figsize=(width, height))
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    ax.set_axis_off()
    for k, cell in enumerate(cells):
        corner = x[k] - wide[k] / 2, axis - tall[k] / 2
        fill, hatch = fills[cell] if cell else (FAINT if k else "white", "")
        ax.add_patch(Rectangle(corner, wide[k], tall[k], gid="box", facecolor=fill, hatch=hatch, **OUTLINE))
        ax.text(x[k], names_top, names[k], ha="center", va="top", fontsize=NAME)
        ax.text(x[k], facts_top, facts[k], ha="center", va="top", fontsize=SMALL, color=MUTED)
    for a, b in straight:
        _arrow(ax, Path([(x[a] + wide[a] / 2, axis), (x[b] - wide[b] / 2, axis)]), "feedforward")
    for path in feedback:
        _arrow(ax, path.transformed(Affine2D().translate(0, axis)), "feedback")
    for k, path in enumerate(others):
        kind = "loop" if k < len(loops) else "feedforward"
        _arrow(ax, path.transformed(Affine2D().scale(1, -1).translate(0, axis)), kind)
    figure.legend(handles=keys, loc="lower center", ncols=keys_a_row, fontsize=LEGEND)
    return figure


def _ends(edges: pd.DataFrame, names: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
    """Return source and target of the edges of each kind as positions from the left; the image is 0."""
    place = {name: k for k, name in enumerate(names) if k}
    ends: dict[str, list[tuple[int, int]]] = {kind: [] for kind in EDGES}
    for kind, source, target in edges[["kind", "source", "target"]].to_numpy():
        ends[kind].append((place.get(source, 0), place[target]))
    return ends


def _scaled(values: np.ndarray, largest: float) -> np.ndarray:
    """Return lengths that grow with the square root of `values`."""
    roots = np.sqrt(values)
    return np.maximum(largest * roots / roots.max(), SMALLEST)


def _facts(box: Mapping[Any, Any]) -> str:
    """Write the shape, and below it the number of parameters."""
    shape = "×".join(str(box[name]) for name in ("height", "width", "channels") if pd.notna(box[name]))
    return f"{shape}\n{'' if pd.isna(box['parameters']) else short(box['parameters'])}"


def _width(text: str, size: float) -> float:
    """Return the width of the widest line of a text."""
    font = FontProperties(family="DejaVu Sans", size=size)
    lines = text.split("\n")
    return max(text_to_path.get_text_width_height_descent(line, font, False)[0] for line in lines) / 72


def _arrow(ax: Axes, path: Path, kind: str) -> None:
    color, line = EDGES.get(kind, EDGES["feedforward"])
    style = {"arrowstyle": "-|>", "mutation_scale": 6, "linewidth": 1}
    ax.add_patch(FancyArrowPatch(path=path, gid=kind, color=color, linestyle=line, **style))


def _legend(fills: Mapping[str, tuple[str, str]], ends: Mapping[str, Sequence[object]]) -> list[Artist]:
    lines = [
        Line2D([], [], color=color, linestyle=line, linewidth=1, label=kind)
        for kind, (color, line) in EDGES.items()
        if ends[kind]
    ]
    patches = [
        Patch(facecolor=fill, hatch=hatch, label=f"cell: {shorten(cell)}", **OUTLINE)
        for cell, (fill, hatch) in fills.items()
    ]
    return [*lines, *patches]
