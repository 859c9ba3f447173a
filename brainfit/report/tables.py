"""Tables of a report."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from brainfit.figures.numbers import MISSING, count, interval, number
from brainfit.report.sentences import duration
from brainfit.scoring.result import Score

Column = tuple[str, str, Callable[[Any], str]]
"""Name in the frame, heading on the page, and a function that writes a value."""
MEDIANS = (
    "r", "ceiling", "reliability", "normalized", "spearman", "spearman_normalized", "time_course",
    "image_driven",
)  # fmt: skip
"""Medians that `Score.windows` has for each window."""
HEADLINE: tuple[Column, ...] = (
    ("image_driven", "Image-driven", number),
    ("ci95", "95% interval", str),
    ("normalized", "Plain", number),
    ("time_course", "Time course alone", number),
    ("r", "Plain r", number),
    ("ceiling", "Ceiling (Spearman)", number),
)
"""Columns for a window, or for a model in one window; all but r and ceiling are normalised."""
RANKS: tuple[Column, ...] = (
    ("spearman", "Spearman", number),
    ("spearman_normalized", "Spearman, normalised", number),
)


@dataclass(frozen=True)
class Table:
    """Text in rows and columns; the first `n_names` columns name a row, the others are numbers."""

    caption: str
    heads: list[str]
    rows: list[list[str]]
    n_names: int = 1


def windows_frame(score: Score) -> pd.DataFrame:
    """Return the scores of the pooled, early and late windows.

    Returns
    -------
    DataFrame
        A row for each window: `start` and `end` in ms of the bins it pools, `n_bins`, `n_defined` units, the
        medians of `Score.windows`, and the interval `low` to `high` of `image_driven`.
    """
    data = score.data
    rows = []
    for window, medians in score.windows.items():
        here = data.sel(window=window)
        bins = here["window_bins"].values
        low, high = medians["image_driven_ci95"]
        rows.append(
            {
                "window": window,
                "start": data["time_bin_start"].values[bins].min(initial=math.inf),
                "end": data["time_bin_end"].values[bins].max(initial=-math.inf),
                "n_bins": int(bins.sum()),
                "n_defined": int(here["window_image_driven"].notnull().sum()),
                **{name: medians[name] for name in MEDIANS},
                "low": low,
                "high": high,
            }
        )
    return pd.DataFrame(rows)


def windows_table(score: Score) -> Table:
    """Write the pooled, early and late scores."""
    frame = windows_frame(score)
    spans = zip(frame["start"], frame["end"], frame["n_bins"], strict=True)
    frame["span"] = [f"{_span(a, b)} ({count(n, 'bin')})" if n else MISSING for a, b, n in spans]
    frame["ci95"] = [interval(*pair) for pair in zip(frame["low"], frame["high"], strict=True)]
    return table_of(
        "Normalised scores: medians over units, in the pooled, early and late windows",
        frame,
        [
            ("window", "Window", str),
            ("span", "Time bins", str),
            *HEADLINE,
            ("n_defined", "Units defined", str),
        ],
    )


def ranks_table(score: Score) -> Table:
    """Write the rank correlations of the windows with their ceilings."""
    return table_of(
        "The plain score with ranks: the Spearman correlation, and its quotient with the ceiling",
        windows_frame(score),
        [
            ("window", "Window", str),
            *RANKS,
            ("ceiling", "Ceiling", number),
            ("reliability", "Reliability", number),
        ],
    )


def one_bin_table(score: Score) -> Table:
    """Write the score of a recording with a single time bin."""
    frame = windows_frame(score).iloc[:1]
    frame = frame.assign(ci95=[interval(*pair) for pair in zip(frame["low"], frame["high"], strict=True)])
    return table_of(
        "Medians over units",
        frame.assign(window="all images"),
        [
            ("window", "Over", str),
            ("image_driven", "Normalised", number),
            ("ci95", "95% interval", str),
            ("r", "r", number),
            ("ceiling", "Ceiling (Spearman)", number),
            ("reliability", "Reliability", number),
            *RANKS,
            ("n_defined", "Units defined", str),
        ],
    )


def settings_table(score: Score) -> Table:
    """Write all settings, versions and hashes of a score."""
    info = dict(score.info)
    hidden = ("provenance", "dropped", "seconds", "peak_memory_gb")
    rows = [
        *plain_rows({key: value for key, value in info.items() if key not in hidden}),
        ("time taken", duration(info["seconds"])),
        ("peak memory", f"{number(info['peak_memory_gb'], 1)} GB"),
        *plain_rows({key: value for key, value in info["provenance"].items() if key != "command"}),
    ]
    return Table("All settings of this score", ["What", "Value"], [list(row) for row in rows], 2)


def bins_table(frame: pd.DataFrame) -> Table:
    """Write the frame of `predictivity_over_time`."""
    spans = [_span(*pair) for pair in zip(frame["time_bin_start"], frame["time_bin_end"], strict=True)]
    return table_of(
        "Medians over units in each time bin; quartiles of r over units",
        frame.assign(span=spans),
        [
            ("span", "Time bin", str),
            ("r", "r", number),
            ("r_low", "r, lower quartile", number),
            ("r_high", "r, upper quartile", number),
            ("ceiling", "Ceiling", number),
            ("normalized", "Normalised", number),
            ("n_defined", "Units defined", str),
        ],
    )


def units_table(frame: pd.DataFrame, *, static: bool) -> Table:
    """Write the frame of `scores_against_ceiling`; for a static recording without the columns over time."""
    names: list[Column] = [
        (name, heading, str)
        for name, heading in (("unit_id", "Unit"), ("animal", "Animal"), ("array", "Array"))
        if name in frame
    ]
    over_time: list[Column] = [
        ("early", "Early", number),
        ("late", "Late", number),
        ("temporal_correlation", "Temporal r", number),
    ]
    return table_of(
        "Scores of each unit"
        if static
        else "Image-driven scores of each unit in the pooled window, and normalised early and late ones",
        frame,
        [
            *names,
            ("r", "r", number),
            ("ceiling", "Ceiling", number),
            ("reliability", "Reliability", number),
            ("normalized", "Normalised", number),
            ("plain", "Plain", number),
            RANKS[1],
            *([] if static else over_time),
            ("alpha", "Penalty", lambda value: f"{value:.3g}" if math.isfinite(value) else MISSING),
        ],
        n_names=len(names),
    )


def plain_rows(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Flatten JSON values to rows of a dotted key and text."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from plain_rows(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, (list, tuple)) and any(isinstance(item, (Mapping, list, tuple)) for item in value):
        for position, item in enumerate(value, start=1):
            yield from plain_rows(item, f"{key}.{position}" if key else str(position))
    elif isinstance(value, (list, tuple)):
        yield key, ", ".join(_plain(item) for item in value) or MISSING
    else:
        yield key, _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    missing = value is None or value == "" or (isinstance(value, float) and not math.isfinite(value))
    return MISSING if missing else str(value)


def _span(start: float, end: float) -> str:
    return f"{number(start, 0)} to {number(end, 0)} ms"


def table_of(caption: str, frame: pd.DataFrame, columns: list[Column], n_names: int = 1) -> Table:
    """Write some columns of a frame; the first `n_names` of them name a row."""
    cells = [[write(value) for value in frame[name]] for name, _, write in columns]
    return Table(
        caption,
        [heading for _, heading, _ in columns],
        [list(row) for row in zip(*cells, strict=True)],
        n_names,
    )
