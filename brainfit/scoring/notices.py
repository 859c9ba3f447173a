"""State what keeps a score from being read at face value; the page, the command line and the log print it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from brainfit.contracts.model import Model, holds_image, weights_source
from brainfit.contracts.vocabulary import RANDOM_WEIGHTS, TRAINED_ON_OBJECTS, UNKNOWN_WEIGHTS
from brainfit.support.messages import printable

MIN_SHARE_DEFINED = 0.2
"""Under this share of defined units a score must not be read: what is left was selected by chance."""
DRIFT_SHARE = 0.1
"""Above this share of units whose level drifts, blocks that cannot be told matter."""
EDGE_SHARE = 0.1
"""Above this share of units at an end of the grid of penalties the grid is too short."""


class Notice(NamedTuple):
    """A remark on a score.

    Attributes
    ----------
    title
        A few words.
    text
        One or two sentences.
    """

    title: str
    text: str


def notices(data: xr.Dataset, info: Mapping[str, Any]) -> list[Notice]:
    """Return the remarks on a score, the gravest first.

    Parameters
    ----------
    data, info
        Data and attributes of a `brainfit.scoring.result.Score`.
    """
    return [
        *unit_notices(data["window_defined"].sel(window="pooled").values),
        *_of_trials(info),
        *_of_time_course(data),
        *_of_fit(info),
        *weight_notices(info["weights"], info["provenance"].get("weights_source", "")),
        *picture_notices(info["provenance"].get("images", {})),
    ]


def unit_notices(defined: np.ndarray) -> list[Notice]:
    """Return the remarks on units, of which `defined` says which are defined in the pooled window."""
    if defined.mean() >= MIN_SHARE_DEFINED:
        return []
    text = (
        f"In {int(defined.sum())} of {len(defined)} units trials agree on the images more than chance "
        f"allows. Under {MIN_SHARE_DEFINED:.0%} of the units are left, so the score must not be read; more "
        "trials or more images are needed."
    )
    return [Notice("Do not read this score", text)]


def _of_trials(info: Mapping[str, Any]) -> list[Notice]:
    provenance, found = info["provenance"], []
    if copied := provenance.get("images", {}).get("copied_trials", 0):
        text = (
            f"{copied} images have two trials that are equal to the last bit in all units and bins, so that "
            "one is a copy of the other. Copies share their noise: the reliability is too high and the score "
            "too low; keep one of each."
        )
        found.append(Notice("Copied trials", text))
    n_units, drifting = provenance.get("n_units", 0), provenance.get("drifting_units", 0)
    if drifting <= DRIFT_SHARE * n_units:
        return found
    text = (
        f"The level of {drifting} of {n_units} units differs between positions of the trial axis, but images "
        "differ in their number of trials, so it is not known which trials were recorded together. The "
        "reliability may be too low and the score too high; keep missing trials at their positions, as NaN, "
        "so that each position is one block."
    )
    return [*found, Notice("Trials drift and blocks cannot be told", text)]


def _of_time_course(data: xr.Dataset) -> list[Notice]:
    pooled = data.sel(window="pooled")
    driven, plain, course = (
        _median(pooled[name]) for name in ("window_image_driven", "window_normalized", "window_time_course")
    )
    found = []
    if round(driven, 2) <= 0 < pooled["window_ci95"].values[0]:  # a plain score of chance says nothing
        text = (
            f"The image-driven score is {round(driven, 2) + 0.0:.2f}, the plain pooled score {plain:.2f}: "
            "the plain score comes from the time course that all images share."
        )
        found.append(Notice("Only the time course is predicted", text))
    if data.sizes["time_bin"] > 1 and round(plain, 2) < round(course, 2):
        text = (
            f"The plain pooled score, {plain:.2f}, is below that of the mean time course alone, "
            f"{course:.2f}, which knows nothing about the image."
        )
        found.append(Notice("Below the mean time course", text))
    return found


def _of_fit(info: Mapping[str, Any]) -> list[Notice]:
    fit, found = info["provenance"].get("fit", {}), []
    if not fit.get("converged", True):
        text = "The solver of the linear map stopped before it converged; the score may be too low."
        if n_open := fit.get("units_not_converged"):
            text = (
                f"The solver of the linear map stopped before the penalties of {n_open} units were certain; "
                "lower ones might predict them better, so the score may be too low."
            )
        found.append(Notice("Fit not converged", text))
    n_units = info["provenance"].get("n_units", 0)
    for edge in ("lowest", "highest"):
        at_edge = fit.get(f"units_at_{edge}_alpha", 0)
        if at_edge > EDGE_SHARE * n_units > 0:
            reason = (
                "float precision ends there, and a lower one might predict them better"
                if edge == "lowest"
                else "the layer hardly predicts them, and a higher one would change no correlation"
            )
            text = f"{at_edge} of {n_units} units chose the {edge} penalty of the grid; {reason}."
            found.append(Notice("Penalties at the edge of the grid", text))
    return found


def model_notices(model: Model) -> list[Notice]:
    """Return the remarks on a model that are known before it is scored."""
    text = f"{model.name} sees the image in all its steps, and never the gray that the animals saw after it."
    no_gray = [Notice("No gray after the image", text)] if holds_image(model) else []
    return [*weight_notices(model.weights, weights_source(model)), *no_gray]


def weight_notices(weights: str, source: str = "") -> list[Notice]:
    """Return the remarks on a model's weights, given by their name and their origin."""
    if weights.startswith(RANDOM_WEIGHTS):
        text = (
            f"The weights were drawn and not trained ({weights}). This score is a baseline for the "
            "architecture, not a result for the trained model."
        )
        return [Notice("Random weights", text)]
    if weights.startswith(UNKNOWN_WEIGHTS):
        return [Notice("Unknown weights", f"It is not known where the weights came from ({weights}).")]
    if source.startswith(TRAINED_ON_OBJECTS):
        text = (
            f"The network was trained on rendered objects ({printable(source, longest=300)}), images of the "
            "same kind as those of the simulated recording."
        )
        return [Notice("Trained on rendered objects", text)]
    return []


def picture_notices(images: Mapping[str, Any]) -> list[Notice]:
    """Return the remarks on what the images of a split show (`Responses.split`)."""
    found = []
    if both := images.get("same_picture_in_both", 0):
        text = (
            f"{both} test images show the same picture as a training image, by the recording's own split; "
            "what is known of one is known of the other."
        )
        found.append(Notice("The same pictures in training and test", text))
    elif same := images.get("same_picture", 0):
        text = (
            f"{same} images show the same picture as another image under another name; images of the same "
            "picture were kept together, all in training or all in the test."
        )
        found.append(Notice("Images that show the same picture", text))
    if near := images.get("near_duplicates", 0):
        text = (
            f"{near} test images are nearly the same picture as a training image: their reduced pictures "
            f"differ by less than {images['near_duplicate_threshold']:.1%} of the range of pixels. What is "
            "known of one may be known of the other."
        )
        found.append(Notice("Near-duplicates in training and test", text))
    return found


def _median(values: xr.DataArray) -> float:
    finite = values.values[np.isfinite(values.values)]
    return float(np.median(finite)) if finite.size else float("nan")
