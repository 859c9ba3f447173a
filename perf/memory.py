"""E4: what a score is said to take beside what it takes.

Each configuration is scored in a process of its own, which says what the preflight foretold before any batch
was computed, and after the first one, and how much its resident memory grew at most.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass, replace
from typing import Any

import harness  # first: it fixes the threads
from peaks import in_a_process

WITHIN = 0.25


@dataclass(frozen=True)
class Case:
    """A score of the simulated recording, whose units are all taken for pIT's."""

    model: str
    image_size: int
    n_images: int
    mapping: str = "ridge"
    layer: str = "committed"
    batch_size: int = 16

    @property
    def workload(self) -> str:
        """Name of the workload."""
        return (
            f"E4 {self.model}, {self.image_size} px, {self.mapping}: memory foretold, "
            f"{self.n_images} images, layer {self.layer}, batch size {self.batch_size}"
        )


CASES = (
    Case("median_convrnn", 64, 64),
    Case("median_convrnn", 128, 192),
    Case("rgc_intermediate", 224, 24, layer="conv7", batch_size=8),
    Case("median_convrnn", 64, 96, mapping="pls"),
)


def foretold(quick: bool) -> list[dict[str, Any]]:
    """E4: one for each case; `quick` has the first alone, at a fraction of its size."""
    return [row(case) for case in ([replace(CASES[0], n_images=16)] if quick else CASES)]


def row(case: Case) -> dict[str, Any]:
    """Score in a new process, and compare."""
    with tempfile.TemporaryDirectory() as folder:
        *_, found = in_a_process(score, case, folder)
    ratio = found["estimate"] / found["peak"]
    return harness.alone(
        case.workload,
        found["seconds"],
        target=f"estimate within {100 * WITHIN:.0f} % of the peak",
        missed=[] if abs(ratio - 1) <= WITHIN else [f"estimate {ratio:.2f} of the peak"],
        ours_gb=found["peak"] / 1e9,
        note=f"estimate over peak {ratio:.2f} before any batch ({found['stage']}); beside the "
        f"{found['base'] / 1e9:.2f} GB that libraries and the model take before",
    )


def score(case: Case, cache: str) -> dict[str, Any]:
    """Score in this process, with its cache in that folder."""
    os.environ["BRAINFIT_CACHE"] = cache
    import brainfit
    from brainfit.scoring import memory_plan
    from brainfit.support.memory import PeakMemory

    recording = brainfit.load_recording("simulated", n_images=case.n_images)
    units = recording.responses.sizes["unit"]
    recording = replace(
        recording, responses=recording.responses.assign_coords(region=("unit", ["pIT"] * units))
    )
    model = brainfit.load_model(case.model, image_size=case.image_size)
    estimates: list[tuple[str, float]] = []
    check = memory_plan.check

    def noted(*arguments: Any, **options: Any) -> dict[str, float]:
        stages = check(*arguments, **options)
        estimates.append(memory_plan.peak(stages))
        return stages

    memory_plan.check = noted
    start = time.perf_counter()
    with PeakMemory() as watch:
        brainfit.score(
            model,
            recording,
            region="pIT",
            layer=case.layer,
            mapping=case.mapping,
            execution=brainfit.Execution(batch_size=case.batch_size),
        )
    # Checked on responses alone, then before the first batch.
    return {
        "seconds": time.perf_counter() - start,
        "peak": watch.peak,
        "base": watch.before,
        "stage": estimates[1][0],
        "estimate": estimates[1][1],
    }


WORKLOADS = {"E4": foretold}
