"""Score a model against a recording. This page is the method.

images -> model -> trajectories -> one linear map for all time bins -> held-out predictions -> Score
                                                 ^                                              ^
trials -> averages -----------------------------'         trials of held-out images -> ceiling -'
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brainfit.arguments import one_of, whole_number
from brainfit.assembly import assemble
from brainfit.errors import ContractError
from brainfit.extraction import extract
from brainfit.mappings.krylov import MIN_WIDTH
from brainfit.mappings.ridge import Ridge
from brainfit.memory import check_memory, peak_gib
from brainfit.model_contract import check_attributes
from brainfit.names import unknown_name
from brainfit.presentation import Presentation
from brainfit.progress import progress_bar
from brainfit.protocols import Model
from brainfit.provenance import ContentHash, environment, weights_sha256
from brainfit.recording import Recording, check_recording
from brainfit.registry import load_model, load_recording
from brainfit.responses import (
    Dropped,
    align_bins,
    average_trials,
    complete_units,
    require_trials,
    seen_images,
)
from brainfit.result import Score
from brainfit.splits import image_folds, sample_images, train_test_split

MAPPINGS = ("ridge",)
DEVICES = ("cpu", "cuda")
N_FOLDS = 5
N_SPLITS = 100


def score(
    model: Model | str,
    recording: Recording | str | Path = "simulated",
    *,
    region: str,
    layer: str = "committed",
    mapping: str = "ridge",
    presentation: Presentation | None = None,
    test_fraction: float = 0.25,
    benchmark: str | None = None,
    n_images: int | None = None,
    batch_size: int = 16,
    device: str = "cpu",
    seed: int = 0,
    progress: bool = False,
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
        A layer of the model; ``"committed"`` is the one it commits to for the region.
    mapping
        ``"ridge"``: exact ridge regression shared over time bins, with a penalty for each unit
        chosen on inner folds of the training images.
    presentation
        What the model is shown; by default 100 ms image, 150 ms gray, in the model's steps.
    test_fraction
        Share of images held out within each object.
    benchmark
        Name to record in the result.
    n_images
        Use so many images of the recording, balanced over objects; by default all.
    batch_size
        Images that go through the model together; the result depends on it by rounding only.
    device
        ``"cpu"`` or ``"cuda"``.
    seed
        Of the split, the inner folds, the trial halves and the bootstrap.
    progress
        Whether to show progress bars on stderr.

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
        If the fit would not fit into memory.

    References
    ----------
    Nayebi et al. (2018), arXiv:1807.00053, section 2 and supplement 6.6.
    """
    started = time.monotonic()
    seed = whole_number("seed", seed)
    batch_size = whole_number("batch_size", batch_size, least=1)
    if mapping not in MAPPINGS:
        raise unknown_name("mapping", mapping, MAPPINGS)
    model = _model(model, device)
    presentation = _presentation(presentation, model)
    recording = _region(recording, region, n_images, seed)
    layer = _layer(model, layer, region)

    # Which responses: the bins the presentation reaches, images split within object.
    dropped = Dropped()
    require_trials(recording)
    recording, steps = align_bins(recording, presentation, dropped)
    with progress_bar("average trials (images)", recording.n_images, shown=progress) as advance:
        averages = average_trials(recording.responses, advance)
    seen = seen_images(averages, dropped)
    objects = recording.responses["object_name"].values[seen]
    train, test = (seen[part] for part in train_test_split(objects, test_fraction=test_fraction, seed=seed))
    units = complete_units(averages, train, test, dropped)
    recording, mean = recording.select_units(units), averages.mean[:, units]
    folds = image_folds(recording.responses["object_name"].values[train], N_FOLDS, seed=seed)

    # Fit: one map for all bins, from features that stream through and are never held whole.
    content = ContentHash()
    ridge = Ridge(seed=seed)
    done = 0
    options: dict[str, Any] = {"batch_size": batch_size, "device": device}
    with progress_bar("unroll training images", len(train), shown=progress) as advance:
        for batch in extract(model, layer, recording.stimuli, train, presentation, **options):
            some = slice(done, done + len(batch.images))
            ridge.partial_fit(batch.trajectory.average(steps), mean[batch.images], folds[some])
            content.update("pixels", batch.pixels)
            if done == 0:
                _check_fit(ridge, len(batch.images), len(train), mean.shape[1])
            done = some.stop
            advance(len(batch.images))
    with progress_bar("fit ridge (passes, at most)", ridge.max_blocks, shown=progress) as advance:
        ridge.solve(lambda: advance(1))

    # Predict and judge held-out images.
    predictions = []
    with progress_bar("unroll test images", len(test), shown=progress) as advance:
        for batch in extract(model, layer, recording.stimuli, test, presentation, **options):
            predictions.append(ridge.predict(batch.trajectory.average(steps), len(batch.images)))
            content.update("pixels", batch.pixels)
            advance(len(batch.images))
    with progress_bar("noise ceiling (units, thrice)", 3 * mean.shape[1], shown=progress) as advance:
        data = assemble(
            np.concatenate(predictions),
            mean[test],
            mean[train].mean(axis=0),
            recording.responses.isel(image=test),
            n_splits=N_SPLITS,
            seed=seed,
            advance=advance,
        )
    content.update("responses", mean[np.concatenate([train, test])])
    undefined = int((~data["defined"]).sum())
    dropped.add("unit x bin pairs", undefined, "split-half correlation not distinguishable from zero")

    info = {
        "model": model.name,
        "recording": recording.name,
        "benchmark": benchmark,
        "region": region,
        "layer": layer,
        "mapping": mapping,
        "seed": seed,
        "n_images": len(train) + len(test),
        "n_train_images": len(train),
        "n_test_images": len(test),
        "weights": model.weights,
        "simulated": recording.simulated,
        "dropped": dropped.records,
        "seconds": round(time.monotonic() - started, 1),
        "peak_memory_gb": round(peak_gib(), 2),
        "provenance": {
            "presentation": asdict(presentation),
            "recording": {**recording.provenance, "sha256": content.hexdigest()},
            "weights_sha256": weights_sha256(model),
            "image_size": model.image_size,
            "batch_size": batch_size,
            "device": device,
            "test_fraction": test_fraction,
            "inner_folds": N_FOLDS,
            "trial_splits": N_SPLITS,
            "fit": ridge.summary(),
            **environment(),
        },
    }
    return Score(data.assign(alpha=("unit", ridge.alpha_)), info)


