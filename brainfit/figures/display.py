"""What every figure is: a picture, the numbers it is drawn from, and the words beside it."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from brainfit.figures.panels import Panel, Panels
from brainfit.figures.style import MUTED, STYLE, boxes_for_letters
from brainfit.scoring.result import Score

LONGEST_NAME = 40
LETTERS_PER_INCH = 13
"""Of a figure's title."""


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
        Draws the figure from that table, and from nothing else of the score: a `Panel` where one pair of
        axes is enough, `Panels` where it takes several.
    """

    name: str
    title: str
    caption: str
    alt: str
    subject: str
    numbers: pd.DataFrame
    draw: Panel | Panels | Callable[[pd.DataFrame], Figure]

    def frame(self) -> pd.DataFrame:
        """Return a copy of the numbers; NaN means not defined."""
        return self.numbers.copy()

    def figure(self) -> Figure:
        """Draw a new figure, unknown to pyplot: it goes away with its last reference."""
        with mpl.rc_context(STYLE):
            figure = self.draw(self.numbers)
            line = textwrap.fill(self.subject, int(figure.get_figwidth() * LETTERS_PER_INCH))
            figure.suptitle(line, x=0.01, ha="left", color=MUTED)
        return figure

    def _repr_png_(self) -> bytes:
        """Return the figure as a notebook shows it."""
        buffer = io.BytesIO()
        with boxes_for_letters():
            self.figure().savefig(buffer, format="png", dpi=110, metadata={"Software": None})
        return buffer.getvalue()


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


def subjects(scores: Sequence[Score]) -> str:
    """Say in one line what several scores are of, and whether recordings or weights are not real."""
    if len(scores) == 1:
        return subject(scores[0])
    parts = [
        ", ".join(dict.fromkeys(shorten(score.info[name]) for score in scores))
        for name in ("region", "recording")
    ]
    random = sum(map(has_random_weights, scores))
    if any(score.info["simulated"] for score in scores):
        parts.append("SIMULATED RECORDING")
    if random:
        parts.append(
            "RANDOM WEIGHTS" if random == len(scores) else f"RANDOM WEIGHTS IN {random} OF {len(scores)}"
        )
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
