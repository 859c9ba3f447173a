"""One page of HTML about one score, complete in itself."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import jinja2

from brainfit.figures import (
    Display,
    example_trajectories,
    predictivity_over_time,
    scores_against_ceiling,
)
from brainfit.figures.numbers import interval, number
from brainfit.presentation import Presentation
from brainfit.report.tables import Table, bins_table, plain_rows, units_table, windows_table
from brainfit.report.words import basis, duration, headline, left_out, notices
from brainfit.result import Score


def displays(score: Score) -> list[Display]:
    """Return the figures that a report shows; those over time need more than one time bin."""
    units = scores_against_ceiling(score)
    if score.data.sizes["time_bin"] == 1:
        return [units]
    return [predictivity_over_time(score), units, example_trajectories(score)]


def page(score: Score, shown: Sequence[Display], pictures: Mapping[str, bytes]) -> str:
    """Write the page.

    Parameters
    ----------
    score
        What it is about.
    shown
        The figures, in order.
    pictures
        Each figure as SVG, by its name; they go into the page itself.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("brainfit.report"),
        autoescape=True,  # names come from files
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    provenance = score.info["provenance"]
    return environment.get_template("report.html.jinja").render(
        info=score.info,
        headline=headline(score),
        basis=basis(score),
        notices=notices(score),
        tiles=_tiles(score),
        windows=windows_table(score),
        n_units=score.data.sizes["unit"],
        one_bin=score.data.sizes["time_bin"] == 1,
        figures=[(display, base64.b64encode(pictures[display.name]).decode()) for display in shown],
        details=[
            ("Every time bin", bins_table(predictivity_over_time(score).frame())),
            ("Every unit", units_table(scores_against_ceiling(score).frame())),
        ],
        presentation={**asdict(Presentation()), **provenance.get("presentation", {})},
        left_out=left_out(score),
        provenance=_provenance(score),
        command=provenance.get("command"),
    )


def _tiles(score: Score) -> list[tuple[str, str, str]]:
    pooled = score.pooled
    return [
        ("Normalised", number(pooled["normalized"]), f"95% interval {interval(*pooled['ci95'])}"),
        ("Image-driven", number(pooled["image_driven"]), "normalised, without the mean time course"),
        ("Correlation r", number(pooled["r"]), f"ceiling {number(pooled['ceiling'])} (Spearman split-half)"),
        (
            "Temporal r",
            number(score.temporal_correlation),
            f"within images; the mean time course has {number(score.temporal_correlation_time_course)}",
        ),
    ]


def _provenance(score: Score) -> Table:
    info = dict(score.info)
    hidden = ("provenance", "dropped", "seconds", "peak_memory_gb")
    rows = [
        *plain_rows({key: value for key, value in info.items() if key not in hidden}),
        ("time taken", duration(info["seconds"])),
        ("peak memory", f"{number(info['peak_memory_gb'], 1)} GB"),
        *plain_rows({key: value for key, value in info["provenance"].items() if key != "command"}),
    ]
    return Table("Everything that went into this score", ["What", "Value"], [list(row) for row in rows], 2)
