"""Score a model against a recording. This page is the method.

images -> model -> trajectories -> one linear map for all time bins -> held-out predictions -> Score
                                                 ^                                              ^
trials -> averages -----------------------------'         trials of held-out images -> ceiling -'
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from brainfit.contracts.model import Model
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.recording import Recording
from brainfit.execution import Execution
from brainfit.scoring.evaluation import assemble, check_evaluable
from brainfit.scoring.fitting import fit, make_transform, predict, prepare_responses, split_features
from brainfit.scoring.layer_choice import choose_layer
from brainfit.scoring.notices import Notice, model_notices, picture_notices
from brainfit.scoring.provenance import content_sha256, describe, provenance
from brainfit.scoring.reliability import N_SPLITS
from brainfit.scoring.request import AUTO, TEST_FRACTION, Request, check_request
from brainfit.scoring.responses import Responses
from brainfit.scoring.result import Score
from brainfit.support.memory import peak_bytes
from brainfit.support.progress import progress_bar

_log = logging.getLogger(__name__)


def score(
    model: Model | str,
    recording: Recording | str | Path = "simulated",
    *,
    region: str,
    layer: str = "committed",
    mapping: str = "ridge",
    control: str | None = None,
    projection: int | None = None,
    presentation: Presentation | None = None,
    test_fraction: float = TEST_FRACTION,
    benchmark: str | None = None,
    n_images: int | None = None,
    seed: int = 0,
    execution: Execution | None = None,
) -> Score:
    """Fit one linear map from a layer to each unit of a region, and score it on held-out images.

    Parameters
    ----------
    model
        A model, or its name.
    recording
        A recording with single trials, or its name or path.
    region
        ``V1``, ``V2``, ``V4``, ``pIT``, ``cIT``, ``aIT``, or ``IT`` for the last three.
    layer
        A layer of the model; ``"committed"`` for the one that its author assigned to the region
        (`region_layers`), ``"auto"`` for the one that `brainfit.assign_layers` gives the region, chosen on
        the training images of this score.
    mapping
        ``"ridge"``: exact ridge regression, with a penalty for each unit chosen on inner folds of the
        training images; ``"sgd"``: gradient descent stopped early, as in the paper; ``"pls"``: partial least
        squares with 25 components; ``"factorized"``: a place times a mixture of channels.
    control
        Control for claims about time (`brainfit.mappings.controls`); None for none. ``"per-bin"``: a separate
        map for each time bin; ``"time-shuffled"``: the layer's steps in another order; ``"graded"``: the
        layer's answer to an image that stays on, with one time course for all units, fitted to their
        responses.
    projection
        Number of random projections of the layer's features that are mapped in their place, to save memory;
        it lowers the score. A layer is chosen without it. None for all features.
    presentation
        Timeline of image and gray. By default that of the recording if it has its own, else 100 ms image and
        150 ms gray; in the model's steps.
    test_fraction
        Share of images held out within each object, (0, 1).
    benchmark
        Name to record in the result.
    n_images
        Number of images of the recording to use, balanced over objects; by default all.
    seed
        Seed of the split, the inner folds, the trial halves and the bootstrap.
    execution
        Device, precision, batch size, cache and progress bars; by default the CPU in float32, with features
        cached.

    Returns
    -------
    Score

    Raises
    ------
    UnknownNameError
        If there is no such model, recording, region, layer or mapping.
    ContractError
        If the model or the recording does not have the form it must have.
    ResourceError
        If a stage would not fit into memory; raised before the long work, with what would fit.
    IntegrityError
        If the cache cannot be written; finished features are kept, and the same score continues from there.

    References
    ----------
    Nayebi et al. (2018), arXiv:1807.00053, section 2 and supplement 6.6.
    """
    started = time.monotonic()
    request = check_request(
        model,
        recording,
        region=region,
        layer=layer,
        mapping=mapping,
        control=control,
        projection=projection,
        presentation=presentation,
        test_fraction=test_fraction,
        n_images=n_images,
        seed=seed,
        execution=execution,
        may_choose=True,
    )
    warned = _warn(model_notices(request.model))
    responses = prepare_responses(request)
    check_evaluable(responses)
    warned |= _warn(picture_notices(responses.split))
    request, choice = _with_layer(request, responses, layer)
    with split_features(request, responses) as features:
        transform = make_transform(request, responses, features)
        fitted = fit(request, responses, features, transform)
        predicted = predict(request, responses, fitted, features, transform)
        content, batch_size = content_sha256(responses, features), features.batch_size
    data = _evaluate(request, responses, predicted).assign(alpha=("unit", fitted.alpha_))
    info = {
        **describe(request, responses, data),
        "benchmark": benchmark,
        "seconds": round(time.monotonic() - started, 1),
        "peak_memory_gb": round(peak_bytes() / 1e9, 2),
        "provenance": {
            "layer_choice": choice,
            "fit": {**fitted.summary(), **transform.summary()},
            **provenance(request, responses, data, content, batch_size),
        },
    }
    result = Score(data, info)
    _warn([notice for notice in result.notices if notice not in warned])
    return result


def _warn(notices: list[Notice]) -> set[Notice]:
    """Log each notice as soon as it is known, and return them."""
    for notice in notices:
        _log.warning("%s: %s", *notice)
    return set(notices)


def _with_layer(request: Request, responses: Responses, asked: str) -> tuple[Request, dict[str, Any]]:
    """Return the request with its layer chosen, if that was asked for, and how the layer was chosen."""
    if request.layer != AUTO:
        return request, {"how": "committed" if asked == "committed" else "named"}
    chosen, votes = choose_layer(request, responses)
    return request.with_layers(chosen), {"how": AUTO, **votes}


def _evaluate(request: Request, responses: Responses, predicted: np.ndarray) -> xr.Dataset:
    """Compare predictions with held-out responses, and these with their own trials."""
    mean, n_units, progress = responses.mean, responses.mean.shape[1], request.execution.progress
    with progress_bar("noise ceiling (units)", n_units, shown=progress) as on_progress:
        return assemble(
            predicted,
            mean[responses.test],
            mean[responses.train].mean(axis=0),
            responses.recording.responses.isel(image=responses.test),
            window=responses.recording.response_window,
            pictures=responses.pictures[responses.test],
            n_splits=N_SPLITS,
            seed=request.seed,
            on_progress=on_progress,
        )