def _model(model: Model | str, device: str) -> Model:
    model = load_model(model) if isinstance(model, str) else model
    check_attributes(model)
    if one_of("device", device, DEVICES) == "cuda" and not torch.cuda.is_available():
        raise ContractError("device 'cuda' was asked for, but torch sees no GPU; use device 'cpu'")
    if isinstance(model, torch.nn.Module):
        model.to(device)
    return model


def _presentation(presentation: Presentation | None, model: Model) -> Presentation:
    if presentation is None:
        return Presentation(step_ms=model.step_ms)
    if not isinstance(presentation, Presentation):
        raise ContractError(f"presentation is a brainfit.Presentation, got {type(presentation).__name__}")
    if presentation.step_ms != model.step_ms:
        raise ContractError(
            f"model {model.name!r} takes steps of {model.step_ms} ms, the presentation has "
            f"{presentation.step_ms} ms; give a presentation with step_ms={model.step_ms}"
        )
    return presentation


def _region(recording: Recording | str | Path, region: str, n_images: int | None, seed: int) -> Recording:
    """Load the recording if it is a name, and keep the region's units and as many images as asked for."""
    if not isinstance(recording, Recording):
        recording = load_recording(recording, n_images=n_images)
    check_recording(recording)
    recording = recording.select_region(region)
    if n_images is None or n_images == recording.n_images:
        return recording
    names = recording.responses["object_name"].values
    return recording.select_images(sample_images(names, n_images, seed=seed))


def _layer(model: Model, layer: str, region: str) -> str:
    if layer != "committed":
        if layer not in model.layers:
            raise unknown_name("layer", layer, model.layers)
        return layer
    if region not in model.region_layers:
        raise ContractError(
            f"model {model.name!r} commits to no layer for region {region!r}; "
            f"name one of its layers: {', '.join(model.layers)}"
        )
    return model.region_layers[region]


def _check_fit(ridge: Ridge, n_seen: int, n_train: int, n_units: int) -> None:
    """Refuse, after the first batch and before the long work, a fit that memory cannot hold."""
    n_features = len(ridge.shift_)
    width = min(max(n_units, MIN_WIDTH), n_features)
    held = ridge.row_bytes
    needed = {
        "compressed features": held * (n_train - n_seen) / n_seen,
        # For each inner fold and the final fit: the basis, and the products of the newest block.
        "solver": 4.0 * n_features * width * (N_FOLDS + 1) * (ridge.max_blocks / 2 + 4),
    }
    check_memory(needed, "lower the number of images or the batch size, or choose a smaller layer or region")
