"""Measured and predicted trajectories of single units to single images (Fig. S1a)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from brainfit.figures.display import Display, shorten, subject
from brainfit.figures.numbers import number
from brainfit.figures.over_time import centers, image_bar, image_on_ms
from brainfit.figures.panels import Panels, say_empty
from brainfit.figures.style import FAINT, INK, MODEL, MUTED
from brainfit.scoring.result import Score
from brainfit.support.suggestions import unknown_name

UNITS = {"best": 1.0, "median": 0.5, "lower quartile": 0.25}
"""Units to show, by their quantile of the image-driven score."""
IMAGES = {"95th percentile": 0.95, "65th percentile": 0.65, "35th percentile": 0.35, "5th percentile": 0.05}
"""Held-out images to show for a unit, by their quantile of its mean response."""


def example_trajectories(score: Score, units: Sequence[Any] | None = None) -> Display:
    """Show measured and predicted responses over time, for units and images chosen by a rule.

    Parameters
    ----------
    score
        A score with any number of time bins.
    units
        The `unit_id` of each unit to show; by default the best, the median and the lower quartile by
        image-driven score. The images are spread over the strength of the unit's response, its mean over
        the pooled bins.

    Returns
    -------
    Display
        Its frame has a row for each `unit`, `image` and time bin, with the roles for which they were
        chosen, `unit_id`, `image_id`, the unit's image-driven score `normalized`, `time_bin_start`,
        `time_bin_end` in ms, `response` and `predicted` in the recording's units. It has no row
        if no unit is defined. The role of a unit in `units` is its name.

    Raises
    ------
    UnknownNameError
        If a unit is unknown.

    References
    ----------
    Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
    NeurIPS. arXiv:1807.00053, Fig. S1a.
    """
    numbers = _numbers(score, units)
    roles = ", ".join(f"{shorten(role)} {number(value)}" for role, value in _normalized(numbers).items())
    seen = (
        f"Image-driven normalised scores: {roles}."
        if roles
        else "No unit has a reliable response, so no example is shown."
    )
    return Display(
        name="trajectories",
        title="Single units, single images",
        caption=(
            f"Measured (dashed) and predicted (solid) responses to held-out images. {_rows(units)} Columns: "
            f"images at set percentiles of the unit’s own mean response, from strong to weak. Black bars: "
            f"when the model was shown the image. {seen}"
        ),
        alt=f"Grid of line charts of measured and predicted responses over time. {seen}",
        subject=subject(score),
        numbers=numbers,
        draw=Panels(
            partial(
                _draw,
                on_ms=image_on_ms(score),
                unit=score.data["response"].attrs.get("units", "units of the recording"),
            ),
            size=(7.2, 1.0 + 1.5 * len(_normalized(numbers)) if len(numbers) else 1.6),
        ),
    )


def _rows(units: Sequence[Any] | None) -> str:
    if units is not None:
        return "Rows: the selected units."
    return "Rows: the best, the median and the lower quartile of the units by image-driven score."


def _choose(score: Score, units: Sequence[Any] | None) -> Iterable[tuple[str, int]]:
    if units is None:
        return _pick(score.data["window_image_driven"].sel(window="pooled").values, UNITS)
    places = {str(unit): place for place, unit in enumerate(score.data["unit_id"].values.tolist())}
    for unit in units:
        if str(unit) not in places:
            raise unknown_name("unit", str(unit), list(places))
    return [(str(unit), places[str(unit)]) for unit in dict.fromkeys(units)]


def _numbers(score: Score, units: Sequence[Any] | None) -> pd.DataFrame:
    data = score.data
    pooled = data.sel(window="pooled")
    normalized = pooled["window_image_driven"].values
    rows = []
    for unit_role, u in _choose(score, units):
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
    """Return positions at the given quantiles of `values`, with their names; each once, without NaN."""
    order = np.argsort(values)[: np.isfinite(values).sum()]
    picked: dict[int, str] = {}
    for name, place in places.items():
        if order.size:
            picked.setdefault(int(order[round(place * (order.size - 1))]), name)
    return [(name, position) for position, name in picked.items()]


def _normalized(numbers: pd.DataFrame) -> dict[str, float]:
    return {} if numbers.empty else numbers.groupby("unit", sort=False)["normalized"].first().to_dict()


def _draw(numbers: pd.DataFrame, figure: Figure | SubFigure, on_ms: float, unit: str) -> np.ndarray:
    if numbers.empty:
        grid = figure.subplots(squeeze=False)
        grid[0, 0].set_axis_off()
        say_empty(grid[0, 0], "no unit has a reliable response")
        return grid
    units, images = numbers["unit"].unique(), numbers["image"].unique()
    grid = figure.subplots(len(units), len(images), sharex=True, sharey="row", squeeze=False)
    for row, unit_role in zip(grid, units, strict=True):
        of_unit = numbers.loc[numbers["unit"] == unit_role]
        for ax, image_role in zip(row, images, strict=True):
            _draw_panel(ax, of_unit.loc[of_unit["image"] == image_role], on_ms)
        first = of_unit.iloc[0]
        who = dict.fromkeys([shorten(unit_role), shorten(first["unit_id"])])
        row[0].set_ylabel("\n".join([*who, f"normalised {number(first['normalized'])}"]), fontsize=8)
    for ax, image_role in zip(grid[0], images, strict=True):
        ax.set_title(f"{image_role} image", loc="left", pad=14)
    figure.supxlabel("Time from image onset (ms)", fontsize=9)
    figure.supylabel(f"Response ({unit})", fontsize=9)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower right", ncols=2)
    return grid


def _draw_panel(ax: Axes, numbers: pd.DataFrame, on_ms: float) -> None:
    time = centers(numbers)
    ax.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
    ax.plot(time, numbers["response"], color=INK, linewidth=1.2, linestyle=(0, (3, 2)), label="measured")
    ax.plot(time, numbers["predicted"], color=MODEL, label="predicted")
    # Above the axes, where no curve can be.
    ax.text(
        0, 1.02, shorten(numbers["image_id"].iloc[0]), transform=ax.transAxes, ha="left", va="bottom",
        fontsize=7, color=MUTED,
    )  # fmt: skip
    image_bar(ax, on_ms, 0.0)
