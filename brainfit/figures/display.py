"""What every figure is: a picture, the numbers it is drawn from, and the words beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brainfit.result import Score

# Okabe and Ito's palette, which stays apart for every kind of colour vision.
INK = "#1b1e23"
MUTED = "#5c636e"
FAINT = "#d5d9df"
MODEL = "#0072B2"
CEILING = "#6b6b6b"
MEDIAN = "#D55E00"
WINDOWS = {"early": "#E69F00", "late": "#009E73"}

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # names come from files: a "$" in one is a dollar sign
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "figure.facecolor": "white",
    "figure.titlesize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "savefig.facecolor": "white",
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
}
LONGEST_NAME = 40


@dataclass(frozen=True, eq=False)
class Display:
    """A figure, with its numbers as a table.

    Attributes
    ----------
    name
        Short name, fit for a file.
    title, caption, alt
        Heading, what one sees, and the same for who cannot see it.
    subject
        What was scored; written on the figure, so that it still says so when it travels alone.
    numbers
        The table that the figure is drawn from.
    draw
        Draws the figure from that table, and from nothing else of the score.
    """

    name: str
    title: str
    caption: str
    alt: str
    subject: str
    numbers: pd.DataFrame
    draw: Callable[[pd.DataFrame], Figure]

    def frame(self) -> pd.DataFrame:
        """Return a copy of the numbers; NaN means not defined."""
        return self.numbers.copy()

    def figure(self) -> Figure:
        """Draw a new figure, unknown to pyplot: it goes away with its last reference."""
        with mpl.rc_context(STYLE):
            figure = self.draw(self.numbers)
            line = textwrap.fill(self.subject, int(figure.get_figwidth() * 13))
            figure.suptitle(line, x=0.01, ha="left", color=MUTED)
        return figure


def subject(score: Score) -> str:
    """Say in one line what was scored, and whether recording or weights are not real."""
    info = score.info
    parts = [shorten(info["model"]), shorten(info["layer"]), info["region"], shorten(info["recording"])]
    if info["simulated"]:
        parts.append("SIMULATED RECORDING")
    if has_random_weights(score):
        parts.append("RANDOM WEIGHTS")
    if score.info["control"] is not None:
        parts.append(f"CONTROL: {score.info['control'].upper()}")
    return "  ·  ".join(parts)


def has_random_weights(score: Score) -> bool:
    """Whether the model was not trained: its weights are ``"random:<seed>"``."""
    return str(score.info["weights"]).startswith("random")


def shorten(name: Any) -> str:
    """Cut a long name, so that it cannot push a figure apart."""
    text = " ".join(str(name).split())
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"


def column(numbers: pd.DataFrame, name: str) -> np.ndarray:
    """Return one column of numbers as an array."""
    return numbers[name].to_numpy(dtype=float)


def say_empty(ax: Axes, message: str) -> None:
    """Write across the axes why there is nothing in them."""
    ground = {"facecolor": "white", "edgecolor": "none"}
    ax.text(0.5, 0.5, message, transform=ax.transAxes, ha="center", va="center", color=MUTED, bbox=ground)
