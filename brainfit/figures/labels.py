"""Short names for scores that stand side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from brainfit.figures.display import has_random_weights, shorten
from brainfit.scoring.result import Score

LONGEST_HASH = 10
"""Letters of a hash that are enough to tell weights apart."""


def labels(scores: Sequence[Score]) -> list[str]:
    """Name each score by its model, and by what else it takes to tell it from the others.

    Scores that differ in none of layer, map, weights, region, recording and seed get a number.
    """
    names = [shorten(score.info["model"]) for score in scores]
    for facet in _FACETS:
        taken = Counter(names)
        values = [facet(score) for score in scores]
        names = [
            f"{name}, {value}" if taken[name] > 1 and _differs(name, names, values) else name
            for name, value in zip(names, values, strict=True)
        ]
    taken = Counter(names)
    return [f"{name} ({k})" if taken[name] > 1 else name for k, name in enumerate(names, start=1)]


def map_name(score: Score) -> str:
    """Name the map with what was done to the features before it."""
    projection = score.info["provenance"].get("fit", {}).get("projection")
    projected = f"project {projection['n_components']}" if projection else None
    return ", ".join(filter(None, [score.info["mapping"], score.info["control"], projected]))


def weights_name(score: Score) -> str:
    """Name the weights; of a hash its first letters."""
    weights = str(score.info["weights"])
    return weights if has_random_weights(score) or len(weights) < 20 else f"{weights[:LONGEST_HASH]}…"


def _differs(name: str, names: Sequence[str], values: Sequence[str]) -> bool:
    return len({value for other, value in zip(names, values, strict=True) if other == name}) > 1


_FACETS: tuple[Callable[[Score], str], ...] = (
    lambda score: str(score.info["region"]),
    lambda score: shorten(score.info["layer"]),
    map_name,
    weights_name,
    lambda score: shorten(score.info["recording"]),
    lambda score: f"seed {score.info['seed']}",
)
