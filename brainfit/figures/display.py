"""A figure: a picture, the numbers that it is drawn from, and the words beside it."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from brainfit.contracts.vocabulary import RANDOM_WEIGHTS, UNKNOWN_WEIGHTS
from brainfit.figures.panels import Panel, Panels
from brainfit.figures.style import MUTED, STYLE, boxes_for_letters
from brainfit.scoring.result import Score
from brainfit.support.messages import one_line

LONGEST_NAME = 40
LETTERS_PER_INCH = 13
"""Letters of a title that fit into one inch."""


@dataclass(frozen=True, eq=False)
class Display:
    """A figure, with its numbers as a table.

    Attributes
    ----------
    name
        Short name, suitable for a file.
    title, caption, alt
        Heading, caption, and alternative text for readers who cannot see the figure.
    subject
        Model, region and recording, written on the figure so that it is understood without its page.
    numbers
        The table that the figure is drawn from.
    draw
        A function that draws the figure from that table alone: a `Panel` for one pair of axes, `Panels` for
        several.
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
        """Draw a new figure, which pyplot does not keep."""
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
    """Name in one line model, layer, region and recording, and mark simulated data and unsure weights."""
    info = score.info
    parts = [shorten(info["model"]), shorten(info["layer"]), info["region"], shorten(info["recording"])]
    parts += marks(info)
    if score.info["control"] is not None:
        parts.append(f"CONTROL: {score.info['control'].upper()}")
    return "  ·  ".join(parts)


def subjects(scores: Sequence[Score]) -> str:
    """Name in one line region and recording of several scores, and mark simulated data and unsure weights."""
    if len(scores) == 1:
        return subject(scores[0])
    parts = [
        ", ".join(dict.fromkeys(shorten(score.info[name]) for score in scores))
        for name in ("region", "recording")
    ]
    return "  ·  ".join([*parts, *marks(*(score.info for score in scores))])


def marks(*of: Mapping[str, Any]) -> list[str]:
    """Return the marks of results with simulated data or without known, trained weights.

    Parameters
    ----------
    *of
        Facts of each result (`info`), with ``weights`` and ``simulated``.
    """
    found = ["SIMULATED RECORDING"] if any(info["simulated"] for info in of) else []
    for kind in (RANDOM_WEIGHTS, UNKNOWN_WEIGHTS):
        if n := sum(str(info["weights"]).startswith(kind) for info in of):
            found.append(f"{kind.upper()} WEIGHTS" + ("" if n == len(of) else f" IN {n} OF {len(of)}"))
    return found


def has_random_weights(score: Score) -> bool:
    """Return True if the model was not trained."""
    return str(score.info["weights"]).startswith(RANDOM_WEIGHTS)


def has_unknown_weights(score: Score) -> bool:
    """Return True if the model did not name its weights."""
    return str(score.info["weights"]).startswith(UNKNOWN_WEIGHTS)


def shorten(name: Any) -> str:
    """Cut a name that is too long for a figure, and escape what cannot be written."""
    text = one_line(name)
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"


def column(numbers: pd.DataFrame, name: str) -> np.ndarray:
    """Return one column of numbers as an array."""
    return numbers[name].to_numpy(dtype=float)
