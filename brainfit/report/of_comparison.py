"""The report of several scores side by side."""

from __future__ import annotations

from collections.abc import Sequence

from brainfit.analyses.comparison import Difference, compare
from brainfit.figures import Display, models_over_time, pooled_scores, temporal_correlations
from brainfit.figures.labels import labels
from brainfit.figures.numbers import interval, number
from brainfit.report.document import Document
from brainfit.report.methods import FORMULAS, methods_of_comparison
from brainfit.report.pair_tables import models_table, pairs_table
from brainfit.report.references import cited
from brainfit.report.sentences import (
    basis_of_pairs,
    headline_of_pairs,
    is_static,
    left_out,
    meaning,
    notices,
)
from brainfit.report.tables import settings_table
from brainfit.scoring.result import Score


def comparison_displays(scores: Sequence[Score]) -> list[Display]:
    """Return the figures of a comparison; figures over time need more than one time bin."""
    if is_static(scores[0]):
        return [pooled_scores(scores)]
    return [pooled_scores(scores), models_over_time(scores), temporal_correlations(scores)]


def comparison_document(
    scores: Sequence[Score],
    *,
    seed: int = 0,
    command: str | None = None,
    pairs: Sequence[Difference] | None = None,
) -> Document:
    """Write the report of two or more scores of the same images and units.

    Parameters
    ----------
    scores
        Scores as for `brainfit.compare`.
    seed
        Seed of the bootstrap of the differences.
    command
        The command line that asked for the comparison.
    pairs
        The result of `brainfit.compare` for these scores, if it is known already; `seed` is then unused.

    Raises
    ------
    ContractError
        If there are fewer than two scores, or their images or units differ.
    """
    pairs = compare(scores, seed=seed) if pairs is None else pairs
    names, info, paragraphs = labels(scores), scores[0].info, methods_of_comparison(scores)
    static = is_static(scores[0])
    commands = [str(score.info["provenance"].get("command", "")) for score in scores]
    return Document(
        name="comparison",
        title=f"{' and '.join(names)} in {info['region']}: brainfit comparison",
        kicker=f"brainfit comparison · {info['region']} · {info['recording']}",
        headline=headline_of_pairs(scores, names, pairs),
        basis=basis_of_pairs(scores, pairs),
        notices=_notices(scores, names),
        tiles=[
            (
                name,
                number(score.headline["normalized"]),
                f"image-driven; 95% interval {interval(*score.headline['ci95'])}",
            )
            for name, score in zip(names, scores, strict=True)
        ],
        results=[
            models_table(scores, names),
            pairs_table(
                [pair for pair in pairs if pair.window == "pooled" or _over_time(pair, static)], names
            ),
        ],
        meaning=meaning(static),
        figures_note=(
            "This recording has one time bin, so there is no time axis: the figures over time are left out."
            if static
            else ""
        ),
        figures=comparison_displays(scores),
        details=[],
        methods=paragraphs,
        formulas=FORMULAS,
        references=cited(paragraphs),
        left_out=list(dict.fromkeys(item for score in scores for item in left_out(score))),
        provenance=[(name, settings_table(score)) for name, score in zip(names, scores, strict=True)],
        commands=[line for line in dict.fromkeys([*commands, command or ""]) if line],
    )


def _over_time(pair: Difference, static: bool) -> bool:
    """Return True if the early or late difference is worth a row: only the image-driven one is."""
    return not static and pair.measure == "image_driven"


def _notices(scores: Sequence[Score], names: Sequence[str]) -> list[tuple[str, str]]:
    """Return the notices of all scores; a notice that not all share names its scores."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, score in zip(names, scores, strict=True):
        for notice in notices(score):
            found.setdefault(notice, []).append(name)
    return [
        (title if len(who) == len(scores) else f"{title} ({', '.join(who)})", text)
        for (title, text), who in found.items()
    ]
