"""Measured and predicted trajectories of single units to single images (Fig. S1a)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brainfit.figures.display import FAINT, INK, MODEL, MUTED, Display, say_empty, shorten, subject
from brainfit.figures.numbers import number
from brainfit.figures.over_time import centers, image_bar, image_on_ms
from brainfit.result import Score

UNITS = {"best": 1.0, "median": 0.5, "lower quartile": 0.25}
"""Units shown, by their place in the order of pooled normalised scores."""
IMAGES = {"95th percentile": 0.95, "65th percentile": 0.65, "35th percentile": 0.35, "5th percentile": 0.05}
"""Held-out images shown for a unit, by their place in the order of its mean response."""


def example_trajectories(score: Score) -> Display:
    """Show measured and predicted responses over time, for units and images chosen by a rule.

    The units are the best, the median and the lower quartile by pooled normalised score; the
    images are spread over each unit's own response strength, its mean over the pooled bins.

    Returns
    -------
    Display
        Its frame has a row for each `unit`, `image` and time bin: the roles they were chosen
        for, `unit_id`, `image_id`, the unit's pooled `normalized` score, `time_bin_start`,
        `time_bin_end` in ms, `response` and `predicted` in the recording's units. It has no row
        if no unit is defined.

    References
    ----------
    Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
    NeurIPS. arXiv:1807.00053, Fig. S1a.
    """
    numbers = _numbers(score)
    roles = ", ".join(f"{role} ({number(value)})" for role, value in _normalized(numbers).items())
    seen = f"Units: {roles}." if roles else "No unit has a reliable response, so no example is shown."
    return Display(
        name="trajectories",
        title="Single units, single images",
        caption=(
            "Measured (dashed) and predicted (solid) responses to held-out images. "
            "Rows: the units that are best, median and lower quartile by pooled normalised score, chosen by "
            "that rule alone. Columns: images at set percentiles of the unit’s own mean response, from "
            f"strong to weak. {seen}"
        ),
        alt=f"Grid of line charts of measured and predicted responses over time. {seen}",
        subject=subject(score),
        numbers=numbers,
        draw=partial(
            _draw,
            on_ms=image_on_ms(score),
            unit=score.data["response"].attrs.get("units", "units of the recording"),
        ),
    )


def _numbers(score: Score) -> pd.DataFrame:
    data = score.data
    pooled = data.sel(window="pooled")
    normalized = pooled["window_normalized"].values
    rows = []
    for unit_role, u in _pick(normalized, UNITS):
        one = data.isel(unit=u).transpose("image", "time_bin", ...)
        strength = one["response"].values[:, pooled["window_bins"].values].mean(axis=1)
        for image_role, i in _pick(strength, IMAGES):
            here = one.isel(image=i)
            rows.append(
                pd.DataFrame(
                    {
                        "unit": unit_role,
                        "unit_id": here["unit_id"].item(),
                        "normalized": normalized[u],
                        "image": image_role,
                        "image_id": here["image_id"].item(),
                        **{
                            name: here[name].values
                            for name in ("time_bin_start", "time_bin_end", "response", "predicted")
                        },
                    }
                )
            )
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def _pick(values: np.ndarray, places: Mapping[str, float]) -> Iterable[tuple[str, int]]:
    """Name the positions at these places in the order of `values`; each position once, no NaN."""
    order = np.argsort(values)[: np.isfinite(values).sum()]
    picked: dict[int, str] = {}
    for name, place in places.items():
        if order.size:
            picked.setdefault(int(order[round(place * (order.size - 1))]), name)
    return [(name, position) for position, name in picked.items()]


def _normalized(numbers: pd.DataFrame) -> dict[str, float]:
    return {} if numbers.empty else numbers.groupby("unit", sort=False)["normalized"].first().to_dict()


def _draw(numbers: pd.DataFrame, on_ms: float, unit: str) -> Figure:
    if numbers.empty:
        figure = Figure(figsize=(7.2, 1.6), layout="constrained")
        ax = figure.subplots()
        ax.set_axis_off()
        say_empty(ax, "no unit has a reliable response")
        return figure
    units, images = numbers["unit"].unique(), numbers["image"].unique()
    figure = Figure(figsize=(7.2, 1.0 + 1.5 * len(units)), layout="constrained")
    grid = figure.subplots(len(units), len(images), sharex=True, sharey="row", squeeze=False)
    for row, unit_role in zip(grid, units, strict=True):
        of_unit = numbers.loc[numbers["unit"] == unit_role]
        for ax, image_role in zip(row, images, strict=True):
            _draw_panel(ax, of_unit.loc[of_unit["image"] == image_role], on_ms)
        first = of_unit.iloc[0]
        row[0].set_ylabel(
            f"{unit_role}\n{shorten(first['unit_id'])}\nnormalised {number(first['normalized'])}", fontsize=8
        )
    for ax, image_role in zip(grid[0], images, strict=True):
        ax.set_title(f"{image_role} image")
    figure.supxlabel("Time from image onset (ms)", fontsize=9)
    figure.supylabel(f"Response ({unit})", fontsize=9)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower right", ncols=2)
    return figure


def _draw_panel(ax: Axes, numbers: pd.DataFrame, on_ms: float) -> None:
    time = centers(numbers)
    ax.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
    ax.plot(time, numbers["response"], color=INK, linewidth=1.2, linestyle=(0, (3, 2)), label="measured")
    ax.plot(time, numbers["predicted"], color=MODEL, label="predicted")
    ax.text(
        0.98, 0.97, shorten(numbers["image_id"].iloc[0]), transform=ax.transAxes, ha="right", va="top",
        fontsize=6.5, color=MUTED,
    )  # fmt: skip
    image_bar(ax, on_ms, 0.0)
