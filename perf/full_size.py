"""What a score costs at the paper's size: 5,120 images x 256 units x 25 bins, the median ConvRNN at 128 px.

``python perf/full_size.py --images 128,256,512`` scores so many images of the simulated recording end to end,
each in a process of its own with an empty cache, and draws a line through time and memory out to 5,120. All
256 units are fitted from the layer of pIT, whatever their region.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

FULL = 5120
LIMIT_GB = 8
STAGES = {
    "average trials": "prepare_request",
    "unroll and take in": "take_in",
    "unroll and fit": "_fit",
    "predict": "predict",
    "ceilings and intervals": "_judge",
}
"""Functions of `brainfit.scoring`; fitting alone is the third less the second."""


def main() -> None:
    """Print a row for each number of images, then what they come to at full size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", default="128,256,512", help="how many, apart by commas")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(run(options.one)))
        return
    runs = []
    for n_images in map(int, options.images.split(",")):
        runs.append(in_a_process(n_images))
        print(line(runs[-1]), flush=True)
    if len(runs) > 1:
        print(line(extrapolated(runs)))


def run(n_images: int) -> dict[str, Any]:
    """Score `n_images` images and time the stages, in this process."""
    from brainfit import registry, scoring
    from brainfit.memory import peak_gib

    recording = registry.load_recording("simulated", n_images=n_images)
    units = recording.responses.sizes["unit"]
    responses = recording.responses.assign_coords(region=("unit", ["pIT"] * units))
    took: dict[str, float] = {}
    for stage, name in STAGES.items():
        setattr(scoring, name, timed(getattr(scoring, name), stage, took))
    start = time.perf_counter()
    score = scoring.score("median_convrnn", replace(recording, responses=responses), region="pIT")
    took["whole"] = time.perf_counter() - start
    took["fit"] = took.pop("unroll and fit") - took["unroll and take in"]
    return {
        "images": n_images,
        "seconds": took,
        "peak_gb": peak_gib() * 2**30 / 1e9,
        "normalized": score.pooled["normalized"],
    }


def timed(function: Callable[..., Any], stage: str, took: dict[str, float]) -> Callable[..., Any]:
    """Let a function note how long it took."""

    def call(*args: Any, **options: Any) -> Any:
        start = time.perf_counter()
        result = function(*args, **options)
        took[stage] = time.perf_counter() - start
        return result

    return call


def in_a_process(n_images: int) -> dict[str, Any]:
    """Run in a new process, which has a peak of its own, and with a cache of its own."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, __file__, "--one", str(n_images)],
            env={**os.environ, "XDG_CACHE_HOME": folder, "OMP_WAIT_POLICY": "passive"},
            stdout=subprocess.PIPE,
            check=True,
        )
    return json.loads(done.stdout)


def extrapolated(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Draw a line through each stage's time and the memory."""
    images = [run["images"] for run in runs]

    def at_full_size(values: list[float]) -> float:
        slope, offset = np.polyfit(images, values, 1)
        return float(slope * FULL + offset)

    stages = runs[0]["seconds"]
    return {
        "images": FULL,
        "seconds": {stage: at_full_size([run["seconds"][stage] for run in runs]) for stage in stages},
        "peak_gb": at_full_size([run["peak_gb"] for run in runs]),
        "normalized": None,
        "share": max(images) / FULL,
    }


def line(found: dict[str, Any]) -> str:
    """Return one line for people."""
    stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in found["seconds"].items())
    end = (
        f"extrapolated from {100 * found['share']:.2g} % of the images; limit {LIMIT_GB} GB"
        if "share" in found
        else f"normalised {found['normalized']:.3f}"
    )
    return f"{found['images']:,} images: {stages} s; peak {found['peak_gb']:.2f} GB; {end}"


if __name__ == "__main__":
    main()
