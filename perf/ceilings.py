"""C: split-half ceilings against a loop over scipy.stats.spearmanr, and their memory at the paper's size."""

from __future__ import annotations

from typing import Any

import harness
import numpy as np
import scipy
import xarray as xr
from scipy.stats import spearmanr

from brainfit.ceiling import split_half
from brainfit.lazy import lazy_variable
from brainfit.reliability import measure
from brainfit.responses import average_trials

N_SPLITS, N_BINS, N_TRIALS = 100, 25, 50
N_UNITS = 8
"""That share one choice of halves in ours; all of a recording do, unless they miss trials."""


def rows(quick: bool = False) -> list[dict[str, Any]]:
    """C1 for counts and for continuous responses, and C2."""
    n_images, n_splits = (64, 4) if quick else (5120, N_SPLITS)
    kinds = {"counts": 15, "continuous": 5}
    found = [against_scipy(kind, n_images, n_splits, target) for kind, target in kinds.items()]
    return [*found, full_size(*((64, 4, 4) if quick else (5120, 256, N_SPLITS)))]


def against_scipy(kind: str, n_images: int, n_splits: int, target: float) -> dict[str, Any]:
    """C1: some units with the same random halves, of which the peer does one."""
    responses = RESPONSES[kind](np.random.default_rng(0), (n_images, N_TRIALS, N_UNITS, N_BINS))
    each_bin, one_unit = np.eye(N_BINS, dtype=bool), responses[:, :, 0].copy()

    def ours() -> np.ndarray:
        rng = np.random.default_rng(1)
        return split_half(responses, each_bin, n_splits=n_splits, rng=rng).spearman[:, 0]

    def peer() -> np.ndarray:
        return scipy_loop(one_unit, n_splits, np.random.default_rng(1))

    difference = float(np.abs(ours() - peer()).max())
    halves = [half[..., 0].mean(axis=1) for half in np.split(one_unit, 2, axis=1)]
    each = harness.seconds(lambda: [spearmanr(*halves) for _ in range(20)]) / 20
    one = harness.interleaved(ours, peer, 3)
    timing = {
        "ours": one["ours"],
        "peer": N_UNITS * one["peer"],
        "ratio": N_UNITS * one["ratio"],
        "spread": [N_UNITS * ratio for ratio in one["spread"]],
    }
    return harness.row(
        f"C1 {kind}: {n_images:,} images x {N_TRIALS} trials x {N_UNITS} units x {N_BINS} bins, "
        f"{n_splits} halves",
        timing,
        peer="scipy.stats.spearmanr in a loop",
        version=scipy.__version__,
        at_least=target,
        also=difference < 1e-6,
        note=f"largest difference {difference:.0e}, wanted under 1e-6; ours finds Pearson's as well; "
        "the peer ran on one unit, its time is scaled up; of its "
        f"{1e6 * one['peer'] / (n_splits * N_BINS):.0f} us a correlation {1e6 * each:.0f} are spearmanr, "
        "the rest makes halves",
    )


def scipy_loop(trials: np.ndarray, n_splits: int, rng: np.random.Generator) -> np.ndarray:
    """Mean Spearman correlation of the halves that `split_half` draws, for each bin.

    Parameters
    ----------
    trials
        Of one unit, shape (image, trial, time_bin).
    """
    keys = rng.random((n_splits, *trials.shape[:2]), dtype=np.float32)
    cut = trials.shape[1] // 2
    found = np.empty((n_splits, trials.shape[2]))
    for s in range(n_splits):
        shuffled = np.take_along_axis(trials, keys[s].argsort(axis=1)[:, :, None], axis=1)
        first, second = shuffled[:, :cut].mean(axis=1), shuffled[:, cut:].mean(axis=1)
        for t in range(trials.shape[2]):
            found[s, t] = spearmanr(first[:, t], second[:, t]).statistic  # type: ignore[union-attr]
    return found.mean(axis=0)


def full_size(n_images: int, n_units: int, n_splits: int) -> dict[str, Any]:
    """C2: averages and ceilings, of responses that are made as they are read."""
    trials = lazy_responses(n_images, n_units)

    def reliability() -> None:
        average_trials(trials)
        measure(trials, n_splits=n_splits, seed=0)

    seconds, gb = harness.seconds(reliability), harness.peak_gb(reliability)
    return harness.alone(
        f"C2: {n_images:,} images x {n_units} units x {N_BINS} bins x {N_TRIALS} trials "
        f"({4e-9 * trials.size:.1f} GB), {n_splits} halves",
        seconds,
        target="<= 2 GB",
        met=gb <= 2,
        ours_gb=gb,
        note="averages, and ceilings per bin and in three windows, plain and image-driven; "
        "the time has that of making the responses",
    )


def lazy_responses(n_images: int, n_units: int) -> xr.DataArray:
    """Spike counts of dims (image, trial, unit, time_bin), which exist only where they are read."""

    def read(image: np.ndarray, trial: np.ndarray, unit: np.ndarray, time_bin: np.ndarray) -> np.ndarray:
        phase = 1.7 * image[:, None, None] + 0.3 * unit[:, None] + 0.2 * time_bin
        rate = (0.2 + 0.2 * np.sin(phase)).astype(np.float32)[:, None]
        rng = np.random.default_rng([image[0], unit[0]])
        shape = (len(image), len(trial), len(unit), len(time_bin))
        return (rng.random(shape, dtype=np.float32) < rate).astype(np.float32)

    dims, shape = ("image", "trial", "unit", "time_bin"), (n_images, N_TRIALS, n_units, N_BINS)
    start = 10.0 * np.arange(N_BINS)
    coords = {"time_bin_start": ("time_bin", start), "time_bin_end": ("time_bin", start + 10)}
    return xr.DataArray(lazy_variable(dims, shape, np.float32, read), coords=coords)


def counts(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Spikes in 10 ms: few, and so with many ties."""
    rate = rng.gamma(1, 0.3, size=(shape[0], 1, *shape[2:]))
    return rng.poisson(rate, size=shape).astype(np.float32)


def continuous(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Band power or fluorescence."""
    tuning = rng.standard_normal((shape[0], 1, *shape[2:]), dtype=np.float32)
    return tuning + 2 * rng.standard_normal(shape, dtype=np.float32)


RESPONSES = {"counts": counts, "continuous": continuous}
