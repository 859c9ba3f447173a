"""Units in the order of their scores, for recordings that have no time axis."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from brainfit.figures.across_units import numbers_of_units
from brainfit.figures.display import Display, column, subject
from brainfit.figures.numbers import count, number
from brainfit.figures.panels import Panel, legend_below, say_empty
from brainfit.figures.style import CEILING, FAINT, MODEL
from brainfit.scoring.result import Score


def ranked_units(score: Score) -> Display:
    """Show the image-driven correlation and the ceiling of each unit, best predicted units first.

    Returns
    -------
    Display
        Its frame is that of `scores_against_ceiling`, sorted by `r`, without undefined units.
    """
    numbers = numbers_of_units(score).dropna(subset=["r", "ceiling"])
    numbers = numbers.sort_values("r", ascending=False, ignore_index=True, kind="stable")
    left_out = score.data.sizes["unit"] - len(numbers)
    if numbers.empty:
        seen = "No unit has a reliable response, so there is nothing to show."
    else:
        r, ceiling = column(numbers, "r"), column(numbers, "ceiling")
        seen = (
            f"The best of {count(len(r), 'unit')} has r = {number(r[0])} under a ceiling of "
            f"{number(ceiling[0])}, the worst {number(r[-1])} under {number(ceiling[-1])}."
        )
        if left_out:
            seen += f" {count(left_out, 'unit')} without a reliable response not shown."
    return Display(
        name="ranked",
        title="Units from best to worst",
        caption=(
            "Each column is a unit: a dot at its correlation over held-out images, a tick at its noise "
            f"ceiling (Pearson), a line from one to the other. {seen}"
        ),
        alt=f"Dots and ticks, a column a unit, of its correlation and its noise ceiling. {seen}",
        subject=subject(score),
        numbers=numbers,
        draw=Panel(_draw, size=(7.2, 3.6)),
    )


def _draw(numbers: pd.DataFrame, ax: Axes) -> None:
    place = np.arange(1, len(numbers) + 1)
    ax.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
    if numbers.empty:
        say_empty(ax, "no unit has a reliable response")
    else:
        r, ceiling = column(numbers, "r"), column(numbers, "ceiling")
        ax.vlines(place, r, ceiling, color=FAINT, linewidth=1.2, zorder=1)
        ax.plot(
            place, ceiling, "_", color=CEILING, markersize=7, markeredgewidth=1.6, label="ceiling (Pearson)"
        )
        ax.plot(place, r, "o", color=MODEL, markersize=4.5, label="unit", gid="units")
        legend_below(ax, ncols=2)
    lowest = min(0.0, np.floor(column(numbers, "r").min() * 10) / 10) if len(numbers) else 0.0
    ax.set(
        xlabel="Units, best first",
        ylabel="Correlation r",
        xlim=(0, len(numbers) + 1),
        ylim=(lowest, 1),
    )
