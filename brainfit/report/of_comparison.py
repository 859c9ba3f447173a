"""What the report of several scores beside each other says."""

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
from brainfit.report.sentences import basis_of_pairs, headline_of_pairs, is_static, left_out, meaning, notices
from brainfit.report.tables import settings_table
from brainfit.scoring.result import Score


def comparison_displays(scores: Sequence[Score]) -> list[Display]:
    """Return the figures that a comparison shows; those over time need more than one time bin."""
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
        As for `brainfit.compare`.
    seed
        Of the bootstrap of the differences.
    command
        What was typed to compare them, if anything was.
    pairs
        What `brainfit.compare` said of these scores, if that was asked already; then `seed` is of no use.

    Raises
    ------
    ContractError
        If there are fewer than two scores, or they are not of the same images and units.
    """
    pairs = compare(scores, seed=seed) if pairs is None else pairs
    pairs = [pair for pair in pairs if pair.measure == "plain"]  # as the scores beside them on this page
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
            (name, number(score.pooled["normalized"]), f"95% interval {interval(*score.pooled['ci95'])}")
            for name, score in zip(names, scores, strict=True)
        ],
        results=[
            models_table(scores, names),
            pairs_table([pair for pair in pairs if pair.window == "pooled" or not static], names),
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


def _notices(scores: Sequence[Score], names: Sequence[str]) -> list[tuple[str, str]]:
    """Say once what holds for all scores, and of what holds for some, for which."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, score in zip(names, scores, strict=True):
        for notice in notices(score):
            found.setdefault(notice, []).append(name)
    return [
        (title if len(who) == len(scores) else f"{title} ({', '.join(who)})", text)
        for (title, text), who in found.items()
    ]
