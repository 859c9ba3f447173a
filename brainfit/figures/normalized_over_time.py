"""The headline over time: the normalised score in each time bin, and in the pooled window."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from brainfit.figures.display import Display, column, subject
from brainfit.figures.numbers import interval, number
from brainfit.figures.over_time import (
    draw_curve,
    frame_time,
    gaps_in_words,
    image_on_ms,
    numbers_over_time,
)
from brainfit.figures.panels import Panel, legend_below
from brainfit.figures.style import CEILING, INK, MODEL
from brainfit.scoring.result import Score


def normalized_over_time(score: Score) -> Display:
    """Show the normalised score in each bin, with the pooled image-driven score and its interval.

    Within one bin a correlation over images is image-driven, because the bin's mean over images does not
    enter it. The curve therefore shows in each bin what the headline says for the whole window.

    Parameters
    ----------
    score
        A score with any number of time bins.

    Returns
    -------
    Display
        Its frame is that of `brainfit.figures.predictivity_over_time`, with the columns `headline`, `low` and
        `high`: the pooled image-driven score and its 95% interval in the bins of its window, NaN elsewhere.
    """
    numbers = numbers_over_time(score)
    pooled = score.data.sel(window="pooled")
    headline, (low, high) = score.headline["normalized"], score.headline["ci95"]
    inside = pooled["window_bins"].values.astype(bool)
    for name, value in (("headline", headline), ("low", low), ("high", high)):
        numbers[name] = np.where(inside, value, np.nan)
    seen = (
        "No unit has a reliable response, so there is no score."
        if np.isnan(headline)
        else f"Over the whole window it is {number(headline)} (95% interval {interval(low, high)})."
    )
    gaps = gaps_in_words(numbers)
    return Display(
        name="headline",
        title="Image-driven score over time",
        caption=(
            "Normalised score in each time bin: the correlation between predicted and measured responses "
            "over held-out images, divided by the Pearson ceiling of the unit; 1 is everything that can be "
            "predicted. Blue: median over units, with the range of the middle half of them. Black: the "
            f"image-driven score over the whole window, with its 95% interval. {seen} {gaps} Tinted: the "
            "early and late windows. The bar on top shows when the image was on."
        ),
        alt=f"Line chart of the normalised score against time from image onset. {seen} {gaps}",
        subject=subject(score),
        numbers=numbers,
        draw=Panel(partial(_draw, on_ms=image_on_ms(score)), size=(7.2, 3.9)),
    )


def _draw(numbers: pd.DataFrame, ax: Axes, on_ms: float) -> None:
    draw_curve(ax, numbers, "normalized", MODEL, "in each bin (median)")
    ax.axhline(1, color=CEILING, linewidth=1, linestyle=":", label="noise ceiling")
    inside = numbers.loc[numbers["headline"].notna()]
    if not inside.empty:
        row = inside.iloc[0]
        span = [column(inside, "time_bin_start").min(), column(inside, "time_bin_end").max()]
        ax.fill_between(span, row["low"], row["high"], color=INK, alpha=0.15, linewidth=0)
        ax.plot(span, [row["headline"]] * 2, color=INK, label="whole window, image-driven", gid="headline")
    values = numbers[["normalized_low", "normalized_high", "low", "high"]].to_numpy(dtype=float)
    finite = values[np.isfinite(values)]
    frame_time(ax, numbers, on_ms)
    ax.set(
        ylabel="Normalised score",
        ylim=(min(0.0, finite.min(initial=0.0) - 0.02), max(1.05, finite.max(initial=0.0) + 0.02)),
    )
    legend_below(ax, ncols=2)
