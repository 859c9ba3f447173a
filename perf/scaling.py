"""E5: how time grows with images, units, steps and features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import harness  # first: it fixes the threads
import numpy as np
import torch
from peaks import peak_gb
from profiles import busiest
from simulated_layer import workload

from brainfit.contracts.presentation import Presentation
from brainfit.mappings.ridge import Ridge
from brainfit.registry.lookup import load_model
from brainfit.statistics.split_half import split_half

EXPONENT = 1.1
N_BINS, N_TRIALS, N_SPLITS = 25, 20, 20
BATCH, ARRIVAL = 16, 5
Work = Callable[[], Any]


def curves(quick: bool) -> list[dict[str, Any]]:
    """E5: one row a curve; its `curve` has the sizes and the seconds."""
    small = 16 if quick else 1
    repeats = 1 if quick else 3

    def sizes(*values: int) -> list[int]:
        return [max(1, value // small) for value in (values[:2] if quick else values)]

    works = {
        "unroll, images": (unrolling_images, sizes(16, 32, 64, 128)),
        "unroll, steps": (unrolling_steps, [5, 10] if quick else [10, 20, 45, 95]),
        "fit, images": (lambda n: fitting(n, 1024 // small, 32), sizes(256, 512, 1024, 2048)),
        "fit, units": (lambda n: fitting(256 // small, 1024 // small, n), sizes(64, 128, 256, 512)),
        "fit, features": (lambda n: fitting(256 // small, n, 32), sizes(2048, 4096, 8192, 16384)),
        "ceilings, images": (lambda n: ceilings(n, 1), sizes(512, 1024, 2048, 4096)),
        "ceilings, units": (lambda n: ceilings(512 // small, n), sizes(16, 32, 64, 128)),
    }
    found = [row(f"E5 {name}", work, at, repeats) for name, (work, at) in works.items()]
    return [*found, memory_of_ceilings(4096 // small)]


def row(name: str, work: Callable[[int], Work], sizes: list[int], repeats: int) -> dict[str, Any]:
    """Measure one curve, size after size in turn, and keep the shortest time of each."""
    prepared = [work(size) for size in sizes]
    prepared[0]()  # warm up: the first call does extra work
    seconds = [min(times) for times in zip(*(each(prepared) for _ in range(repeats)), strict=True)]
    power = exponent(sizes, seconds)
    entry = harness.alone(
        f"{name}: {sizes[0]:,} to {sizes[-1]:,}",
        seconds[-1],
        target=f"exponent <= {EXPONENT}",
        missed=[] if power <= EXPONENT else [f"exponent {power:.2f}, {power - EXPONENT:.2f} too much"],
        note=f"time grows with size to the power {power:.2f}",
        profile=lambda: busiest(prepared[-1]),
    )
    return {**entry, "curve": [sizes, seconds]}


def each(prepared: list[Work]) -> list[float]:
    """Time each work once."""
    return [harness.seconds(work) for work in prepared]


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """Return the slope of log time against log size, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def unrolling_images(n_images: int) -> Work:
    """Unroll the median ConvRNN at 64 px, batch by batch."""
    return unrolling(n_images, Presentation())


def unrolling_steps(n_steps: int) -> Work:
    """Unroll one batch for `n_steps` steps after the image has reached the layer.

    The image stays on, because repeated gray would be skipped.
    """
    return unrolling(BATCH, Presentation(on_ms=10 * (ARRIVAL + n_steps), off_ms=0))


def unrolling(n_images: int, presentation: Presentation) -> Work:
    """Unroll `n_images` images, `BATCH` at a time."""
    model = load_model("median_convrnn", image_size=64)
    layer = model.region_layers["pIT"]
    images = torch.from_numpy(np.random.default_rng(0).random((n_images, 3, 64, 64), dtype=np.float32))

    def work() -> None:
        for some in images.split(BATCH):
            model.unroll(some, presentation, [layer])

    return work


def fitting(n_images: int, n_features: int, n_units: int) -> Work:
    """Fit the default map to three quarters of `n_images` images."""
    data = workload(n_images, n_features, n_units)
    return lambda: data.taken_in(Ridge()).solve()


def ceilings(n_images: int, n_units: int) -> Work:
    """Halve trials, and rank and correlate the halves."""
    rng = np.random.default_rng(0)
    trials = rng.standard_normal((n_images, N_TRIALS, n_units, N_BINS), dtype=np.float32)
    each_bin = np.eye(N_BINS, dtype=bool)
    return lambda: split_half(trials, each_bin, n_splits=N_SPLITS, rng=np.random.default_rng(1))


def memory_of_ceilings(n_images: int) -> dict[str, Any]:
    """Measure memory beside the responses, which must not grow with units."""
    few, many = (peak_gb(ceilings(n_images, n)) for n in (8, 32))
    return harness.alone(
        "E5 ceilings, units, memory: 8 to 32",
        harness.seconds(ceilings(n_images, 32)),
        target="<= 1.2 of that of few units",
        missed=[] if many <= 1.2 * few else [f"{many / few:.2f} of that of few units"],
        ours_gb=many,
        note=f"{few:.3f} GB for 8 units, {many:.3f} GB for 32",
    )


WORKLOADS = {"E5": curves}
