"""The report of one score."""

from __future__ import annotations

from brainfit.figures import (
    Display,
    early_against_late,
    example_trajectories,
    normalized_over_time,
    predictivity_over_time,
    ranked_units,
    residuals_by_category,
    scores_against_ceiling,
    temporal_correlations,
)
from brainfit.figures.numbers import interval, number
from brainfit.report.document import Document
from brainfit.report.methods import FORMULAS, methods
from brainfit.report.references import cited
from brainfit.report.sentences import (
    basis,
    headline,
    is_static,
    left_out,
    meaning,
    notices,
)
from brainfit.report.tables import (
    bins_table,
    one_bin_table,
    ranks_table,
    settings_table,
    units_table,
    windows_table,
)
from brainfit.scoring.result import Score


def displays(score: Score) -> list[Display]:
    """Return the figures of a report; figures over time need more than one time bin."""
    if is_static(score):
        shown = [ranked_units(score), scores_against_ceiling(score)]
    else:
        shown = [
            normalized_over_time(score),
            predictivity_over_time(score),
            scores_against_ceiling(score),
            early_against_late(score),
            temporal_correlations([score]),
            example_trajectories(score),
        ]
    if "category_name" in score.data.coords:
        shown.append(residuals_by_category(score))
    return shown


def document(score: Score) -> Document:
    """Write the report of a score."""
    info, static, paragraphs = score.info, is_static(score), methods(score)
    command = info["provenance"].get("command")
    units = ("Every unit", units_table(scores_against_ceiling(score).frame(), static=static))
    bins = ("Every time bin", bins_table(predictivity_over_time(score).frame()))
    return Document(
        name="report",
        title=f"{info['model']} in {info['region']}: brainfit report",
        kicker=f"brainfit report · {info['model']} · {info['region']} · {info['recording']}",
        headline=headline(score),
        basis=basis(score),
        notices=notices(score),
        tiles=_tiles(score)[: 2 if static else None],
        results=[one_bin_table(score)] if static else [windows_table(score), ranks_table(score)],
        meaning=meaning(static),
        figures_note=(
            "This recording has one time bin, so there is no time axis: the figures over time are left out."
            if static
            else ""
        ),
        figures=displays(score),
        details=[units] if static else [bins, units],
        methods=paragraphs,
        formulas=FORMULAS,
        references=cited(paragraphs),
        left_out=left_out(score),
        provenance=[("", settings_table(score))],
        commands=[str(command)] if command else [],
    )


def _tiles(score: Score) -> list[tuple[str, str, str]]:
    found, pooled, temporal = score.headline, score.pooled, score.temporal
    ceiling = temporal["temporal_correlation_ceiling"]
    return [
        (
            "Image-driven",
            number(found["normalized"]),
            f"normalised; 95% interval {interval(*found['ci95'])}",
        ),
        (
            "Correlation r",
            number(found["r"]),
            f"image-driven, under a ceiling of {number(found['ceiling'])} (Pearson)",
        ),
        (
            "Plain",
            number(pooled["normalized"]),
            f"normalised; the mean time course alone has {number(pooled['time_course'])}",
        ),
        (
            "Temporal r",
            number(temporal["temporal_correlation"]),
            f"within images, of at most {number(ceiling)}; the mean time course alone has "
            f"{number(temporal['temporal_correlation_time_course'])}",
        ),
    ]
