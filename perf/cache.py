"""E3: features that were kept, for another region, against features that are computed."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import harness  # first: it fixes the threads
import numpy as np
import torch
from profiles import busiest

import brainfit
from brainfit.contracts.recording import Recording
from brainfit.features.store import open_store
from brainfit.features.stream import open_features
from brainfit.scoring.request import check_request

LAYER, AT_LEAST = "conv7", 10


def second_region(quick: bool) -> list[dict[str, Any]]:
    """E3: pass over the features of all images as a score does, first and second time, side by side."""
    n_images, size = (16, 64) if quick else (64, 128)
    model = brainfit.load_model("median_convrnn", image_size=size)
    recording = brainfit.load_recording("simulated", n_images=n_images)
    pixels = recording.stimuli.copy(data=recording.stimuli.values)  # drawn once, and not measured
    recording = Recording(recording.name, recording.responses, pixels, recording.simulated)
    sums: dict[str, list[float]] = {"first": [], "second": []}

    def passed(region: str) -> float:
        request = check_request(
            model,
            recording,
            region=region,
            layer=LAYER,
            seed=0,
            execution=brainfit.Execution(batch_size=16),
        )
        images = np.arange(request.recording.n_images)
        with open_features(request.features, request.execution, used=images, again=images[:0]) as features:
            blocks = (block for batch in features.batches(LAYER, images) for block in batch.trajectory.blocks)
            return sum(float(block.double().sum()) for block in blocks)

    def first() -> None:
        open_store().clear()
        sums["first"].append(passed("pIT"))

    def second() -> None:
        sums["second"].append(passed("V4"))

    with tempfile.TemporaryDirectory() as folder:
        before, os.environ["BRAINFIT_CACHE"] = os.environ.get("BRAINFIT_CACHE"), folder
        try:
            first()
            timing = harness.interleaved(second, first, 1 if quick else 3)
            kept = sum(shard.size for shard in open_store().shards())
            profile = [] if timing["ratio"] >= AT_LEAST else busiest(second)
        finally:
            os.environ.pop("BRAINFIT_CACHE")
            if before is not None:
                os.environ["BRAINFIT_CACHE"] = before
    same = len({*sums["first"], *sums["second"]}) == 1
    return [
        harness.row(
            f"E3: features for a second region, {n_images} images, median_convrnn {size} px, layer {LAYER}",
            timing,
            peer="the first run, which computes and keeps them",
            version=torch.__version__,
            at_least=AT_LEAST,
            also=same,
            note=f"{kept / 1e6:.0f} MB read again, {'the same' if same else 'NOT the same'} bits; the second "
            "run's time is mostly for hashing the model, its code and the images",
            profile=lambda: profile,
        )
    ]


WORKLOADS = {"E3": second_region}
