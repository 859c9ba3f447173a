"""Drawings of a table on one pair of axes, or on several in one figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.transforms import ScaledTranslation

from brainfit.figures.style import MUTED


@dataclass(frozen=True)
class Panel:
    """A drawing on one pair of axes, in a new figure or in the caller's.

    Attributes
    ----------
    paint
        A function that draws the numbers on the axes.
    size
        Width and height of a new figure, in inches.
    """

    paint: Callable[[pd.DataFrame, Axes], None]
    size: tuple[float, float]

    def __call__(self, numbers: pd.DataFrame) -> Figure:
        """Draw on a new figure."""
        figure = Figure(figsize=self.size, layout="constrained")
        self.paint(numbers, figure.subplots())
        return figure


@dataclass(frozen=True)
class Panels:
    """A drawing on several axes, in a new figure or in the caller's.

    Attributes
    ----------
    paint
        A function that creates the axes in the figure, draws the numbers on them, and returns them.
    size
        Width and height of a new figure, in inches.
    """

    paint: Callable[[pd.DataFrame, Figure | SubFigure], np.ndarray]
    size: tuple[float, float]

    def __call__(self, numbers: pd.DataFrame) -> Figure:
        """Draw on a new figure."""
        figure = Figure(figsize=self.size, layout="constrained")
        self.paint(numbers, figure)
        return figure


def legend_below(ax: Axes, ncols: int) -> None:
    """Place the legend below the axes and their label, where it covers no data."""
    root = ax.get_figure(root=True)
    if root is None:
        raise ValueError("the axes belong to no figure")
    inches = ScaledTranslation(0, -0.42, root.dpi_scale_trans)
    ax.legend(
        loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=ax.transAxes + inches, ncols=ncols,
        borderaxespad=0,
    )  # fmt: skip


def say_empty(ax: Axes, message: str) -> None:
    """Write across empty axes why they are empty."""
    ground = {"facecolor": "white", "edgecolor": "none"}
    ax.text(0.5, 0.5, message, transform=ax.transAxes, ha="center", va="center", color=MUTED, bbox=ground)
