"""Prediction errors by the category of the object in the image."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure, SubFigure

from brainfit.errors import ContractError
from brainfit.figures.display import Display, column, shorten, subject
from brainfit.figures.numbers import count, number
from brainfit.figures.panels import Panels, say_empty
from brainfit.figures.style import FAINT, MODEL
from brainfit.scoring.result import Score

ROW, MARGIN = 0.28, 1.1
"""Height of a category and of the margins together, in inches."""


def residuals_by_category(score: Score) -> Display:
    """Show size and direction of the prediction error for each category of object.

    Both are relative to the unit: `error` is the mean squared residual over the variance of the unit's
    responses to all held-out images, `bias` the mean residual (response less prediction) over their standard
    deviation, in the pooled bins. The error includes the noise of the responses.

    Returns
    -------
    Display
        Its frame has a row for each `category`, the largest error first: `n_images` held out, the medians
        over defined units `error` (0: none; 1: as large as the variance) and `bias` (above 0: predicted too
        low), and their quartiles `error_low`, `error_high`, `bias_low`, `bias_high`. It has no row if no unit
        is defined.

    Raises
    ------
    ContractError
        If the images of the score have no category.
    """
    if "category_name" not in score.data.coords:
        raise ContractError(
            "this score has no category_name of its images, so its residuals have no categories; give the "
            "recording that coordinate, and score again"
        )
    numbers = _numbers(score)
    n_units = int(score.data["window_image_driven"].sel(window="pooled").notnull().sum())
    if numbers.empty:
        seen = "No unit has a reliable response, so there is nothing to show."
    else:
        worst, best = numbers.iloc[0], numbers.iloc[-1]
        most = numbers.iloc[int(np.argmax(np.abs(column(numbers, "bias"))))]
        seen = (
            f"Over {count(n_units, 'unit')}, the error is largest for {shorten(worst['category'])} "
            f"({number(worst['error'])}) and smallest for {shorten(best['category'])} "
            f"({number(best['error'])}); the strongest bias is {number(most['bias'])}, for "
            f"{shorten(most['category'])}."
        )
    return Display(
        name="residuals",
        title="Errors by category",
        caption=(
            "Held-out images by the category of their object. Left: mean squared residual as a share of the "
            "unit’s variance; predicting the mean would leave 1, and noise is included. Right: mean "
            "residual in the unit’s standard deviations; right of 0 the response is stronger than predicted. "
            f"Points: medians over units, with the middle half of them. {seen}"
        ),
        alt=f"Two dot charts, of error and of bias, with a row for each category of object. {seen}",
        subject=subject(score),
        numbers=numbers,
        draw=Panels(_draw, size=(7.2, MARGIN + ROW * max(len(numbers), 2))),
    )


def _numbers(score: Score) -> pd.DataFrame:
    data = score.data
    pooled = data.sel(window="pooled")
    units = pooled["window_image_driven"].notnull().values
    if not units.any():
        return pd.DataFrame()
    kept = data.isel(unit=units, time_bin=pooled["window_bins"].values.astype(bool))
    response = kept["response"].transpose("unit", "image", "time_bin").values
    residual = response - kept["predicted"].transpose("unit", "image", "time_bin").values
    spread = response.std(axis=(1, 2))
    categories = data["category_name"].values.astype(str)
    rows = []
    for category in np.unique(categories):
        here = residual[:, categories == category]
        row = {"category": category, "n_images": here.shape[1]}
        of_units = {
            "error": (here**2).mean(axis=(1, 2)) / spread**2,
            "bias": here.mean(axis=(1, 2)) / spread,
        }
        for name, values in of_units.items():
            low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
            row |= {f"{name}_low": low, name: middle, f"{name}_high": high}
        rows.append(row)
    return pd.DataFrame(rows).sort_values("error", ascending=False, ignore_index=True)


def _draw(numbers: pd.DataFrame, figure: Figure | SubFigure) -> np.ndarray:
    axes = figure.subplots(1, 2, sharey=True)
    if numbers.empty:
        for ax in axes:
            ax.set_axis_off()
            say_empty(ax, "no unit has a reliable response")
        return axes
    rows = np.arange(len(numbers))
    for ax, name, neutral in zip(axes, ("error", "bias"), (1.0, 0.0), strict=True):
        ax.axvline(neutral, color=FAINT, linewidth=1, zorder=0)
        ax.hlines(
            rows, numbers[f"{name}_low"], numbers[f"{name}_high"], color=MODEL, alpha=0.5, linewidth=2.5
        )
        ax.plot(numbers[name], rows, "o", color=MODEL, markersize=6, gid=name)
        ax.tick_params(axis="y", length=0)
    names = [f"{shorten(row['category'])} ({row['n_images']})" for row in numbers.to_dict("records")]
    axes[0].set_yticks(rows, names)
    axes[0].set(xlabel="Error (share of the variance)", ylim=(len(rows) - 0.5, -0.5), xlim=(0, None))
    axes[1].set(xlabel="Bias (standard deviations)")
    reach = 1.05 * max(np.abs(axes[1].get_xlim()))
    axes[1].set_xlim(-reach, reach)
    return axes
