"""Measure the score that a random projection costs: the table in docs/methods.md.

    python perf/projections.py

A layer of a network with random weights against the simulated recording, mapped whole and through so many
random projections, for a few seeds of the split and the projection.
"""

from __future__ import annotations

import numpy as np

import brainfit

MODEL, LAYER, REGION, N_IMAGES, SEEDS = "ff", "conv3", "V4", 320, range(3)
PROJECTIONS = (None, 8192, 4096, 2048, 1024, 512, 256)


def main() -> None:
    """Print the table in Markdown."""
    model = brainfit.load_model(MODEL)
    recording = brainfit.load_recording("simulated", n_images=N_IMAGES)
    print("| projections | normalized | less than the whole layer | image-driven |")
    print("|---|---|---|---|")
    whole = np.array([])
    for projection in PROJECTIONS:
        found = [_score(model, recording, projection, seed) for seed in SEEDS]
        normalized, image_driven = np.array(found).T
        whole = normalized if projection is None else whole
        less = "" if projection is None else f"{np.mean(whole - normalized):.3f}"
        name = "none" if projection is None else f"{projection:,}"
        print(f"| {name} | {normalized.mean():.3f} | {less} | {image_driven.mean():.3f} |", flush=True)


def _score(model: object, recording: object, projection: int | None, seed: int) -> tuple[float, float]:
    options = {"region": REGION, "layer": LAYER, "projection": projection, "seed": seed}
    pooled = brainfit.score(model, recording, **options).pooled  # type: ignore[arg-type]
    return pooled["normalized"], pooled["image_driven"]


if __name__ == "__main__":
    main()
