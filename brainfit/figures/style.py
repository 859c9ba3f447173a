"""Colours, letters and lines of all figures, distinguishable with every kind of colour vision."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Okabe and Ito's palette.
INK = "#1b1e23"
MUTED = "#5c636e"
FAINT = "#d5d9df"
MODEL = "#0072B2"
CEILING = "#6b6b6b"
MEDIAN = "#D55E00"
WINDOWS = {"early": "#E69F00", "late": "#009E73"}
SERIES = (
    (MODEL, "o"), (MEDIAN, "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"),
    (INK, "X"), ("#882255", "*"),
)  # fmt: skip
"""Colours and markers of things side by side; the markers distinguish them in gray print."""
HEAT = "cividis"
"""Colours of a matrix: lightness grows with the value, for every kind of colour vision and in gray."""

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # names come from files: a "$" in one is a dollar sign
    "axes.edgecolor": MUTED,
    "axes.facecolor": "white",
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


@contextmanager
def boxes_for_letters() -> Iterator[None]:
    """Draw letters that the font lacks as boxes, without a warning; the page has them as text."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)
        yield
