"""Score a model against a recording. This page is the method.

images -> model -> trajectories -> one linear map for all time bins -> held-out predictions -> Score
                                                 ^                                              ^
trials -> averages -----------------------------'         trials of held-out images -> ceiling -'
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from brainfit.contracts.model import Model
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.recording import Recording
from brainfit.errors import ContractError
from brainfit.execution import Execution
from brainfit.features.stream import Features
from brainfit.scoring.evaluation import assemble
from brainfit.scoring.fitting import fit, make_transform, predict, prepare_responses, split_features
from brainfit.scoring.layer_choice import choose_layer
from brainfit.scoring.reliability import N_SPLITS
from brainfit.scoring.request import AUTO, N_FOLDS, TEST_FRACTION, Request, check_request
from brainfit.scoring.responses import Responses
from brainfit.scoring.result import Score
from brainfit.statistics.reliability import ALPHA
from brainfit.support.memory import peak_bytes
from brainfit.support.progress import progress_bar
from brainfit.support.provenance import ContentHash, environment, weights_sha256

_log = logging.getLogger(__name__)
MIN_TEST_IMAGES = 4
"""With fewer, a correlation over images says next to nothing."""


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
        A layer of the model; ``"committed"`` is the one it commits to for the region, ``"auto"`` the one
        that `brainfit.assign_layers` gives the region, chosen on the training images of this score.
    mapping
        ``"ridge"``: exact ridge regression, with a penalty for each unit chosen on inner folds of the
        training images; ``"sgd"``: gradient descent stopped early, as in the paper; ``"pls"``: partial least
        squares with 25 components; ``"factorized"``: a place times a mixture of channels.
    control
        One of `brainfit.mappings.controls`, if any: ``"per-bin"``, a map of its own for each time bin;
        ``"time-shuffled"``, the layer's steps in another order; ``"graded"``, the layer's answer to an image
        that stays, with one time course for all units, fitted to their responses.
    projection
        Map so many random projections of the layer's features rather than the features; it costs score.
        A choice of the layer is made without it.
    presentation
        What the model is shown; by default 100 ms image, 150 ms gray, in the model's steps.
    test_fraction
        Share of images held out within each object.
    benchmark
        Name to record in the result.
    n_images
        Use so many images of the recording, balanced over objects; by default all.
    seed
        Seed of the split, the inner folds, the trial halves and the bootstrap.
    execution
        Where and how the work runs: device, precision, batch size, cache, progress bars. By default on the
        CPU in float32, with features cached.

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
        If a stage would not fit into memory; said before the long work, with what would fit.
    IntegrityError
        If the cache cannot be written; what was finished is kept, and the same score goes on from there.

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
    responses = prepare_responses(request)
    _require_test_images(responses)
    choice: dict[str, Any] = {"how": layer if layer in ("committed", AUTO) else "named"}
    if request.layer == AUTO:
        chosen, summary = choose_layer(request, responses)
        request, choice = request.with_layers(chosen), {**choice, **summary}
    with split_features(request, responses) as features:
        transform = make_transform(request, responses, features)
        fitted = fit(request, responses, features, transform)
        predicted = predict(request, responses, fitted, features, transform)
        content, batch_size = _content(responses, features), features.batch_size
    data = _evaluate(request, responses, predicted)

    undefined = int((~data["defined"]).sum())
    responses.dropped.add("unit x bin pairs", undefined, "reliability not distinguishable from zero")
    info = {
        **_description(request, responses),
        "benchmark": benchmark,
        "seconds": round(time.monotonic() - started, 1),
        "peak_memory_gb": round(peak_bytes() / 1e9, 2),
        "provenance": {
            "layer_choice": choice,
            **_provenance(
                request, responses, {**fitted.summary(), **transform.summary()}, content, batch_size
            ),
            **_of_evaluation(data),
            "images": responses.split,
        },
    }
    result = Score(data.assign(alpha=("unit", fitted.alpha_)), info)
    for notice in result.notices:
        _log.warning("%s: %s", notice.title, notice.text)
    return result


def _require_test_images(responses: Responses) -> None:
    if len(responses.test) < MIN_TEST_IMAGES:
        raise ContractError(
            f"{len(responses.test)} test images: with fewer than {MIN_TEST_IMAGES} a correlation over "
            "images means nothing; give more images"
        )


def _content(responses: Responses, features: Features) -> str:
    """Hash the images and responses that were used, whatever the split."""
    used = np.union1d(responses.train, responses.test)
    content = ContentHash()
    content.update("images", features.pixel_hashes(used))
    content.update("responses", responses.mean[used])
    return content.hexdigest()


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
            n_splits=N_SPLITS,
            seed=request.seed,
            on_progress=on_progress,
        )


def _description(request: Request, responses: Responses) -> dict[str, Any]:
    return {
        "model": request.model.name,
        "recording": request.recording.name,
        "region": request.region,
        "layer": request.layer,
        "mapping": request.mapping,
        "control": request.control,
        "seed": request.seed,
        "n_images": len(responses.train) + len(responses.test),
        "n_train_images": len(responses.train),
        "n_test_images": len(responses.test),
        "weights": request.model.weights,
        "simulated": request.recording.simulated,
        "dropped": responses.dropped.records,
    }


def _of_evaluation(data: xr.Dataset) -> dict[str, Any]:
    """Return what the evaluation was made of: windows, halves, and the rule by which units count."""
    edges = zip(data["window_start_ms"].values.tolist(), data["window_end_ms"].values.tolist(), strict=True)
    return {
        "windows_ms": dict(zip(data["window"].values.tolist(), map(list, edges), strict=True)),
        "halving": data.attrs["halving"],
        "defined": f"image-driven reliability above zero, F test, one-sided {ALPHA:.0%}",
        "n_units": data.sizes["unit"],
    }


def _provenance(
    request: Request,
    responses: Responses,
    fit_summary: dict[str, Any],
    content: str,
    batch_size: int,
) -> dict[str, Any]:
    return {
        "presentation": asdict(request.features.presentation),
        "recording": {**responses.recording.provenance, "sha256": content},
        "weights_sha256": weights_sha256(request.model),
        "image_size": request.model.image_size,
        "batch_size": batch_size,
        "device": request.execution.device,
        "precision": request.execution.precision,
        "test_fraction": request.test_fraction,
        "inner_folds": N_FOLDS,
        "trial_splits": N_SPLITS,
        "fit": fit_summary,
        **environment(),
    }
