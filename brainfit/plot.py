"""Figures of scores in axes of your own, for notebooks and papers.

Each function draws in the given axes, or in a new pyplot figure, and returns the axes. The function of
`brainfit.figures` that it names has the numbers and a caption:

>>> import brainfit
>>> score = brainfit.score("median_convrnn", region="pIT")  # doctest: +SKIP
>>> ax = brainfit.plot.over_time(score)  # doctest: +SKIP
>>> ax.set_ylim(0, 0.5)  # doctest: +SKIP
>>> brainfit.figures.predictivity_over_time(score).frame()  # doctest: +SKIP
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from brainfit import figures
from brainfit.analyses.layer_assignment import LayerAssignment
from brainfit.analyses.temporal_generalization import TemporalGeneralization
from brainfit.errors import ContractError
from brainfit.figures.display import LETTERS_PER_INCH, Display
from brainfit.figures.panels import Panel, Panels
from brainfit.figures.style import MUTED, STYLE
from brainfit.scoring.result import Score


def over_time(score: Score, ax: Axes | None = None) -> Axes:
    """Draw the predictivity in each time bin under its ceiling: `figures.predictivity_over_time`."""
    return _on_axes(figures.predictivity_over_time(score), ax)


def normalized(score: Score, ax: Axes | None = None) -> Axes:
    """Draw the normalised score in each time bin and over the window: `figures.normalized_over_time`."""
    return _on_axes(figures.normalized_over_time(score), ax)


def models(scores: Sequence[Score], ax: Axes | None = None) -> Axes:
    """Draw several scores over time under one ceiling: `figures.models_over_time`."""
    return _on_axes(figures.models_over_time(scores), ax)


def pooled(scores: Sequence[Score], ax: Axes | None = None) -> Axes:
    """Draw the pooled scores of several models with their intervals: `figures.pooled_scores`."""
    return _on_axes(figures.pooled_scores(scores), ax)


def across_units(score: Score, ax: Axes | None = None) -> Axes:
    """Draw each unit's score against its ceiling: `figures.scores_against_ceiling`."""
    return _on_axes(figures.scores_against_ceiling(score), ax)


def ranked(score: Score, ax: Axes | None = None) -> Axes:
    """Draw the units from best to worst: `figures.ranked_units`."""
    return _on_axes(figures.ranked_units(score), ax)


def early_late(score: Score, ax: Axes | None = None) -> Axes:
    """Draw each unit's late score against its early one: `figures.early_against_late`."""
    return _on_axes(figures.early_against_late(score), ax)


def temporal(scores: Score | Sequence[Score], ax: Axes | None = None) -> Axes:
    """Draw the temporal correlations of one score or several: `figures.temporal_correlations`."""
    several = [scores] if isinstance(scores, Score) else scores
    return _on_axes(figures.temporal_correlations(several), ax)


def generalization(found: TemporalGeneralization, ax: Axes | None = None) -> Axes:
    """Draw train time by test time: `figures.generalization_matrix`."""
    return _on_axes(figures.generalization_matrix(found), ax)


def accuracy(ax: Axes | None = None) -> Axes:
    """Draw published accuracies against parameters: `figures.accuracy_against_parameters`."""
    return _on_axes(figures.accuracy_against_parameters(), ax)


def examples(
    score: Score, units: Sequence[Any] | None = None, figure: Figure | SubFigure | None = None
) -> np.ndarray:
    """Draw measured and predicted trajectories of some units: `figures.example_trajectories`.

    Parameters
    ----------
    score
        With any number of time bins.
    units
        The `unit_id` of each unit; by default three representative ones.
    figure
        A figure or subfigure without axes; by default a new figure.

    Returns
    -------
    array of Axes, shape (unit, image)
    """
    return _in_figure(figures.example_trajectories(score, units), figure)


def residuals(score: Score, figure: Figure | SubFigure | None = None) -> np.ndarray:
    """Draw error and bias by category, two axes: `figures.residuals_by_category`."""
    return _in_figure(figures.residuals_by_category(score), figure)


def layers(found: LayerAssignment, figure: Figure | SubFigure | None = None) -> np.ndarray:
    """Draw which layer units choose, one pair of axes a region: `figures.layer_votes`."""
    return _in_figure(figures.layer_votes(found), figure)


def _on_axes(display: Display, ax: Axes | None) -> Axes:
    panel = display.draw
    if not isinstance(panel, Panel):
        raise TypeError(f"{display.name} takes more than one pair of axes")
    if ax is not None and not isinstance(ax, Axes):
        raise ContractError(f"ax is a matplotlib Axes, got {type(ax).__name__}")
    with mpl.rc_context(STYLE):
        if ax is None:
            ax = plt.figure(figsize=panel.size, layout="constrained").subplots()
        panel.paint(display.numbers, ax)
        inches = ax.get_position().width * ax.get_figure(root=True).get_figwidth()  # pyright: ignore[reportOptionalMemberAccess]
        # Above the marks that stand on the axes, such as the image bar.
        ax.set_title(_folded(display.subject, inches), loc="left", color=MUTED, fontsize=8.5, pad=16)
    return ax


def _in_figure(display: Display, figure: Figure | SubFigure | None) -> np.ndarray:
    panels = display.draw
    if not isinstance(panels, Panels):
        raise TypeError(f"{display.name} takes one pair of axes")
    if figure is not None and not isinstance(figure, (Figure, SubFigure)):
        raise ContractError(f"figure is a matplotlib Figure or SubFigure, got {type(figure).__name__}")
    with mpl.rc_context(STYLE):
        if figure is None:
            figure = plt.figure(figsize=panels.size, layout="constrained")
        axes = panels.paint(display.numbers, figure)
        inches = figure.bbox.width / figure.dpi
        figure.suptitle(_folded(display.subject, inches), x=0.01, ha="left", color=MUTED)
    return axes


def _folded(text: str, inches: float) -> str:
    return textwrap.fill(text, max(20, int(inches * LETTERS_PER_INCH)))
