"""Predictivity in each time bin, against the noise ceiling (Nayebi et al. 2018, Fig. 5c)."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from brainfit.contracts.presentation import Presentation
from brainfit.figures.display import Display, column, subject
from brainfit.figures.numbers import count, number
from brainfit.figures.panels import Panel, legend_below, say_empty
from brainfit.figures.style import CEILING, FAINT, INK, MODEL, MUTED, WINDOWS
from brainfit.scoring.result import Score


def predictivity_over_time(score: Score) -> Display:
    """Show the median over units of `r` in each bin, under the Spearman ceiling.

    Parameters
    ----------
    score
        A score with any number of time bins.

    Returns
    -------
    Display
        Its frame has a row for each bin: `time_bin_start`, `time_bin_end` in ms, `n_defined` units, the
        medians `r`, `ceiling`, `pearson_ceiling` and `normalized` over these units, the quartiles of r,
        ceiling and normalized as `r_low`, `r_high` and so on, and `early` and `late`, True if that window
        pools the bin. NaN where fewer than half of the units are defined.

    References
    ----------
    Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
    NeurIPS. arXiv:1807.00053, Fig. 5c.
    """
    numbers = numbers_over_time(score)
    n_units = score.data.sizes["unit"]
    gaps = gaps_in_words(numbers)
    seen = _peak(numbers)
    return Display(
        name="predictivity",
        title="Correlation and ceiling over time",
        caption=(
            "Correlation between predicted and measured responses over held-out images, in each time bin. "
            f"Blue: median over those of {count(n_units, 'unit')} that are defined in the bin, with the "
            "range of the middle half of them. Gray: the noise ceiling (Spearman split-half), drawn the same "
            "way; dotted, its Pearson counterpart, which is the one that the normalised score divides by. "
            f"{seen} {gaps} Tinted: the early and late windows. "
            "The black bar shows when the model was shown the image."
        ),
        alt=(
            "Line chart of predictivity against time from image onset, with the noise ceiling above it. "
            f"{seen} {gaps}"
        ),
        subject=subject(score),
        numbers=numbers,
        draw=Panel(partial(_draw, on_ms=image_on_ms(score)), size=(7.2, 3.9)),
    )


def image_on_ms(score: Score) -> float:
    """Return how long the image was shown, in ms."""
    presentation = score.info["provenance"].get("presentation", {})
    return presentation.get("on_ms", Presentation().on_ms)


def image_bar(ax: Axes, on_ms: float, height: float) -> None:
    """Draw a bar over the time in which the image was on, at `height` of the axes."""
    ax.plot(
        [0, on_ms], [height, height], color=INK, linewidth=3, solid_capstyle="butt", zorder=3,
        transform=ax.get_xaxis_transform(), clip_on=False,
    )  # fmt: skip


def centers(numbers: pd.DataFrame) -> np.ndarray:
    """Return the centre of each time bin, in ms."""
    return (column(numbers, "time_bin_start") + column(numbers, "time_bin_end")) / 2


def numbers_over_time(score: Score) -> pd.DataFrame:
    """Return the frame of `predictivity_over_time`."""
    bins = score.per_bin
    columns = {
        "time_bin_start": bins["time_bin_start"].values,
        "time_bin_end": bins["time_bin_end"].values,
        "n_defined": bins["n_defined"].values,
    }
    for name in ("r", "ceiling", "normalized"):
        low, high = _quartiles(score, name, bins[name].notnull().values)
        columns |= {f"{name}_low": low, name: bins[name].values, f"{name}_high": high}
    columns["pearson_ceiling"] = _pearson_ceiling(score, bins["r"].notnull().values)
    for window in WINDOWS:
        columns[window] = score.data["window_bins"].sel(window=window).values
    return pd.DataFrame(columns)


def _pearson_ceiling(score: Score, shown: np.ndarray) -> np.ndarray:
    """Return the median over defined units of the Pearson ceiling; NaN in bins that are not shown."""
    ceiling = score.data["pearson_reliability"].where(score.data["defined"]) ** 0.5
    return np.where(shown, ceiling.median("unit").values, np.nan)


def _quartiles(score: Score, name: str, shown: np.ndarray) -> np.ndarray:
    """Return quartiles over the defined units, shape (2, time_bin); NaN in bins that are not shown."""
    values = score.data[name].where(score.data["defined"]).transpose("unit", "time_bin").values
    quartiles = np.full((2, shown.size), np.nan)
    quartiles[:, shown] = np.nanquantile(values[:, shown], [0.25, 0.75], axis=0)
    return quartiles


def _peak(numbers: pd.DataFrame) -> str:
    r = column(numbers, "r")
    if np.isnan(r).all():
        return "No bin has a response that can be distinguished from noise, so there is no curve."
    peak = numbers.iloc[int(np.nanargmax(r))]
    span = f"{number(peak['time_bin_start'], 0)}–{number(peak['time_bin_end'], 0)} ms"
    return (
        f"The median is highest, {number(peak['r'])}, at {span}, where the ceiling is "
        f"{number(peak['ceiling'])}."
    )


def gaps_in_words(numbers: pd.DataFrame) -> str:
    """Write how many bins have no value."""
    gaps = int(np.isnan(column(numbers, "r")).sum())
    if not gaps:
        return "Every bin is defined."
    have = "has" if gaps == 1 else "have"
    return (
        f"{count(gaps, 'bin')} {have} no reliable response in at least half of the units and {have} no value."
    )


def _draw(numbers: pd.DataFrame, ax: Axes, on_ms: float) -> None:
    draw_ceiling(ax, numbers)
    draw_curve(ax, numbers, "r", MODEL, "model (median)")
    ax.plot(
        centers(numbers), numbers["pearson_ceiling"], color=CEILING, linestyle=":", label="ceiling (Pearson)",
        gid="pearson_ceiling",
    )  # fmt: skip
    frame_time(ax, numbers, on_ms)
    legend_below(ax, ncols=4)


def draw_curve(
    ax: Axes,
    numbers: pd.DataFrame,
    name: str,
    color: str,
    label: str,
    marker: str = "o",
    *,
    band: bool = True,
) -> None:
    """Draw a median over units in each bin, and as a band the range of the middle half of the units."""
    time = centers(numbers)
    if band:
        low, high = numbers[f"{name}_low"], numbers[f"{name}_high"]
        ax.fill_between(time, low, high, color=color, alpha=0.2, linewidth=0)
    ax.plot(time, numbers[name], color=color, marker=marker, markersize=3.5, label=label, gid=name)


def draw_ceiling(ax: Axes, numbers: pd.DataFrame) -> None:
    """Draw the Spearman ceiling."""
    draw_curve(ax, numbers, "ceiling", CEILING, "ceiling (Spearman)")


def frame_time(ax: Axes, numbers: pd.DataFrame, on_ms: float) -> None:
    """Draw the surroundings of curves over time: windows, gaps, the image bar, labels and limits."""
    _shade_windows(ax, numbers)
    if np.isnan(column(numbers, "r")).all():
        say_empty(ax, "no bin has a reliable response")
    _mark_gaps(ax, numbers)
    image_bar(ax, on_ms, 1.0)
    ax.text(0, 1.02, "image on", transform=ax.get_xaxis_transform(), ha="left", va="bottom", fontsize=8)
    ax.set(
        xlabel="Time from image onset (ms)",
        ylabel="Correlation over held-out images",
        xlim=(min(0.0, numbers["time_bin_start"].min()), max(on_ms, numbers["time_bin_end"].max())),
        ylim=(min(0.0, numbers["r_low"].min() - 0.02), 1.0),
    )
    ax.axhline(0, color=MUTED, linewidth=0.6, zorder=0)


def _shade_windows(ax: Axes, numbers: pd.DataFrame) -> None:
    for window, color in WINDOWS.items():
        inside = numbers.loc[numbers[window]]
        if inside.empty:
            continue
        start, end = column(inside, "time_bin_start").min(), column(inside, "time_bin_end").max()
        ax.axvspan(start, end, color=color, alpha=0.1, linewidth=0, zorder=0)
        ax.text(
            (start + end) / 2, 1.02, window, transform=ax.get_xaxis_transform(), ha="center", va="bottom",
            fontsize=8, color=MUTED,
        )  # fmt: skip


def _mark_gaps(ax: Axes, numbers: pd.DataFrame) -> None:
    gaps = numbers[numbers["r"].isna()]
    if not gaps.empty:
        spans = zip(gaps["time_bin_start"], gaps["time_bin_end"] - gaps["time_bin_start"], strict=True)
        ax.broken_barh(
            list(spans), (0, 0.025), transform=ax.get_xaxis_transform(), color=FAINT, label="not defined"
        )
