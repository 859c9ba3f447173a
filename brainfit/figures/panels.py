"""Ways to draw a table: on one pair of axes, or on several in one figure."""

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
    """A drawing on one pair of axes, in a figure of its own or where the caller wants it.

    Attributes
    ----------
    paint
        Draws the numbers on the axes.
    size
        Of a figure of its own, in inches.
    """

    paint: Callable[[pd.DataFrame, Axes], None]
    size: tuple[float, float]

    def __call__(self, numbers: pd.DataFrame) -> Figure:
        """Draw on a new figure."""
        return _drawn(self, numbers)

    def fill(self, numbers: pd.DataFrame, figure: Figure | SubFigure) -> None:
        """Draw on a figure, or a part of one, that has no axes yet."""
        self.paint(numbers, figure.subplots())


@dataclass(frozen=True)
class Panels:
    """A drawing on several axes, in a figure of its own or in one of the caller's.

    Attributes
    ----------
    paint
        Makes the axes in the figure, draws the numbers on them, and returns them.
    size
        Of a figure of its own, in inches.
    """

    paint: Callable[[pd.DataFrame, Figure | SubFigure], np.ndarray]
    size: tuple[float, float]

    def __call__(self, numbers: pd.DataFrame) -> Figure:
        """Draw on a new figure."""
        return _drawn(self, numbers)

    def fill(self, numbers: pd.DataFrame, figure: Figure | SubFigure) -> None:
        """Draw on a figure, or a part of one, that has no axes yet."""
        self.paint(numbers, figure)


def _drawn(drawing: Panel | Panels, numbers: pd.DataFrame) -> Figure:
    figure = Figure(figsize=drawing.size, layout="constrained")
    drawing.fill(numbers, figure)
    return figure


def legend_below(ax: Axes, ncols: int) -> None:
    """Put the legend under the axes and their label, never over data."""
    root = ax.get_figure(root=True)
    if root is None:
        raise ValueError("the axes belong to no figure")
    inches = ScaledTranslation(0, -0.42, root.dpi_scale_trans)
    ax.legend(
        loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=ax.transAxes + inches, ncols=ncols,
        borderaxespad=0,
    )  # fmt: skip


def say_empty(ax: Axes, message: str) -> None:
    """Write across the axes why there is nothing in them."""
    ground = {"facecolor": "white", "edgecolor": "none"}
    ax.text(0.5, 0.5, message, transform=ax.transAxes, ha="center", va="center", color=MUTED, bbox=ground)
