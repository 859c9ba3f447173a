"""Short labels that distinguish scores side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from brainfit.figures.display import has_random_weights, shorten
from brainfit.scoring.result import Score

LONGEST_HASH = 10
"""Letters of a hash that are enough to distinguish weights."""


def labels(scores: Sequence[Score]) -> list[str]:
    """Label each score by its model and the settings that distinguish it from the others.

    Scores with the same layer, map, weights, region, recording and seed are numbered.
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
    """Name the mapping with its control and projection."""
    projection = score.info["provenance"].get("fit", {}).get("projection")
    projected = f"project {projection['n_components']}" if projection else None
    return ", ".join(filter(None, [score.info["mapping"], score.info["control"], projected]))


def weights_name(score: Score) -> str:
    """Name the weights; a hash is cut to its first letters."""
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
