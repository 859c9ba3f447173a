"""The headline of several models side by side, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from brainfit.errors import ContractError
from brainfit.figures.display import Display, column, subjects
from brainfit.figures.labels import labels
from brainfit.figures.numbers import interval, number
from brainfit.figures.panels import Panel, legend_below
from brainfit.figures.style import CEILING, FAINT, INK, SERIES
from brainfit.scoring.result import Score

ROW, MARGIN = 0.5, 1.2
"""Height of a model and of the margins together, in inches."""


def pooled_scores(scores: Sequence[Score]) -> Display:
    """Show the image-driven normalised score of each model with its 95% interval.

    Returns
    -------
    Display
        Its frame has a row for each score: `model`, the pooled medians over units `image_driven`, its
        interval `low` to `high`, and the plain scores `normalized` and `time_course`. NaN: not defined.

    Raises
    ------
    ContractError
        If there is no score.
    """
    if not scores:
        raise ContractError("there is no score to draw")
    numbers = pd.DataFrame(
        [
            {
                "model": name,
                "image_driven": pooled["image_driven"],
                "low": pooled["image_driven_ci95"][0],
                "high": pooled["image_driven_ci95"][1],
                "normalized": pooled["normalized"],
                "time_course": pooled["time_course"],
            }
            for name, pooled in zip(labels(scores), (score.pooled for score in scores), strict=True)
        ]
    )
    seen = " ".join(
        f"{row['model']}: {number(row['image_driven'])} ({interval(row['low'], row['high'])})."
        for row in numbers.to_dict("records")
    )
    return Display(
        name="pooled",
        title="Pooled scores",
        caption=(
            "Median over units of the image-driven normalised score over held-out images and time bins; 1 "
            "is as good as the noise allows. Bars: 95% intervals, over images and units, of each model by "
            "itself; the table of pairs says whether two models differ. Open circles: the plain score, "
            f"with the mean time course left in. {seen}"
        ),
        alt=f"Dot chart of the image-driven normalised score of each model with its interval. {seen}",
        subject=subjects(scores),
        numbers=numbers,
        draw=Panel(_draw, size=(7.2, MARGIN + ROW * len(numbers))),
    )


def _draw(numbers: pd.DataFrame, ax: Axes) -> None:
    rows = np.arange(len(numbers))
    ax.axvline(0, color=FAINT, linewidth=1, zorder=0)
    for row, (color, marker) in zip(rows, cycle(SERIES), strict=False):
        low, middle, high = (column(numbers, name)[row] for name in ("low", "image_driven", "high"))
        ax.hlines(row, low, high, color=color, linewidth=2.5, alpha=0.6)
        ax.plot(middle, row, marker, color=color, markersize=8, gid="image_driven")
    ax.plot(
        column(numbers, "normalized"), rows, "o", color=INK, markerfacecolor="none", markersize=6,
        label="plain", gid="plain",
    )  # fmt: skip
    alone = np.unique(column(numbers, "time_course")[np.isfinite(column(numbers, "time_course"))])
    if alone.size == 1:
        ax.axvline(
            alone[0], color=CEILING, linewidth=1, linestyle=":", label="mean time course alone (plain)"
        )
    ax.set_yticks(rows, numbers["model"].tolist())
    ax.tick_params(axis="y", length=0)
    values = numbers[["low", "normalized", "high", "image_driven"]].to_numpy(dtype=float)
    finite = values[np.isfinite(values)]
    ax.set(
        xlabel="Normalised score, image-driven",
        xlim=(min(0.0, finite.min(initial=0.0) - 0.02), max(1.0, finite.max(initial=1.0) + 0.02)),
        ylim=(len(rows) - 0.4, -0.6),
    )
    legend_below(ax, ncols=2)
