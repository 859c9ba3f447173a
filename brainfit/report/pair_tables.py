"""Tables of several scores side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from brainfit.figures.labels import map_name, weights_name
from brainfit.figures.numbers import interval, number
from brainfit.report.sentences import p_value
from brainfit.report.tables import HEADLINE, MEDIANS, RANKS, Table, table_of
from brainfit.scoring.result import Score

if TYPE_CHECKING:
    from brainfit.analyses.comparison import Difference


def models_table(scores: Sequence[Score], names: Sequence[str]) -> Table:
    """Write the pooled numbers of several scores."""
    rows = [
        {
            "model": name,
            "layer": score.info["layer"],
            "map": map_name(score),
            "weights": weights_name(score),
            **{key: score.pooled[key] for key in MEDIANS},
            "ci95": interval(*score.headline["ci95"]),
        }
        for name, score in zip(names, scores, strict=True)
    ]
    return table_of(
        "Medians over units, pooled over time",
        pd.DataFrame(rows),
        [
            ("model", "Model", str),
            ("layer", "Layer", str),
            ("map", "Map", str),
            ("weights", "Weights", str),
            *HEADLINE,
            RANKS[1],
        ],
        n_names=4,
    )


def pairs_table(pairs: Sequence[Difference], names: Sequence[str]) -> Table:
    """Write the differences of pairs of scores."""
    rows = [
        {
            "pair": f"{names[pair.first]} less {names[pair.second]}",
            "window": pair.window,
            "measure": pair.measure.replace("_", "-"),
            "difference": pair.difference,
            "ci95": interval(*pair.ci95),
            "p": p_value(pair.p).removeprefix("= "),
            "p_holm": p_value(pair.p_holm).removeprefix("= "),
            "n_units": pair.n_units,
        }
        for pair in pairs
    ]
    return table_of(
        "Differences of normalised scores, unit by unit: medians over units, paired over images and units",
        pd.DataFrame(rows),
        [
            ("pair", "Pair", str),
            ("window", "Window", str),
            ("measure", "Score", str),
            ("difference", "Difference", number),
            ("ci95", "95% interval", str),
            ("p", "p", str),
            ("p_holm", "p (Holm)", str),
            ("n_units", "Units", str),
        ],
        n_names=3,
    )
