"""Describe a score: what was scored, by which settings, and from which data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import xarray as xr

from brainfit.contracts.model import weights_source
from brainfit.contracts.recording import Recording
from brainfit.features.stream import Features
from brainfit.scoring.reliability import N_SPLITS
from brainfit.scoring.request import N_FOLDS, Request
from brainfit.scoring.responses import Responses
from brainfit.statistics.reliability import ALPHA
from brainfit.support.messages import printable
from brainfit.support.provenance import ContentHash, environment, weights_sha256


def describe(request: Request, responses: Responses, data: xr.Dataset) -> dict[str, Any]:
    """Return the names and counts of a score, and everything that was left out of it."""
    undefined = int((~data["defined"]).sum())
    responses.dropped.add("unit x bin pairs", undefined, "reliability not distinguishable from zero")
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


def provenance(
    request: Request, responses: Responses, data: xr.Dataset, content: str, batch_size: int
) -> dict[str, Any]:
    """Return the settings, versions and hashes of a score.

    Parameters
    ----------
    data
        The variables of the score.
    content
        Hash of the images and responses (`content_sha256`).
    batch_size
        Number of images that went through the model together.
    """
    edges = zip(data["window_start_ms"].values.tolist(), data["window_end_ms"].values.tolist(), strict=True)
    return {
        "presentation": asdict(request.features.presentation),
        "presented_in_experiment": _in_experiment(request.recording),
        "recording": {**responses.recording.provenance, "sha256": content},
        "weights_sha256": weights_sha256(request.model),
        "weights_source": printable(weights_source(request.model), longest=300),
        "image_size": request.model.image_size,
        "batch_size": batch_size,
        "device": request.execution.device,
        "precision": request.execution.precision,
        "test_fraction": request.test_fraction,
        "images": responses.split,
        "inner_folds": N_FOLDS,
        "trial_splits": N_SPLITS,
        "windows_ms": dict(zip(data["window"].values.tolist(), map(list, edges), strict=True)),
        "halving": data.attrs["halving"],
        "drifting_units": data.attrs["drifting_units"],
        "defined": f"image-driven reliability above zero, F test, one-sided {ALPHA:.0%}",
        "n_units": data.sizes["unit"],
        **environment(),
    }


def _in_experiment(recording: Recording) -> dict[str, int] | None:
    """Return the durations of image and gray in the experiment, in ms, or None if they are not known."""
    replaced = recording.provenance.get("as_given_instead_of", {})
    given = recording.provenance.get("as_given", {})
    own = {"on_ms": recording.on_ms, "off_ms": recording.off_ms, **replaced}
    unknown = any(value is None or (key in given and key not in replaced) for key, value in own.items())
    return None if unknown else own


def content_sha256(responses: Responses, features: Features) -> str:
    """Hash the images and responses that were used; the same for every split."""
    used = np.union1d(responses.train, responses.test)
    content = ContentHash()
    content.update("images", features.pixel_hashes(used))
    content.update("responses", responses.mean[used])
    return content.hexdigest()
