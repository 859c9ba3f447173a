"""Sentences of a report, in plain English with the numbers in them."""

from __future__ import annotations

import math

from brainfit.figures.display import has_random_weights
from brainfit.figures.numbers import count, interval, number
from brainfit.result import Score

_CONTROLS = {
    "per-bin": "the features of one time bin at a time, and is another one for each",
    "time-shuffled": "the layer's features of the same steps in another order",
    "graded": "the layer's answer to an image that stays, with one time course for all units",
}


def headline(score: Score) -> str:
    """Say the result in one sentence."""
    info, pooled = score.info, score.pooled
    who = f"{info['model']} (layer {info['layer']})"
    if not math.isfinite(pooled["normalized"]):
        return (
            f"{who} cannot be scored in {info['region']}: no unit has a response that can be told from noise."
        )
    return (
        f"{who} predicts {number(pooled['normalized'])} of the explainable correlation in {info['region']} "
        f"(95% interval {interval(*pooled['ci95'])}); the mean time course alone, without the image, "
        f"{number(pooled['time_course'])}."
    )


def basis(score: Score) -> str:
    """Say what the headline rests on."""
    info, data, pooled = score.info, score.data, score.pooled
    bins = int(data["window_bins"].sel(window="pooled").sum())
    units = int(data["window_normalized"].sel(window="pooled").notnull().sum())
    text = f"{count(info['n_test_images'], 'held-out image')} of “{info['recording']}”"
    if not units:
        return f"{count(data.sizes['unit'], 'unit')} and {text} were tried; what was found is below."
    return (
        f"Median over {count(units, 'unit')} that tell images apart: r = {number(pooled['r'])}, over {text} "
        f"and {count(bins, 'time bin')} together. Without the time course that all images share, the "
        f"normalised score is {number(pooled['image_driven'])}."
    )


def notices(score: Score) -> list[tuple[str, str]]:
    """Say what keeps the result from being about a brain or a trained model: titles and texts."""
    found = []
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
                f"{score.info['model']} was not trained ({score.info['weights']}). "
                "This score is a baseline for its architecture, not a result for the trained model.",
            )
        )
    if score.info["control"] is not None:
        found.append(
            (
                f"Control: {score.info['control']}",
                f"The map was given {_CONTROLS[score.info['control']]}. "
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
                f"{units} of {count(score.data.sizes['unit'], 'unit')} in the pooled median",
                "their pooled reliability cannot be told from zero, so their normalised score is not defined",
            )
        )
    gaps = int(score.per_bin["r"].isnull().sum())
    if gaps:
        found.append(
            (
                f"{gaps} of {count(score.data.sizes['time_bin'], 'time bin')} in the curves",
                "fewer than half of the units have a reliability there that can be told from zero, as before "
                "the response arrives; they are gaps, not zeros",
            )
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
