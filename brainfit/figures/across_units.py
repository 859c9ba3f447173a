"""Correlation of every unit against its own noise ceiling."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from brainfit.contracts.vocabulary import WINDOWS
from brainfit.figures.display import Display, column, subject
from brainfit.figures.numbers import count, number
from brainfit.figures.panels import Panel, legend_below, say_empty
from brainfit.figures.style import MEDIAN, MODEL, MUTED
from brainfit.scoring.result import Score


def scores_against_ceiling(score: Score) -> Display:
    """Show the image-driven correlation of each unit against the ceiling of the same kind.

    Returns
    -------
    Display
        Its frame has a row for each unit with the columns `unit_id`, `animal` and `array`, as far as the
        score has them; the image-driven `r`, `ceiling`, `reliability` and `normalized` over the pooled
        window, and `normalized` in the `early` and `late` windows; the `plain` normalised score and that with
        ranks, `spearman_normalized`; `temporal_correlation` and `alpha`. NaN: not defined.
    """
    numbers = numbers_of_units(score)
    shown = numbers.dropna(subset=["ceiling", "r"])
    left_out = len(numbers) - len(shown)
    if shown.empty:
        seen = "No unit has a reliable response, so there are no points."
    else:
        seen = (
            f"The medians, r {number(np.median(column(shown, 'r')))} under a ceiling of "
            f"{number(np.median(column(shown, 'ceiling')))}, cross at the diamond."
        )
    if left_out and not shown.empty:
        are = "is" if left_out == 1 else "are"
        seen += f" {count(left_out, 'unit')} without a reliable response {are} left out."
    together = "" if score.data.sizes["time_bin"] == 1 else " and time bins together"
    return Display(
        name="units",
        title="Each unit against its ceiling",
        caption=(
            f"One point a unit: image-driven correlation over held-out images{together}, against the ceiling "
            "that the noise of the unit allows (Pearson). On the diagonal, everything that can be "
            f"predicted is predicted. {seen}"
        ),
        alt=f"Scatter plot of each unit’s image-driven correlation against its noise ceiling. {seen}",
        subject=subject(score),
        numbers=numbers,
        draw=Panel(_draw, size=(4.6, 4.5)),
    )


def numbers_of_units(score: Score) -> pd.DataFrame:
    """Return the frame of `scores_against_ceiling`."""
    data = score.data
    pooled = data.sel(window="pooled")
    columns = {name: data[name].values for name in ("unit_id", "animal", "array") if name in data.coords}
    reliability = pooled["window_image_driven_reliability"].values
    columns |= {
        "r": pooled["window_image_driven_r"].values,
        "ceiling": np.sqrt(reliability),
        "reliability": reliability,
        "normalized": pooled["window_image_driven"].values,
        "plain": pooled["window_normalized"].values,
        "spearman_normalized": pooled["window_spearman_normalized"].values,
        **{name: data["window_image_driven"].sel(window=name).values for name in WINDOWS},
    }
    columns |= {name: data[name].values for name in ("temporal_correlation", "alpha")}
    return pd.DataFrame(columns)


def _draw(numbers: pd.DataFrame, ax: Axes) -> None:
    shown = numbers.dropna(subset=["ceiling", "r"])
    lowest = min(0.0, np.floor(column(shown, "r").min() * 10) / 10) if len(shown) else 0.0
    ax.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), label="score = ceiling")
    if shown.empty:
        say_empty(ax, "no unit has a reliable response")
    else:
        x, y = (float(np.median(column(shown, name))) for name in ("ceiling", "r"))
        ax.plot([x, x, 0], [lowest, y, y], color=MEDIAN, linewidth=0.8)
        ax.scatter(
            shown["ceiling"],
            shown["r"],
            s=24,
            color=MODEL,
            alpha=0.65,
            linewidths=0,
            clip_on=False,
            label="unit",
            gid="units",
        )
        ax.scatter(x, y, s=60, marker="D", color=MEDIAN, edgecolors="white", label="medians", zorder=3)
    ax.set(
        xlabel="Noise ceiling",
        ylabel="Image-driven correlation r",
        xlim=(0, 1),
        ylim=(lowest, 1),
        aspect="equal",
    )
    legend_below(ax, ncols=3)
