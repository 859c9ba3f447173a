"""C: split-half ceilings against a loop over scipy.stats.spearmanr, and their memory at the paper's size."""

from __future__ import annotations

import time
from typing import Any

import harness  # first: it fixes the threads
import numpy as np
import scipy
import xarray as xr
from peaks import in_a_process
from scipy.stats import spearmanr

from brainfit.scoring.reliability import measure
from brainfit.scoring.responses import average_trials
from brainfit.statistics.halves import halves_of_blocks, trial_order
from brainfit.statistics.split_half import split_half
from brainfit.support.lazy_arrays import lazy_variable
from brainfit.support.memory import peak_bytes

N_SPLITS, N_BINS, N_TRIALS = 100, 25, 50
N_UNITS = 8
"""That share one choice of halves in ours; all of a recording do, unless they miss trials."""
TARGETS = {"counts": 15, "continuous": 5}
PAPER, JUDGED, TINY = (5120, 256, N_SPLITS), 64, (64, 4, 4)
LIMIT_GB = 2


def against_scipy(kind: str, n_images: int, n_splits: int) -> dict[str, Any]:
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

    def profile() -> list[list[Any]]:
        rng, spent = np.random.default_rng(1), N_UNITS * n_splits * N_BINS * each
        halving = harness.seconds(lambda: split_half(responses, each_bin[:1], n_splits=n_splits, rng=rng))
        parts = [["halves, and one bin", halving, N_UNITS * one["peer"] - spent]]
        return [["", "ours", "peer"], *parts, ["ranks and correlations", one["ours"] - halving, spent]]

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
        at_least=TARGETS[kind],
        also=difference < 1e-6,
        note=f"largest difference {difference:.0e}, wanted under 1e-6; ours finds Pearson's as well; "
        "the peer ran on one unit, its time is scaled up; of its "
        f"{1e6 * one['peer'] / (n_splits * N_BINS):.0f} us a correlation {1e6 * each:.0f} are spearmanr, "
        "the rest makes halves",
        profile=profile,
    )


def scipy_loop(trials: np.ndarray, n_splits: int, rng: np.random.Generator) -> np.ndarray:
    """Return the mean Spearman correlation of the halves of blocks that `split_half` draws, for each bin.

    Parameters
    ----------
    trials
        Trials of one unit, shape (image, trial, time_bin).
    """
    order = trial_order(trials, np.ones(trials.shape[:2], bool))[0]
    drawn = halves_of_blocks(len(order), n_splits, np.random.default_rng(int(rng.integers(2**63))))
    found = np.empty((len(drawn), trials.shape[2]))
    for s, is_first in enumerate(drawn):
        first, second = (trials[:, order[side]].mean(axis=1) for side in (is_first, ~is_first))
        for t in range(trials.shape[2]):
            found[s, t] = spearmanr(first[:, t], second[:, t]).statistic  # type: ignore[union-attr]
    return found.mean(axis=0)


def full_size(n_images: int, n_units: int, n_splits: int, n_judged: int) -> dict[str, Any]:
    """C2: averages of all units, and while they are held ceilings of some."""
    seconds, gb, (averaging, halfway) = in_a_process(reliability, n_images, n_units, n_splits, n_judged)
    scale = n_units / n_judged
    return harness.alone(
        f"C2: {n_images:,} images x {n_units} units x {N_BINS} bins x {N_TRIALS} trials "
        f"({4e-9 * n_images * n_units * N_BINS * N_TRIALS:.1f} GB), {n_splits} halves",
        averaging + scale * (seconds - averaging),
        target=f"<= {LIMIT_GB} GB",
        missed=[harness.exceeds(gb, LIMIT_GB, "GB")] if gb > LIMIT_GB else [],
        ours_gb=gb,
        note=f"averages of all units, and beside them ceilings of {n_judged}, per bin and in three windows, "
        f"plain and image-driven, whose time is scaled up by {scale:g}. Units are read and judged a few at a "
        f"time: the peak was {halfway:.3f} GB with half of the windows done and {gb:.3f} GB with all; the "
        "time has that of making the responses, once for averages and twice for ceilings",
    )


def reliability(n_images: int, n_units: int, n_splits: int, n_judged: int) -> tuple[float, float]:
    """Return the seconds of averaging, and the peak in GB when half of the windows were done."""
    trials, started, peaks = lazy_responses(n_images, n_units), time.perf_counter(), [peak_bytes()]
    averages = average_trials(trials)
    averaging = time.perf_counter() - started
    done: list[int] = []

    def on_progress(units: int) -> None:
        done.append(units)
        if sum(done) <= 2 * n_judged:  # each unit is done once for its bins and twice for windows
            peaks.append(peak_bytes())

    measure(trials.isel(unit=slice(n_judged)), n_splits=n_splits, seed=0, on_progress=on_progress)
    del averages  # held until now, as a score does
    return averaging, (peaks[-1] - peaks[0]) / 1e9


def lazy_responses(n_images: int, n_units: int) -> xr.DataArray:
    """Make spike counts of dims (image, trial, unit, time_bin), which exist only where they are read."""

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
    """Draw spikes in 10 ms: few, and so with many ties."""
    rate = rng.gamma(1, 0.3, size=(shape[0], 1, *shape[2:]))
    return rng.poisson(rate, size=shape).astype(np.float32)


def continuous(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw continuous values such as band power or fluorescence."""
    tuning = rng.standard_normal((shape[0], 1, *shape[2:]), dtype=np.float32)
    return tuning + 2 * rng.standard_normal(shape, dtype=np.float32)


RESPONSES = {"counts": counts, "continuous": continuous}
WORKLOADS = {
    "C1": lambda quick: [against_scipy(kind, *(TINY if quick else PAPER)[::2]) for kind in TARGETS],
    "C2": lambda quick: [full_size(*TINY, TINY[1]) if quick else full_size(*PAPER, JUDGED)],
}
