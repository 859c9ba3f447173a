"""Published accuracy against the number of parameters (Nayebi et al. 2018, Fig. 2b and 4c)."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from brainfit.figures.display import Display, column
from brainfit.figures.panels import Panel, legend_below
from brainfit.figures.style import INK, SERIES

TABLE = "accuracies.csv"
SOURCES = {
    "N22": "Nayebi et al. 2022, the table of github.com/neuroailab/convrnns",
    "torchvision": "torchvision’s table of weights, IMAGENET1K_V1",
}
PLACES = ((1, 0, "left"), (-1, 0, "right"), (0, 1, "center"), (0, -1, "center"))
"""Places for a name beside its point, in order of preference: right, left, above, below."""
LETTERS, AWAY = 7.0, 6.0
"""Size of a name and its distance from the point, in typographic points."""


def accuracy_against_parameters() -> Display:
    """Show the published ImageNet accuracy of models of the zoo against their number of parameters.

    The accuracies are those that the authors published for weights that can be downloaded, not those of
    random weights; models without a published accuracy are not shown.

    Returns
    -------
    Display
        Its frame has a row for each `model`: its `family`, number of `parameters`, `top1` accuracy in
        percent on the ImageNet validation set, and the `source` of the accuracy.

    References
    ----------
    Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
    NeurIPS. arXiv:1807.00053, Fig. 2b and 4c.
    Nayebi et al. (2022), Neural Comput. 34, 1652-1675: the accuracies of the recurrent models.
    """
    numbers = published_accuracies()
    best = numbers.loc[numbers["top1"].idxmax()]
    recurrent = numbers.loc[numbers["family"] != "feedforward"]
    first = recurrent.loc[recurrent["top1"].idxmax()]
    seen = (
        f"The highest is {best['model']} ({best['top1']:.1f} %, {best['parameters'] / 1e6:.1f} M "
        f"parameters); of the recurrent ones {first['model']} ({first['top1']:.1f} %, "
        f"{first['parameters'] / 1e6:.1f} M)."
    )
    sources = "; ".join(f"{key}: {what}" for key, what in SOURCES.items())
    return Display(
        name="accuracy",
        title="Published accuracy against parameters",
        caption=(
            f"One point a model: top-1 accuracy on ImageNet as published, against its parameters. {seen} "
            f"No accuracy was measured by brainfit; parameters are counted in its models. Sources: {sources}."
        ),
        alt=f"Scatter plot of published ImageNet accuracy against the number of parameters. {seen}",
        subject="published accuracies, ImageNet top-1",
        numbers=numbers,
        draw=Panel(_draw, size=(7.2, 4.6)),
    )


def published_accuracies() -> pd.DataFrame:
    """Return the published accuracies: `model`, `family`, `parameters`, `top1` in percent, and `source`."""
    with files("brainfit.figures").joinpath(TABLE).open(encoding="utf-8") as file:
        return pd.read_csv(file)


def _draw(numbers: pd.DataFrame, ax: Axes) -> None:
    for (family, group), (color, marker) in zip(numbers.groupby("family", sort=False), SERIES, strict=False):
        ax.plot(
            column(group, "parameters") / 1e6, group["top1"], marker, color=color, markersize=7,
            label=str(family), gid=str(family),
        )  # fmt: skip
    ax.set_xscale("log")
    ax.set(xlabel="Parameters (millions)", ylabel="Top-1 accuracy (%)")
    ax.margins(x=0.12, y=0.1)
    ticks = [tick for tick in (2, 5, 10, 20, 50, 100) if ax.get_xlim()[0] <= tick <= ax.get_xlim()[1]]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.set_xticks([], minor=True)
    legend_below(ax, ncols=3)
    _name_points(ax, numbers)


def _name_points(ax: Axes, numbers: pd.DataFrame) -> None:
    """Write the cell of each model beside its point, where no other name or point is."""
    scale = ax.figure.dpi / 72
    points = ax.transData.transform(
        np.column_stack([column(numbers, "parameters") / 1e6, column(numbers, "top1")])
    )
    taken = [Bbox.from_bounds(x - 4 * scale, y - 4 * scale, 8 * scale, 8 * scale) for x, y in points]
    for k, (x, y) in enumerate(points):
        name = str(numbers["model"].iloc[k]).partition("_")[0]
        width, height = 0.62 * LETTERS * scale * len(name), 1.2 * LETTERS * scale
        others = taken[:k] + taken[k + 1 :]
        options = []
        for right, up, side in PLACES:
            left = x + right * AWAY * scale - {"left": 0, "center": width / 2, "right": width}[side]
            box = Bbox.from_bounds(left, y + up * (AWAY * scale + height / 2) - height / 2, width, height)
            options.append((box, right, up, side))
        free = [o for o in options if not any(o[0].overlaps(other) for other in others)] or options
        box, right, up, side = free[0]
        taken.append(box)
        ax.annotate(
            name, (column(numbers, "parameters")[k] / 1e6, column(numbers, "top1")[k]),
            xytext=(right * AWAY, up * (AWAY + 0.6 * LETTERS)), textcoords="offset points", ha=side,
            va="center", fontsize=LETTERS, color=INK, gid="name",
        )  # fmt: skip
