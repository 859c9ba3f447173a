"""Sentences of a report, in plain English with the numbers in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from brainfit.figures.display import has_random_weights, has_unknown_weights
from brainfit.figures.numbers import MISSING, count, interval, number
from brainfit.scoring.result import Score

if TYPE_CHECKING:
    from brainfit.analyses.comparison import Difference

ALPHA = 0.05
"""Significance level of a corrected p-value."""

_CONTROLS = {
    "per-bin": "the features of one time bin at a time, with a separate map for each bin",
    "time-shuffled": "the steps of the layer in another order",
    "graded": "the layer's response to a lasting image, scaled by one time course for all units",
}


def headline(score: Score) -> str:
    """Write the result in one sentence, with its interval, and mark simulated data and unsure weights."""
    model, where = _model(score), _where(score)
    value = score.headline["normalized"]
    if not math.isfinite(value):
        return f"{model} cannot be scored in {where}: no unit has a response that stands out from noise."
    bounds = interval(*score.headline["ci95"])
    return (
        f"{model} reaches {number(value)} of the noise ceiling in {where}, image-driven "
        f"(95% interval {bounds})."
    )


def _model(score: Score) -> str:
    info = score.info
    weights = {
        has_random_weights(score): ", random weights",
        has_unknown_weights(score): ", unknown weights",
    }.get(True, "")
    return f"{info['model']} ({info['layer']}{weights})"


def _where(score: Score) -> str:
    return f"{'simulated ' if score.info['simulated'] else ''}{score.info['region']}"


def is_static(score: Score) -> bool:
    """Return True if there is a single time bin."""
    return score.data.sizes["time_bin"] == 1


def basis(score: Score) -> str:
    """Write what the headline is based on, and the plain score beside it."""
    info, data, pooled, found = score.info, score.data, score.pooled, score.headline
    units, images = found["n_defined"], count(info["n_test_images"], "held-out image")
    where = f"{images} of “{info['recording']}”"
    if not units:
        units = count(data.sizes["unit"], "unit")
        return f"{units} and {where} were tried; the tables below show what was found."
    text = (
        f"Median over {units} of {count(data.sizes['unit'], 'unit')}: r = {number(found['r'])} under a "
        f"ceiling of {number(found['ceiling'])}, over {where}"
    )
    if is_static(score):
        return f"{text}."
    start, end = window_ms(score, "pooled")
    return (
        f"{text} and the time bins from {number(start, 0)} to {number(end, 0)} ms, after each bin’s mean "
        "over images is taken off. With these means left in, the plain pooled score is "
        f"{number(pooled['normalized'])}; the mean time course alone, the same for every image, reaches "
        f"{number(pooled['time_course'])}."
    )


def window_ms(score: Score, window: str) -> tuple[float, float]:
    """Return start and end in ms of the bins that a window pools; infinite if it has none."""
    bins = score.data["window_bins"].sel(window=window).values.astype(bool)
    start, end = (score.data[f"time_bin_{edge}"].values[bins] for edge in ("start", "end"))
    return float(start.min(initial=math.inf)), float(end.max(initial=-math.inf))


def headline_of_pairs(scores: Sequence[Score], names: Sequence[str], pairs: Sequence[Difference]) -> str:
    """Write in one sentence which score is best, and whether it is better than the next."""
    where = _where(scores[0])
    values = [score.headline["normalized"] for score in scores]
    order = sorted((k for k, value in enumerate(values) if math.isfinite(value)), key=lambda k: -values[k])
    if len(order) < 2:
        return f"The models cannot be compared in {where}: no unit has a response that stands out from noise."
    best, second = order[:2]
    pair = next(
        p for p in image_driven(pairs) if p.window == "pooled" and {p.first, p.second} == {best, second}
    )
    sign = 1 if pair.first == best else -1
    if pair.difference == 0 and not any(pair.ci95):
        return f"In {where}, {names[best]} and {names[second]} predict every unit alike."
    bounds = interval(*sorted(sign * bound for bound in pair.ci95))
    found = (
        f"In {where}, {names[best]} predicts most, {number(values[best])} of the image-driven noise ceiling, "
        f"{number(sign * pair.difference)} more than {names[second]}, unit by unit"
    )
    if not math.isfinite(pair.p_holm):
        return f"{found}; there are too few units for a test."
    test = f"95% interval {bounds}, p {p_value(pair.p_holm)}"
    if pair.p_holm < ALPHA:
        return f"{found} ({test})."
    return f"{found}, which is not distinguishable from no difference ({test})."


def image_driven(pairs: Sequence[Difference]) -> list[Difference]:
    """Return the differences of image-driven scores."""
    return [pair for pair in pairs if pair.measure == "image_driven"]


def p_value(p: float) -> str:
    """Write a p-value with its relation sign; an en dash if it is undefined.

    Examples
    --------
    >>> p_value(0.0004), p_value(0.0412)
    ('< 0.001', '= 0.041')
    """
    if not math.isfinite(p):
        return MISSING
    return "< 0.001" if p < 0.001 else f"= {number(p, 3)}"


def basis_of_pairs(scores: Sequence[Score], pairs: Sequence[Difference]) -> str:
    """Write what a comparison is based on."""
    info = scores[0].info
    n_units = max((pair.n_units for pair in image_driven(pairs) if pair.window == "pooled"), default=0)
    n_pairs = len(scores) * (len(scores) - 1) // 2
    text = (
        f"{count(len(scores), 'score')} of the same {count(info['n_test_images'], 'held-out image')} of "
        f"“{info['recording']}” and the same {count(n_units, 'unit')}; p-values are corrected for "
        f"{count(n_pairs, 'pair')}."
    )
    alone = scores[0].pooled["time_course"]
    if is_static(scores[0]) or not math.isfinite(alone):
        return text
    return (
        f"{text} Each bin’s mean over images is taken off; in the plain scores below it is left in, and the "
        f"mean time course alone, the same for every image, reaches {number(alone)}."
    )


def notices(score: Score) -> list[tuple[str, str]]:
    """Return the reasons for reading the score with care, the gravest first: titles and texts."""
    found = [(notice.title, notice.text) for notice in score.notices]
    if score.info["simulated"]:
        text = (
            f"The responses in “{score.info['recording']}” were computed, not recorded. "
            "This score tests the method; it says nothing about a brain."
        )
        found.append(("Simulated recording", text))
    if (control := score.info["control"]) is not None:
        text = (
            f"The map was given {_CONTROLS.get(control, 'features that this version cannot describe')}. "
            "This score is a reference for others, not a score of the model itself."
        )
        found.append((f"Control: {control}", text))
    return found


def left_out(score: Score) -> list[tuple[str, str]]:
    """List what was dropped before scoring and what is undefined, with reasons."""
    found = [(f"{item['n']} {item['what']}", str(item["why"])) for item in score.info["dropped"]]
    units = score.headline["n_units"] - score.headline["n_defined"]
    if units:
        found.append(
            (
                f"{units} of {count(score.data.sizes['unit'], 'unit')} in the median",
                "their reliability is not distinguishable from zero, so their normalised score is undefined",
            )
        )
    gaps = int(score.per_bin["r"].isnull().sum())
    if gaps and not is_static(score):
        found.append(
            (
                f"{gaps} of {count(score.data.sizes['time_bin'], 'time bin')} in the curves",
                "in these bins, such as those before the response, fewer than half of the units have a "
                "reliability that is distinguishable from zero; they are gaps, not zeros",
            )
        )
    return found


def meaning(static: bool) -> list[str]:
    """Explain the numbers to a newcomer."""
    found = [
        "A neuron that sees the same picture twice responds differently, so no model can predict a measured "
        "response perfectly. Reliability is the agreement of the average over trials with another such "
        "average: 1 is perfect, 0 is pure noise. The ceiling, its square root, is the correlation that a "
        "perfect model would reach. The normalised score is the model’s correlation divided by the ceiling "
        "of the same kind: 1 means that everything that can be predicted was predicted. An en dash (–) "
        "marks a number that is undefined.",
    ]
    if not static:
        found.append(
            "All units respond more at 100 ms than at 20 ms, whatever the image, so a model that knows only "
            "when units respond scores high once time bins are pooled. The image-driven score takes each "
            "bin’s mean over images off first; such a model then scores 0. The plain score leaves these "
            "means in: compare it with that of the mean time course alone."
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
