"""Every unit's early score against its late one."""

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


def early_against_late(score: Score) -> Display:
    """Show the early (70 to 130 ms) against the late (130 to 200 ms) normalised score of each unit.

    Returns
    -------
    Display
        Its frame has a row for each unit with the columns `unit_id`, `animal` and `array`, as far as the
        score has them, and the image-driven normalised scores `early` and `late`. NaN: not defined.
    """
    numbers = _numbers(score)
    shown = numbers.dropna(subset=[*WINDOWS])
    left_out = len(numbers) - len(shown)
    if shown.empty:
        seen = "No unit is defined in both windows, so there is no point to show."
    else:
        early, late = column(shown, "early"), column(shown, "late")
        seen = (
            f"{int((early > late).sum())} of {count(len(shown), 'unit')} are predicted better early, "
            f"{int((late > early).sum())} better late; the medians are {number(np.median(early))} early "
            f"and {number(np.median(late))} late."
        )
        if left_out:
            seen += f" {count(left_out, 'unit')} not defined in one of the windows {_be(left_out)} left out."
    return Display(
        name="early-late",
        title="Early against late",
        caption=(
            "One point a unit: the image-driven score of the early window (70 to 130 ms) against that of the "
            f"late one (130 to 200 ms). Below the diagonal, the early response is predicted better. {seen}"
        ),
        alt=f"Scatter plot of each unit’s late against its early image-driven score. {seen}",
        subject=subject(score),
        numbers=numbers,
        draw=Panel(_draw, size=(4.6, 4.7)),
    )


def _be(n: int) -> str:
    return "is" if n == 1 else "are"


def _numbers(score: Score) -> pd.DataFrame:
    data = score.data
    columns = {name: data[name].values for name in ("unit_id", "animal", "array") if name in data.coords}
    windows = data["window_image_driven"]
    return pd.DataFrame({**columns, **{name: windows.sel(window=name).values for name in WINDOWS}})


def _draw(numbers: pd.DataFrame, ax: Axes) -> None:
    shown = numbers.dropna(subset=[*WINDOWS])
    early, late = column(shown, "early"), column(shown, "late")
    both = np.concatenate([early, late, [0.0, 1.0]])
    low, high = np.floor(both.min() * 10) / 10, np.ceil(both.max() * 10) / 10
    ax.plot([low, high], [low, high], color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), label="early = late")
    if shown.empty:
        say_empty(ax, "no unit is defined in both windows")
    else:
        ax.scatter(
            early, late, s=24, color=MODEL, alpha=0.65, linewidths=0, clip_on=False, label="unit", gid="units"
        )
        ax.scatter(
            np.median(early), np.median(late), s=60, marker="D", color=MEDIAN, edgecolors="white",
            label="medians", zorder=3,
        )  # fmt: skip
    ax.set(
        xlabel="Image-driven, early (70 to 130 ms)",
        ylabel="Image-driven, late (130 to 200 ms)",
        xlim=(low, high),
        ylim=(low, high),
        aspect="equal",
    )
    legend_below(ax, ncols=3)
