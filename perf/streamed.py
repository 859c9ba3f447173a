"""F4: 65,536 features, more than this machine could hold for all images.

``python perf/streamed.py --json perf/full_fit.json`` does all of it: 5,120 images, of which 3,840 train, one
batch at a time. `make bench` takes fewer, and says what all would take if it goes on so.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import harness  # first: it fixes the threads
import numpy as np
from fitting import named
from peaks import in_a_process
from simulated_layer import BATCH, N_FOLDS, ONSET, Layer

from brainfit.contracts.trajectory import Trajectory
from brainfit.mappings.ridge import Ridge

FULL = (5120, 65536, 256)
N_TRAIN = FULL[0] * 3 // 4
IMAGES, SMALL = (128, 256, 384), (32, 64, 128)
"""Enough images for more rows than `brainfit.mappings.solvers.dual` takes."""
BLOCKS = 8  # as many directions as F3 needs
LIMIT_GB, LIMIT_S, EXPONENT = 12, 300, 1.1
TARGET = f"<= {LIMIT_GB} GB, <= {LIMIT_S} s, linear in images"


def fit(n_features: int, n_images: int, **options: Any) -> dict[str, float]:
    """Fit to so many training images as they come; what making them takes is not counted in `seconds`."""
    ridge, taken = Ridge(store="bfloat16", **options), 0.0
    for number, (features, responses) in enumerate(Layer(n_features, FULL[2]).batches(n_images)):
        steps = list(features.unbind(1))
        trajectory = Trajectory.from_steps([steps[0][:1]] * ONSET + steps[ONSET:])
        folds = (number * BATCH + np.arange(len(features))) % N_FOLDS
        taken += harness.seconds(partial(ridge.partial_fit, trajectory, responses, folds))
    n_rows, row_bytes = ridge.n_rows, ridge.row_bytes
    solving = harness.seconds(ridge.solve)
    return {
        "taking_in": taken,
        "solving": solving,
        "seconds": taken + solving,
        "rows": n_rows / n_images,
        "rows_gb": row_bytes / 1e9,
        "working_gb": ridge.working_bytes(n_rows, n_features, FULL[2], N_FOLDS) / 1e9,
        "directions": ridge.solution_.n_directions,
    }


def extrapolated(quick: bool) -> list[dict[str, Any]]:
    """Time against images at three sizes, and what all will take if it goes on so."""
    sizes, n_features = (SMALL, 4096) if quick else (IMAGES, FULL[1])
    made = [in_a_process(partial(fit, tolerance=0, max_blocks=BLOCKS), n_features, n) for n in sizes]
    taken, (_, peak, last) = [found["seconds"] for *_, found in made], made[-1]
    a_image, fixed = np.polyfit(sizes, taken, 1)
    power = float(np.polyfit(np.log(sizes), np.log(taken), 1)[0])
    rows_gb, expected = last["rows_gb"] / sizes[-1] * N_TRAIN, last["rows_gb"] + last["working_gb"]
    times = ", ".join(f"{n}: {seconds:.1f} s" for n, seconds in zip(sizes, taken, strict=True))
    row = judged(
        named("F4", (FULL[0], n_features, FULL[2])),
        float(fixed + a_image * N_TRAIN),
        peak - last["rows_gb"] + rows_gb,
        power,
        f"extrapolated to {N_TRAIN:,} training images in a straight line from {times} (images to the power "
        f"{power:.2f}), {BLOCKS} blocks, {last['directions']} directions; {last['rows']:.1f} rows an image; "
        f"memory: the peak with {sizes[-1]} images, {peak:.1f} GB (estimated {expected:.1f}), "
        f"and {rows_gb - last['rows_gb']:.1f} GB for the rows in bfloat16 of the others",
        last,
    )
    return [{**row, "curve": [list(sizes), taken]}]


def whole(n_features: int, n_train: int) -> dict[str, Any]:
    """Fit once; the solver stops as usual."""
    _, gb, found = in_a_process(fit, n_features, n_train)
    return judged(
        named("F4 whole", (n_train * 4 // 3, n_features, FULL[2])),
        found["seconds"],
        gb,
        None,
        f"done for {n_train:,} training images: taking in {found['taking_in']:.0f} s, solving "
        f"{found['solving']:.0f} s, {found['directions']} directions; {found['rows']:.1f} rows an image, "
        f"{found['rows_gb']:.1f} GB in bfloat16; memory measured, the making of a batch in it",
        found,
    )


def judged(
    what: str, seconds: float, gb: float, power: float | None, note: str, found: dict[str, float]
) -> dict[str, Any]:
    """One row; `found` is what `fit` returned, of the most images."""
    missed = [harness.exceeds(gb, LIMIT_GB, "GB")] if gb > LIMIT_GB else []
    missed += [harness.exceeds(seconds, LIMIT_S, "s")] if seconds > LIMIT_S else []
    missed += [f"time as images to the power {power:.2f}"] if power is not None and power > EXPONENT else []
    stages = [["", "ours"], *([stage.replace("_", " "), found[stage]] for stage in ("taking_in", "solving"))]
    return harness.alone(
        what, seconds, target=TARGET, missed=missed, ours_gb=gb, note=note, profile=lambda: stages
    )


WORKLOADS = {"F4": extrapolated}


def main() -> None:
    """Do all of F4, print what it took and write it."""
    import bench

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--train", type=int, default=N_TRAIN, help="training images")
    parser.add_argument("--features", type=int, default=FULL[1])
    parser.add_argument("--json", type=Path, help="where to write the row")
    options = parser.parse_args()
    row = bench.stamped(whole(options.features, options.train))
    print(harness.show(row))
    if options.json:
        bench.write_rows(options.json, [row])


if __name__ == "__main__":
    main()
