"""Sentences of a report, in plain English with the numbers in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from brainfit.figures.display import has_random_weights
from brainfit.figures.numbers import MISSING, count, interval, number
from brainfit.scoring.result import Score

if TYPE_CHECKING:
    from brainfit.analyses.comparison import Difference

ALPHA = 0.05
"""A difference is said to be one where its corrected p-value is less."""

_CONTROLS = {
    "per-bin": "the features of one time bin at a time, and is another one for each",
    "time-shuffled": "the layer's features of the same steps in another order",
    "graded": "the layer's answer to an image that stays, with one time course for all units",
}


def headline(score: Score) -> str:
    """Say the result in one sentence, with its interval, and whether data and weights are real."""
    info, pooled = score.info, score.pooled
    who = f"{info['model']} (layer {info['layer']}{', random weights' if has_random_weights(score) else ''})"
    where = f"{'simulated ' if info['simulated'] else ''}{info['region']}"
    if not math.isfinite(pooled["normalized"]):
        return f"{who} cannot be scored in {where}: no unit has a response that can be told from noise."
    alone = (
        ""
        if is_static(score)
        else f"; the mean time course alone, without the image, {number(pooled['time_course'])}"
    )
    return (
        f"{who} predicts {number(pooled['normalized'])} of the explainable correlation in {where} "
        f"(95% interval {interval(*pooled['ci95'])}){alone}."
    )


def is_static(score: Score) -> bool:
    """Whether there is one time bin, so that nothing can be said about time."""
    return score.data.sizes["time_bin"] == 1


def basis(score: Score) -> str:
    """Say what the headline rests on."""
    info, data, pooled = score.info, score.data, score.pooled
    bins = int(data["window_bins"].sel(window="pooled").sum())
    units = int(data["window_normalized"].sel(window="pooled").notnull().sum())
    text = f"{count(info['n_test_images'], 'held-out image')} of “{info['recording']}”"
    if not units:
        return f"{count(data.sizes['unit'], 'unit')} and {text} were tried; what was found is below."
    found = (
        f"Median over {count(units, 'unit')} that tell images apart: r = {number(pooled['r'])}, over {text}"
    )
    if is_static(score):
        return f"{found}, under a noise ceiling of {number(pooled['ceiling'])}."
    return (
        f"{found} and {count(bins, 'time bin')} together, under a noise ceiling of "
        f"{number(pooled['ceiling'])}. Without the time course that all images share, the normalised score "
        f"is {number(pooled['image_driven'])}."
    )


def headline_of_pairs(scores: Sequence[Score], names: Sequence[str], pairs: Sequence[Difference]) -> str:
    """Say in one sentence which score is best, and how sure it is that it beats the next."""
    where = f"{'simulated ' if scores[0].info['simulated'] else ''}{scores[0].info['region']}"
    values = [score.pooled["normalized"] for score in scores]
    order = sorted((k for k, value in enumerate(values) if math.isfinite(value)), key=lambda k: -values[k])
    if len(order) < 2:
        return (
            f"The models cannot be compared in {where}: no unit has a response that can be told from noise."
        )
    best, second = order[:2]
    pair = next(p for p in pairs if p.window == "pooled" and {p.first, p.second} == {best, second})
    sign = 1 if pair.first == best else -1
    if pair.difference == 0 and not any(pair.ci95):
        return f"In {where}, {names[best]} and {names[second]} predict every unit alike."
    bounds = interval(*sorted(sign * bound for bound in pair.ci95))
    found = (
        f"In {where}, {names[best]} predicts most, {number(values[best])} of the explainable correlation, "
        f"{number(sign * pair.difference)} more than {names[second]}, unit by unit"
    )
    if not math.isfinite(pair.p_holm):
        return f"{found}; there are too few units to say how sure that is."
    sure = f"95% interval {bounds}, p {p_value(pair.p_holm)}"
    if pair.p_holm < ALPHA:
        return f"{found} ({sure})."
    return f"{found}, which cannot be told from no difference ({sure})."


def p_value(p: float) -> str:
    """Write a p-value with its relation sign; an en dash if there is none.

    Examples
    --------
    >>> p_value(0.0004), p_value(0.0412)
    ('< 0.001', '= 0.041')
    """
    if not math.isfinite(p):
        return MISSING
    return "< 0.001" if p < 0.001 else f"= {number(p, 3)}"


def basis_of_pairs(scores: Sequence[Score], pairs: Sequence[Difference]) -> str:
    """Say what a comparison rests on."""
    info = scores[0].info
    n_units = max((pair.n_units for pair in pairs if pair.window == "pooled"), default=0)
    n_pairs = len(scores) * (len(scores) - 1) // 2
    alone = scores[0].pooled["time_course"]
    baseline = (
        ""
        if is_static(scores[0]) or not math.isfinite(alone)
        else f" The mean time course alone, without the image, has {number(alone)}."
    )
    return (
        f"{count(len(scores), 'score')} of the same {count(info['n_test_images'], 'held-out image')} of "
        f"“{info['recording']}” and the same {count(n_units, 'unit')}; p-values are corrected for "
        f"{count(n_pairs, 'pair')}.{baseline}"
    )


def notices(score: Score) -> list[tuple[str, str]]:
    """Say what keeps the result from being about a brain or a trained model: titles and texts."""
    found: list[tuple[str, str]] = []
    if score.info["simulated"]:
        found.append(
            (
                "Simulated recording",
                f"The responses in “{score.info['recording']}” were computed, not recorded. "
                "This score shows that the method works; it says nothing about a brain.",
            )
        )
    if has_random_weights(score):
        found.append(
            (
                "Random weights",
                f"The weights were drawn and not trained ({score.info['weights']}). "
                "This score is a baseline for the architecture, not a result for the trained model.",
            )
        )
    if score.info["control"] is not None:
        found.append(
            (
                f"Control: {score.info['control']}",
                f"The map was given {_CONTROLS.get(score.info['control'], 'features that this version cannot describe')}. "
                "This is a score to hold others against, not one of the model as it is.",
            )
        )
    if not score.info["provenance"].get("fit", {}).get("converged", True):
        found.append(
            (
                "Fit not converged",
                "The held-out loss of the linear map still moved when the solver stopped. "
                "The score is a lower bound of what the layer can give.",
            )
        )
    return found


def left_out(score: Score) -> list[tuple[str, str]]:
    """List what was dropped before scoring, and what turned out undefined, each with its reason."""
    found = [(f"{item['n']} {item['what']}", str(item["why"])) for item in score.info["dropped"]]
    units = int(score.data["window_normalized"].sel(window="pooled").isnull().sum())
    if units:
        found.append(
            (
                f"{units} of {count(score.data.sizes['unit'], 'unit')} in the median",
                "their reliability cannot be told from zero, so their normalised score is not defined",
            )
        )
    gaps = int(score.per_bin["r"].isnull().sum())
    if gaps and not is_static(score):
        found.append(
            (
                f"{gaps} of {count(score.data.sizes['time_bin'], 'time bin')} in the curves",
                "fewer than half of the units have a reliability there that can be told from zero, as before "
                "the response arrives; they are gaps, not zeros",
            )
        )
    return found


def meaning(static: bool) -> list[str]:
    """Say what the numbers are, for a newcomer."""
    found = [
        "Show a neuron the same picture twice and it answers differently, so no model can predict a "
        "measured response perfectly. Reliability says how well the average over trials would agree with "
        "another such average: 1 is perfect agreement, 0 is pure noise. The ceiling, its square root, "
        "estimates the correlation that a perfect model would reach; it is a rank correlation, so r can "
        "exceed it slightly. The normalised score is the model’s correlation divided by the ceiling of the "
        "same kind (Pearson by Pearson): 1 means that everything that can be predicted was predicted. An "
        "en dash (–) means that a number is not defined.",
    ]
    if not static:
        found.append(
            "All units respond more at 100 ms than at 20 ms, whatever the image. A model that knows only "
            "when units respond scores high once time bins are pooled: hold a score against that of the "
            "mean time course, and look at what is image-driven, which is 0 for it."
        )
    return found


def duration(seconds: float) -> str:
    """Write a duration.

    Examples
    --------
    >>> duration(8.34), duration(83.4), duration(7384)
    ('8.3 s', '1 min 23 s', '2 h 3 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
