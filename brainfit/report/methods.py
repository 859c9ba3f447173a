"""Methods of a score in sentences for a paper, made from its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from brainfit.contracts.presentation import Presentation
from brainfit.figures.numbers import MISSING, count
from brainfit.report.sentences import is_static, window_ms
from brainfit.scoring.evaluation import TRAJECTORY_MS
from brainfit.scoring.result import Score
from brainfit.statistics.bootstrap import MIN_UNITS

FORMULAS = [
    "normalised = r / √(Pearson reliability)",
    "reliability = 2ρ / (1 + ρ)",
    "ceiling = √reliability",
]
_CHOICES = {
    "auto": "which most units chose",
    "committed": "the layer that the model commits to for the region",
}
_CONTROLS = {
    "per-bin": "As a control, each time bin had a map of its own.",
    "time-shuffled": "As a control, the map was given the layer’s steps in another order, the same for all "
    "images.",
    "graded": "As a control, the layer’s answer to an image that stays was scaled by one time course for all "
    "units, fitted to their responses to the training images.",
}


_RANKS = "The Spearman correlation is the plain one with ranks; normalised, it is divided by the ceiling."


def methods(score: Score) -> list[str]:
    """Write the methods of a score in paragraphs."""
    return [
        *_shown([score]),
        _fitted(score),
        _judged(score),
        ceiling(score),
        interval_of(score),
        _software([score]),
    ]


def methods_of_comparison(scores: Sequence[Score]) -> list[str]:
    """Write the methods of several scores and of their comparison in paragraphs."""
    first = scores[0]
    return [
        *_shown(scores),
        *_fits(scores),
        _judged(first),
        ceiling(first),
        interval_of(first),
        "Models were compared in pairs on the same units and held-out images. The difference is the median "
        "over units of one model’s image-driven normalised score less the other’s, and for plain scores "
        "likewise; its interval and two-sided p-value "
        "come from a bootstrap over images and units in which both models get the same images, and p-values "
        "are corrected for the number of pairs in a window (Holm, 1979). The maps were held fixed: the test "
        "refers to new images and units, not to new training images.",
        _software(scores),
    ]


def _shown(scores: Sequence[Score]) -> list[str]:
    """Write what was shown to the models, once for models that were shown the same."""
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
    if experiment := provenance.get("presented_in_experiment"):
        same = all(shown[key] == duration for key, duration in experiment.items())
        durations = "for {on_ms} ms, followed by {off_ms} ms of gray".format(**experiment)
        text += (
            " These are the durations of the experiment."
            if same
            else f" In the experiment, it was shown {durations}."
        )
    if (precision := provenance.get("precision", "float32")) != "float32":
        text += f" The model computed in {precision}, everything after it in float32 or more."
    return f"{text} {_matched(score, shown['step_ms'])}"


def _matched(score: Score, step_ms: int) -> str:
    """Write which model steps a bin was compared with; see `brainfit.scoring.responses.align_bins`."""
    wide = ((score.data["time_bin_end"] - score.data["time_bin_start"]) > 2 * step_ms).values
    bins = "The one time bin" if is_static(score) else "Each time bin"
    if wide.all():
        return f"{bins} of the responses was compared with the model’s mean state in it."
    found = f"{bins} of the responses was compared with the model’s state in the step that holds its centre"
    return f"{found}, one of more than two steps with the mean state in it." if wide.any() else f"{found}."


def _split(score: Score) -> str:
    info = score.info
    fraction, how = (info["provenance"].get(key) for key in ("test_fraction", "images"))
    how = (how or {}).get("split", "")
    share = "some" if fraction is None else f"{100 * fraction:g} %"
    benchmark = f" (benchmark “{info['benchmark']}”)" if info["benchmark"] else ""
    if how == "the recording's own":
        held_out = f"{info['n_test_images']:,} were held out, as the recording prescribes"
    else:
        held_out = (
            f"{share} of the images of each object were held out, to within one image, "
            f"{info['n_test_images']:,} in all"
        )
        held_out += ", drawn among the images with repeated trials" if "without repeats" in how else ""
    return (
        f"Of {count(info['n_images'], 'image')} of the recording “{info['recording']}”{benchmark}, "
        f"{held_out}; maps were fitted to the other {count(info['n_train_images'], 'training image')}. No "
        "trial of a held-out image took part in any fit or choice."
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
    """Write how the layer was chosen; None if it was named."""
    text = _CHOICES.get(choice.get("how", ""))
    if text is None or choice["how"] != "auto":
        return text
    if layers := choice.get("candidates"):
        text += f" of {count(len(layers), 'layer')}"
    if choice.get("tied"):
        text += " (as many chose another, from which the median unit was predicted less well)"
    return f"{text}, by ridge regression on inner folds of the training images"


def _fits(scores: Sequence[Score]) -> list[str]:
    """Write how maps were fitted, once for models with the same method."""
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
    first, last = window_ms(score, "pooled")
    start, end = TRAJECTORY_MS
    return (
        f"{text}, for each unit and time bin. The headline is image-driven: each bin’s mean over images is "
        "taken off prediction, response and trials, and the correlation is taken over images and time bins "
        f"together, from {first:g} to {last:g} ms (pooled), 70 to 130 ms (early) and 130 to 200 ms (late). "
        "The plain score is the same with these means left in; “time course alone” is the plain score of "
        "each unit’s mean response over training images, which does not depend on the image. The temporal "
        f"correlation is that of the predicted with the measured time course from {start} to {end} ms, "
        f"median over images. All numbers are medians over defined units. {_RANKS}"
    )


def ceiling(score: Score) -> str:
    """Write how the noise ceilings were estimated."""
    splits = score.info["provenance"].get("trial_splits")
    often = f"{splits} times" if splits else "repeatedly"
    halving = score.data.attrs.get("halving")
    how = f" ({halving})" if halving else ""
    return (
        "Normalised scores divide Pearson’s r of a unit by the square root of its Pearson reliability over "
        "the same images and bins, image-driven by image-driven and plain by plain. This reliability is "
        "computed in closed form from the variance between the trials of held-out images. A unit whose "
        f"image-driven reliability over {count(score.info['n_test_images'], 'held-out image')} and the bins "
        "of the window is not significantly above zero (F test, 1 %) is undefined and enters no median. "
        "The ceiling that is drawn beside the scores is Spearman’s: trials are split at random into "
        f"halves{how}, each half is averaged, and the halves are correlated over images, {often} (ρ, the "
        "mean; Majaj et al., 2015; Nayebi et al., 2018); the Spearman–Brown formula (Spearman, 1910; "
        "Brown, 1910) extends ρ to all trials, and the ceiling is the square root of this reliability."
    )


def interval_of(score: Score) -> str:
    """Write how the interval was computed."""
    if not np.isfinite(score.headline["ci95"]).all():
        return f"There is no 95% interval, which needs at least {count(MIN_UNITS, 'defined unit')}."
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
