"""Several models over time, under one ceiling (Nayebi et al. 2018, Fig. 5c)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from brainfit.errors import ContractError
from brainfit.figures.display import Display, column, subjects
from brainfit.figures.labels import labels
from brainfit.figures.numbers import number
from brainfit.figures.over_time import draw_ceiling, draw_curve, frame_time, image_on_ms, numbers_over_time
from brainfit.figures.panels import Panel, legend_below
from brainfit.figures.style import SERIES
from brainfit.scoring.result import Score

KEYS = 3
"""Columns of the legend."""
MOST_RANGES = 2
"""Largest number of models that are drawn with their quartiles; more would hide each other."""


def models_over_time(scores: Sequence[Score]) -> Display:
    """Show the median over units of `r` in each bin for several scores, under the Spearman ceiling.

    Parameters
    ----------
    scores
        One or more scores of the same recording, region and time bins. The ceiling is that of the first
        score; it depends on the trials, not on the model.

    Returns
    -------
    Display
        Its frame stacks the frames of `predictivity_over_time`, with a first column `model`.

    Raises
    ------
    ContractError
        If there is no score, or recordings, regions or time bins differ.

    References
    ----------
    Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
    NeurIPS. arXiv:1807.00053, Fig. 5c.
    """
    _require_one_ceiling(scores)
    names = labels(scores)
    numbers = pd.concat(
        [numbers_over_time(score).assign(model=name) for name, score in zip(names, scores, strict=True)],
        ignore_index=True,
    )
    numbers.insert(0, "model", numbers.pop("model"))
    seen = " ".join(_peak(name, numbers.loc[numbers["model"] == name]) for name in names)
    return Display(
        name="models",
        title="Models over time",
        caption=(
            "Correlation between predicted and measured responses over held-out images, in each time bin: "
            f"median over the units defined in it{_with_range(len(scores))}. Gray: the noise ceiling "
            f"(Spearman split-half). {seen} Tinted: the early and late windows. The black bar shows when the "
            f"{'model was' if len(scores) == 1 else 'models were'} shown the image{_of_first(scores)}."
        ),
        alt=f"Line chart of the predictivity of {len(names)} models against time, under one ceiling. {seen}",
        subject=subjects(scores),
        numbers=numbers,
        draw=Panel(partial(_draw, on_ms=image_on_ms(scores[0])), size=(7.2, 4.2)),
    )


def _with_range(n_models: int) -> str:
    if n_models <= MOST_RANGES:
        return ", with the range of the middle half of them"
    return "; a band only about the ceiling, the range of the middle half"


def _of_first(scores: Sequence[Score]) -> str:
    return "" if len(set(map(image_on_ms, scores))) == 1 else ", which differs: here the first one"


def _require_one_ceiling(scores: Sequence[Score]) -> None:
    if not scores:
        raise ContractError("there is no score to draw")
    first = scores[0]
    for k, other in enumerate(scores[1:], start=2):
        for name in ("recording", "region"):
            if other.info[name] != first.info[name]:
                raise ContractError(
                    f"scores 1 and {k} are of different {name}: {first.info[name]!r} and "
                    f"{other.info[name]!r}; draw them in separate figures, since they have different ceilings"
                )
        for name in ("time_bin_start", "time_bin_end"):
            if not np.array_equal(other.data[name].values, first.data[name].values):
                raise ContractError(
                    f"scores 1 and {k} have different time bins; score them again with the same bins"
                )


def _peak(name: str, numbers: pd.DataFrame) -> str:
    r = column(numbers, "r")
    if np.isnan(r).all():
        return f"{name}: no bin has a response that can be distinguished from noise."
    peak = numbers.iloc[int(np.nanargmax(r))]
    span = f"{number(peak['time_bin_start'], 0)}–{number(peak['time_bin_end'], 0)} ms"
    return f"{name} is highest, {number(peak['r'])}, at {span} (ceiling {number(peak['ceiling'])})."


def _draw(numbers: pd.DataFrame, ax: Axes, on_ms: float) -> None:
    groups = dict(list(numbers.groupby("model", sort=False)))
    first = next(iter(groups.values()))
    draw_ceiling(ax, first)
    for (name, group), (color, marker) in zip(groups.items(), cycle(SERIES), strict=False):
        draw_curve(ax, group, "r", color, str(name), marker, band=len(groups) <= MOST_RANGES)
    frame_time(ax, first.assign(r_low=numbers["r_low" if len(groups) <= MOST_RANGES else "r"].min()), on_ms)
    legend_below(ax, ncols=KEYS)
