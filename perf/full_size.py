"""Measure a score at the paper's size: 5,120 images x 256 units x 25 bins, the median ConvRNN at 128 px.

``python perf/full_size.py --images 5120 --json perf/full_size.json`` does it, in half an hour or so, and
writes a row for the page of docs. The peak is that of the process, libraries included.

``python perf/full_size.py --images 128,256,512`` scores so many images of the simulated recording end to end,
each in a process of its own with an empty cache, and draws a line through the time out to 5,120. All 256
units are fitted from the layer of pIT, whatever their region. Its memory says nothing about that of 5,120:
so few images are less than what is held at once.

``python perf/full_size.py --memory --images 1280,2560`` finds the memory: the same score with a model that
answers at once, with as many features and distinct steps as that layer has, of spike counts that are drawn as
they are read. What the network itself takes, which does not grow with images, is not in it.
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
from pathlib import Path
from typing import Any

import harness  # first: it fixes the threads
import numpy as np

FULL, N_UNITS = 5120, 256
LIMIT_GB = 8
LEAST = 0.1  # of the images, to draw time out to all of them
STAGES = {
    "average trials": "prepare_responses",
    "extract and fit": "fit",
    "predict": "predict",
    "ceilings and intervals": "_evaluate",
}
"""Functions of `brainfit.scoring.score`."""
FEATURES, FIRST_STEP = (256, 4, 4), 6
"""Shape of the pIT layer at 128 px, and the first step in which it differs between images."""


def main() -> None:
    """Print a row for each number of images, then what they come to at full size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", default="128,256,512", help="how many, apart by commas")
    parser.add_argument("--memory", action="store_true", help="with a model that answers at once")
    parser.add_argument("--json", type=Path, help="where to write what came out, as a row of results")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.json and options.memory:
        parser.error("--json wants times, --memory has none: give one of them")
    if options.one:
        print(json.dumps(run(options.one, options.memory)))
        return
    runs = []
    for n_images in map(int, options.images.split(",")):
        runs.append(run_apart(n_images, options.memory))
        print(line(runs[-1]), flush=True)
    if len(runs) > 1:
        runs.append(extrapolated(runs, options.memory))
        print(line(runs[-1]))
    if options.json:
        import bench

        bench.write_rows(options.json, [bench.stamped(row(runs))])


def run(n_images: int, memory: bool) -> dict[str, Any]:
    """Score `n_images` images, time the stages and note the peak after each, in this process."""
    from brainfit.registry import lookup
    from brainfit.scoring import score as scoring
    from brainfit.support.memory import peak_bytes

    if memory:
        model, recording = StandIn(), drawn(n_images)
    else:
        model, recording = "median_convrnn", lookup.load_recording("simulated", n_images=n_images)
    units = recording.responses.sizes["unit"]
    responses = recording.responses.assign_coords(region=("unit", ["pIT"] * units))
    took: dict[str, float] = {}
    peaks: dict[str, float] = {"before": peak_bytes() / 1e9}
    for stage, name in STAGES.items():
        setattr(scoring, name, timed(getattr(scoring, name), stage, took, peaks))
    start = time.perf_counter()
    score = scoring.score(model, replace(recording, responses=responses), region="pIT")
    took["whole"] = time.perf_counter() - start
    peaks["whole"] = peak_bytes() / 1e9  # what is put together after the last stage, too
    return {
        "images": n_images,
        "seconds": took,
        "peak_gb": peaks["whole"],
        "peaks": peaks,
        "normalized": score.pooled["normalized"],
    }


class StandIn:
    """Answers with some pixels under a gain and a threshold of their own at each step."""

    name, step_ms, image_size, weights = "stand-in", 10, 128, "random:0"
    layers, region_layers = ("layer",), {"pIT": "layer"}

    def unroll(self, images: Any, presentation: Any, layers: Any) -> dict[str, Any]:
        """Return a block for all images until `FIRST_STEP`, then one for each image and step."""
        import torch

        from brainfit.contracts.trajectory import Trajectory

        rng, size = torch.Generator().manual_seed(0), int(np.prod(FEATURES))
        gain, threshold = torch.randn(2, presentation.n_steps, size, generator=rng)
        pixels = images.flatten(1)[:, torch.randperm(images[0].numel(), generator=rng)[:size]]
        steps = [
            ((pixels if step >= FIRST_STEP else torch.zeros(1, size)) * gain[step] - threshold[step])
            .relu_()
            .reshape(-1, *FEATURES)
            for step in range(presentation.n_steps)
        ]
        return {layer: Trajectory.from_steps(steps) for layer in layers}


