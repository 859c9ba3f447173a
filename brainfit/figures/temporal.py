"""Correlation of predicted and measured time courses (Nayebi et al. 2018, Fig. S1b)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from brainfit.errors import ContractError
from brainfit.figures.display import Display, column, subjects
from brainfit.figures.labels import labels
from brainfit.figures.numbers import count, number
from brainfit.figures.panels import Panel, legend_below, say_empty
from brainfit.figures.style import CEILING, INK, MEDIAN, MODEL
from brainfit.scoring.result import Score

ROW, MARGIN = 0.62, 1.35
"""Height of a group and of the margins together, in inches."""
TEMPORAL = ("temporal_correlation", "temporal_correlation_ceiling", "temporal_correlation_time_course")
SPREAD = 0.26
"""Largest distance of a point from the middle of its group, in rows."""


def temporal_correlations(scores: Sequence[Score]) -> Display:
    """Show each unit's temporal correlation, by region, for one score or several.

    Parameters
    ----------
    scores
        One or more scores, of any regions.

    Returns
    -------
    Display
        Its frame has a row for each unit of each score: `model`, `region`, `unit_id`,
        `temporal_correlation`, its `temporal_correlation_ceiling`, and `temporal_correlation_time_course`,
        [-1, 1]. NaN: the unit is not defined in the pooled window.

    Raises
    ------
    ContractError
        If there is no score.

    References
    ----------
    Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
    NeurIPS. arXiv:1807.00053, Fig. S1b.
    """
    if not scores:
        raise ContractError("there is no score to draw")
    names = labels(scores)
    numbers = pd.concat(
        [_numbers(name, score) for name, score in zip(names, scores, strict=True)], ignore_index=True
    )
    groups = _groups(numbers)
    seen = " ".join(_in_words(name, group) for name, group in groups.items())
    return Display(
        name="temporal",
        title="Temporal correlation",
        caption=(
            "One point a unit: the correlation between its predicted and its measured response over the "
            "bins from 50 to 250 ms, within an image; median over held-out images. Diamonds: medians over "
            "units, with a bar over the middle half. Black ticks: the mean time course of the unit alone, "
            f"the same for every image (median). Gray ticks: the ceiling, from trial halves (median). {seen}"
        ),
        alt=f"Strip chart of temporal correlations, a row a group of units. {seen}",
        subject=subjects(scores),
        numbers=numbers,
        draw=Panel(_draw, size=(7.2, MARGIN + ROW * len(groups))),
    )


def _numbers(name: str, score: Score) -> pd.DataFrame:
    data = score.data
    defined = data["window_image_driven"].sel(window="pooled").notnull()
    region = data["region"].values.astype(str) if "region" in data.coords else score.info["region"]
    return pd.DataFrame(
        {
            "model": name,
            "region": region,
            "unit_id": data["unit_id"].values,
            **{key: data[key].where(defined).values for key in TEMPORAL},
        }
    )


def _groups(numbers: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Group units by region and model; each group has the shortest name that distinguishes it."""
    regions, models = (numbers[name].unique().tolist() for name in ("region", "model"))
    found = {}
    for region in regions:
        for model in models:
            group = numbers.loc[(numbers["region"] == region) & (numbers["model"] == model)]
            parts = [region] if len(models) == 1 else [model] if len(regions) == 1 else [model, region]
            if len(group):
                found[", ".join(map(str, parts))] = group
    return found


def _in_words(name: str, group: pd.DataFrame) -> str:
    r = column(group, "temporal_correlation")
    if np.isnan(r).all():
        return f"{name}: no unit is defined."
    alone = _median(column(group, "temporal_correlation_time_course"))
    n = int(np.isfinite(r).sum())
    return f"{name}: {number(_median(r))} over {count(n, 'unit')}; time course alone {number(alone)}."


def _median(values: np.ndarray) -> float:
    """Return the median without NaN; NaN, without a warning, if all are NaN."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")


def _draw(numbers: pd.DataFrame, ax: Axes) -> None:
    groups = _groups(numbers)
    drawn = False
    for row, group in enumerate(groups.values()):
        r = column(group, "temporal_correlation")
        r = np.sort(r[np.isfinite(r)])
        if not r.size:
            continue
        key = (
            {}
            if drawn
            else {
                "units": "unit",
                "median": "median, middle half",
                "alone": "time course alone",
                "ceiling": "ceiling",
            }
        )
        drawn = True
        # Spread neighbouring values apart, deterministically.
        apart = SPREAD * np.sin(np.arange(r.size) * 2.4)
        ax.scatter(
            r, row + apart, s=14, color=MODEL, alpha=0.5, linewidths=0, label=key.get("units"), gid="units"
        )
        low, middle, high = np.quantile(r, [0.25, 0.5, 0.75])
        ax.plot([low, high], [row, row], color=MEDIAN, linewidth=2.5, zorder=3)
        ax.plot(
            middle, row, "D", color=MEDIAN, markersize=8, markeredgecolor="white", zorder=4,
            label=key.get("median"), gid="median",
        )  # fmt: skip
        alone = _median(column(group, "temporal_correlation_time_course"))
        ax.plot(
            [alone, alone], [row - 0.36, row + 0.36], color=INK, linewidth=1.8, zorder=3,
            label=key.get("alone"),
        )  # fmt: skip
        ceiling = _median(column(group, "temporal_correlation_ceiling"))
        ax.plot(
            [ceiling, ceiling], [row - 0.36, row + 0.36], color=CEILING, linewidth=1.8, zorder=3,
            label=key.get("ceiling"),
        )  # fmt: skip
    values = column(numbers, "temporal_correlation")
    lowest = min(0.0, np.floor(np.nanmin(values) * 10) / 10) if drawn else 0.0
    ax.set_yticks(range(len(groups)), list(groups))
    ax.set(xlabel="Temporal correlation", xlim=(lowest, 1), ylim=(len(groups) - 0.45, -0.55))
    ax.tick_params(axis="y", length=0)
    if drawn:
        legend_below(ax, ncols=4)
    else:
        say_empty(ax, "no unit has a reliable response")
