"""The methods of a score in sentences that fit a paper, made from what was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from brainfit.contracts.presentation import Presentation
from brainfit.figures.numbers import MISSING, count
from brainfit.report.sentences import is_static
from brainfit.scoring.evaluation import TRAJECTORY_MS
from brainfit.scoring.result import Score
from brainfit.statistics.bootstrap import MIN_UNITS

FORMULAS = ["reliability = 2ρ / (1 + ρ)", "ceiling = √reliability", "normalised = r / √(Pearson reliability)"]
_CHOICES = {
    "auto": "which most units chose",
    "committed": "to which the model commits for the region",
}
_CONTROLS = {
    "per-bin": "As a control, each time bin had a map of its own.",
    "time-shuffled": "As a control, the map was given the layer’s steps in another order, the same for all "
    "images.",
    "graded": "As a control, the layer’s answer to an image that stays was scaled by one time course for all "
    "units, fitted to their responses to the training images.",
}


_RANKS = "The Spearman correlation is the same with ranks; normalised, it is divided by the ceiling."


def methods(score: Score) -> list[str]:
    """Write how a score was computed, in paragraphs."""
    return [
        *_shown([score]),
        _fitted(score),
        _judged(score),
        ceiling(score),
        interval_of(score),
        _software([score]),
    ]


def methods_of_comparison(scores: Sequence[Score]) -> list[str]:
    """Write how several scores were computed and held against each other, in paragraphs."""
    first = scores[0]
    return [
        *_shown(scores),
        *_fits(scores),
        _judged(first),
        ceiling(first),
        interval_of(first),
        "Models were compared in pairs on the same units and held-out images. The difference is the median "
        "over units of one model’s normalised score less the other’s; its interval and two-sided p-value "
        "come from a bootstrap over images and units in which both models are given the same images and "
        "each unit keeps its reliability, and p-values are corrected for the number of pairs in a window "
        "(Holm, 1979). The maps were held fixed: the test speaks of new images and units, not of new "
        "training images.",
        _software(scores),
    ]


def _shown(scores: Sequence[Score]) -> list[str]:
    """Write what was shown to which models, once for those that were shown the same."""
    groups: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        groups.setdefault((_presented(score), _split(score)), []).append(score)
    return [
        f"Each image was shown to {_who(group)} {presented} {split}"
        for (presented, split), group in groups.items()
    ]


def _who(scores: Sequence[Score]) -> str:
    *others, last = dict.fromkeys(f"{s.info['model']} (weights: {s.info['weights']})" for s in scores)
    return f"{', '.join(others)} and {last}" if others else last


def _presented(score: Score) -> str:
    provenance = score.info["provenance"]
    shown = {**asdict(Presentation()), **provenance.get("presentation", {})}
    where = "before" if shown["background_space"] == "pixel" else "after"
    gray = f"{shown['background']:g} {where} the model’s normalisation of pixels"
    after = f"then gray ({gray}) for {shown['off_ms']} ms" if shown["off_ms"] else "and no gray after it"
    size = f"at {provenance['image_size']} pixels a side " if provenance.get("image_size") else ""
    text = f"{size}for {shown['on_ms']} ms, {after}, in steps of {shown['step_ms']} ms (Nayebi et al., 2018)."
    if (precision := provenance.get("precision", "float32")) != "float32":
        text += f" The model computed in {precision}, all that follows in float32 or more."
    return f"{text} {_matched(score, shown['step_ms'])}"


def _matched(score: Score, step_ms: int) -> str:
    """Write which steps of the model a bin was compared with: the rule is `brainfit.scoring.responses.align_bins`."""
    wide = ((score.data["time_bin_end"] - score.data["time_bin_start"]) > 2 * step_ms).values
    bins = "The one time bin" if is_static(score) else "Each time bin"
    if wide.all():
        return f"{bins} of the responses was compared with the model’s mean state in it."
    found = f"{bins} of the responses was compared with the model’s state in the step that holds its centre"
    return f"{found}, one of more than two steps with the mean state in it." if wide.any() else f"{found}."


def _split(score: Score) -> str:
    info = score.info
    fraction = info["provenance"].get("test_fraction")
    share = "some" if fraction is None else f"{100 * fraction:g} %"
    benchmark = f" (benchmark “{info['benchmark']}”)" if info["benchmark"] else ""
    return (
        f"Of {count(info['n_images'], 'image')} of the recording “{info['recording']}”{benchmark}, {share} "
        f"of the images of each object were held out, to within one image, {info['n_test_images']:,} in all; "
        "maps were fitted to the "
        f"other {count(info['n_train_images'], 'training image')}. No trial of a held-out image took part "
        "in any fit or choice."
    )


def _fitted(score: Score) -> str:
    info, provenance = score.info, score.info["provenance"]
    fit = provenance.get("fit", {})
    fit = {**next(iter(fit.get("per_bin", [])), {}), **fit}
    asides = [_chosen(provenance.get("layer_choice", {}))]
    if projection := fit.get("projection"):
        asides.append(f"projected at random to {projection['n_components']:,} dimensions (Li et al., 2006)")
    aside = ", ".join(filter(None, asides))
    layer = f"The features of layer {info['layer']}{f', {aside},' if aside else ''}"
    one_for_all = info["control"] != "per-bin" and not is_static(score)
    maps = "one linear map for all time bins" if one_for_all else "a linear map"
    control = _CONTROLS.get(info["control"], "")
    how = _map(info, provenance, fit)
    return f"{layer} were mapped to each unit of {info['region']} by {maps}, {how}. {control}".rstrip()


def _chosen(choice: Mapping[str, Any]) -> str | None:
    """Write how the layer was come by; None where it was simply named."""
    text = _CHOICES.get(choice.get("how", ""))
    if text is None or choice["how"] != "auto":
        return text
    if layers := choice.get("candidates"):
        text += f" of {count(len(layers), 'layer')}"
    if choice.get("tied"):
        text += " (as many chose another, from which the median unit was predicted less well)"
    return f"{text}, by ridge regression on inner folds of the training images"


def _fits(scores: Sequence[Score]) -> list[str]:
    """Write how maps were fitted, once for models of which the same is true."""
    groups: dict[str, list[Score]] = {}
    for score in scores:
        groups.setdefault(_fitted(score), []).append(score)
    if len(groups) == 1:
        return list(groups)
    return [f"{_who(group)}: {text}" for text, group in groups.items()]


def _map(info: Mapping[str, Any], provenance: Mapping[str, Any], fit: Mapping[str, Any]) -> str:
    folds = provenance.get("inner_folds")
    inner = f"{folds} inner folds" if folds else "inner folds"
    match info["mapping"]:
        case "ridge":
            text = (
                "fitted by ridge regression (Hoerl and Kennard, 1970) with a penalty for each unit, chosen "
            )
            if alphas := fit.get("relative_alphas"):
                low, high, n = alphas
                text += f"from {n} between {low:g} and {high:g} times the mean eigenvalue "
                text += "of the features’ Gram matrix, "
            return f"{text}by the held-out error on {inner} of the training images"
        case "sgd":
            return f"fitted by stochastic gradient descent (Nayebi et al., 2018){_descent(fit, 'features')}"
        case "pls":
            found = [one["n_components"] for one in [*fit.get("per_bin", []), fit] if "n_components" in one]
            n = " to ".join(map(str, dict.fromkeys([min(found), max(found)]))) if found else "up to 25"
            return f"fitted by partial least squares with {n} components (Wold et al., 2001)"
        case "factorized":
            return (
                "a place in the feature map times a mixture of channels (Klindt et al., 2017, there with a "
                f"penalty instead of early stopping), fitted by gradient descent{_descent(fit, 'channels')}"
            )
    return f"fitted by “{info['mapping']}”"


def _descent(fit: Mapping[str, Any], per: str) -> str:
    text = ""
    if rate := fit.get("learning_rate"):
        text = (
            f" (Adam; Kingma and Ba, 2015; learning rate {rate:g} over the square root of the number of "
            f"{per}, {fit['batch_images']} images a batch)"
        )
    return f"{text} and stopped for each unit where it best predicted a held-out fold of the training images"


def _judged(score: Score) -> str:
    text = "Predictivity, r, is the Pearson correlation over held-out images between prediction and "
    text += "trial-averaged response"
    if is_static(score):
        return f"{text}, for each unit; everything reported is a median over defined units. {_RANKS}"
    start, end = TRAJECTORY_MS
    return (
        f"{text}, for each unit and time bin. Pooled, early (70 to 130 ms) and late (130 to 200 ms) scores "
        "correlate over images and time bins together; the pooled window has the bins in which at least "
        "half of the units have a reliable response. The temporal correlation is that of the predicted "
        f"with the measured time course from {start} to {end} ms, median over images. Everything reported "
        f"is a median over defined units. {_RANKS} Two numbers say how much of a score over time is owed to "
        "the image: “time course alone” is the score of each unit’s mean response over training images, the "
        "same for every image; “image-driven” is the score once each bin’s mean over images is taken off "
        "prediction and responses."
    )


def ceiling(score: Score) -> str:
    """Write how the noise ceiling was estimated."""
    splits = score.info["provenance"].get("trial_splits")
    often = f"{splits} times" if splits else "again and again"
    return (
        "The noise ceiling comes from the trials of held-out images: they are split at random into halves, "
        f"each half is averaged, and the halves are correlated over images, {often} (ρ, the mean split-half "
        "correlation; Majaj et al., 2015; Nayebi et al., 2018). The Spearman–Brown formula (Spearman, "
        "1910; Brown, 1910) carries that over to all trials, and the square root of this reliability is "
        "the largest correlation that a perfect model can have. Ceilings are Spearman where nothing else is "
        "said; the normalised score divides Pearson’s r by the square root of the Pearson reliability, like "
        "by like. A unit whose split-half correlations, Spearman and Pearson, do not both exceed 1.645 / "
        f"√(n − 1), n = {count(score.info['n_test_images'], 'image')}, is not defined and counts in no "
        "median; over the bins of a window, they must exceed it also once each bin’s mean over images is "
        "taken off."
    )


def interval_of(score: Score) -> str:
    """Write what the interval is."""
    if not np.isfinite(score.pooled["ci95"]).all():
        return f"There is no 95% interval: it takes at least {count(MIN_UNITS, 'defined unit')}."
    return (
        "The 95% interval is the median ± Student’s t times a standard error from a bootstrap over images "
        "and units (Owen, 2007), in which every unit’s score and reliability are computed anew; the fitted "
        "map is held fixed."
    )


def _software(scores: Sequence[Score]) -> str:
    used = [score.info["provenance"].get("versions", {}) for score in scores]
    names = {"brainfit": "brainfit", "torch": "PyTorch", "scikit-learn": "scikit-learn", "numpy": "NumPy"}
    parts = [
        f"{name} {' and '.join(dict.fromkeys(str(each[key]) for each in used if key in each))}"
        for key, name in names.items()
        if any(key in each for each in used)
    ]
    seeds = ", ".join(dict.fromkeys(str(score.info["seed"]) for score in scores))
    return f"Computed with {', '.join(parts) or MISSING}; random seed {seeds}."