def drawn(n_images: int) -> Any:
    """Return a recording whose responses and images are drawn as they are read."""
    import xarray as xr
    from ceilings import lazy_responses

    from brainfit.contracts.recording import Recording
    from brainfit.support.lazy_arrays import lazy_variable

    def pixels(image: np.ndarray, height: np.ndarray, width: np.ndarray, channel: np.ndarray) -> np.ndarray:
        made = [np.random.default_rng(k).integers(0, 256, (128, 128, 3), np.uint8) for k in image]
        return np.stack(made)[:, height][:, :, width][..., channel]

    shape = (n_images, 128, 128, 3)
    stimuli = xr.DataArray(lazy_variable(("image", "height", "width", "channel"), shape, np.uint8, pixels))
    images, units = np.arange(n_images), np.arange(N_UNITS)
    names = {
        "image_id": ("image", np.char.add("image", images.astype(str))),
        "object_name": ("image", np.char.add("object", (images % 64).astype(str))),
        "category_name": ("image", np.char.add("category", (images % 8).astype(str))),
        "variation": ("image", np.full(n_images, 3)),
        "unit_id": ("unit", np.char.add("unit", units.astype(str))),
        "region": ("unit", ["pIT"] * N_UNITS),
        "animal": ("unit", ["none"] * N_UNITS),
        "array": ("unit", ["none"] * N_UNITS),
    }
    responses = lazy_responses(n_images, N_UNITS).assign_coords(names)
    return Recording("drawn", responses, stimuli, simulated=True)


def timed(
    function: Callable[..., Any], stage: str, took: dict[str, float], peaks: dict[str, float]
) -> Callable[..., Any]:
    """Let a function note how long it took, and the largest resident memory until its end."""
    from brainfit.support.memory import peak_bytes

    def call(*args: Any, **options: Any) -> Any:
        start = time.perf_counter()
        result = function(*args, **options)
        took[stage] = time.perf_counter() - start
        peaks[stage] = peak_bytes() / 1e9
        print(f"{stage}: {took[stage]:.1f} s, peak {peaks[stage]:.2f} GB", file=sys.stderr, flush=True)
        return result

    return call


def run_apart(n_images: int, memory: bool) -> dict[str, Any]:
    """Run in a new process, which has a peak of its own, and with a cache of its own."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, __file__, "--one", str(n_images), *(["--memory"] if memory else [])],
            env={**os.environ, "BRAINFIT_CACHE": folder},
            stdout=subprocess.PIPE,
            check=True,
        )
    return json.loads(done.stdout)


def extrapolated(runs: list[dict[str, Any]], memory: bool) -> dict[str, Any]:
    """Draw a line through the memory, or through each stage's time; there is nothing of the other."""
    images = [run["images"] for run in runs]

    def at_full_size(values: list[float]) -> float:
        slope, offset = np.polyfit(images, values, 1)
        return float(slope * FULL + offset)

    stages = [] if memory else runs[0]["seconds"]
    return {
        "images": FULL,
        "seconds": {stage: at_full_size([run["seconds"][stage] for run in runs]) for stage in stages},
        "peak_gb": at_full_size([run["peak_gb"] for run in runs]) if memory else None,
        "share": max(images) / FULL,
    }


def row(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return E2, of the last of some runs, which may be extrapolated from the others."""
    last, done = runs[-1], max(run["images"] for run in runs if "share" not in run)
    gb = last["peak_gb"]
    missed = [] if last["images"] == FULL and done >= LEAST * FULL else [f"{done:,} of {FULL:,} images"]
    if gb is None or gb > LIMIT_GB:
        missed.append("no memory measured" if gb is None else harness.exceeds(gb, LIMIT_GB, "GB"))
    found = harness.alone(
        f"E2: {last['images']:,} images x {N_UNITS} units x 25 bins, median_convrnn 128 px",
        last["seconds"]["whole"],
        target=f"<= {LIMIT_GB} GB, time stated",
        missed=missed,
        ours_gb=gb,
        note=f"done with {done:,} images; {line(last)}",
    )
    curve = [[run["images"] for run in runs[:-1]], [run["seconds"]["whole"] for run in runs[:-1]]]
    return {**found, "curve": curve} if len(runs) > 1 else found


def line(found: dict[str, Any]) -> str:
    """Return one line for people."""
    parts = [", ".join(f"{stage} {seconds:.1f}" for stage, seconds in found["seconds"].items()) + " s"]
    if found["peak_gb"] is not None:
        after = ", ".join(f"{stage} {gb:.2f}" for stage, gb in found.get("peaks", {}).items())
        parts.append(f"peak {found['peak_gb']:.2f} GB" + (f" ({after})" if after else ""))
    if "share" in found:
        parts.append(f"extrapolated from {100 * found['share']:.2g} % of the images; limit {LIMIT_GB} GB")
    else:
        parts.append(f"normalised {found['normalized']:.3f}")
    return f"{found['images']:,} images: " + "; ".join(part for part in parts if part != " s")


if __name__ == "__main__":
    main()
