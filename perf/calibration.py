"""How often intervals hold the truth and tests find a difference, on simulated responses of known truth.

``python perf/calibration.py`` prints the table of docs/calibration.md, which says what the columns mean; one
core needs about five minutes. ``--seeds N`` sets the number of recordings a design.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields

import numpy as np
import xarray as xr

from brainfit.analyses.comparison import compare
from brainfit.analyses.noise_ceiling import ceiling_interval
from brainfit.scoring.result import Score
from brainfit.statistics.bootstrap import (
    MIN_UNITS,
    Sums,
    median_interval,
    normalized_from_moments,
    pearson_of_resamples,
    resample,
    window_moments,
)
from brainfit.statistics.correlation import pearson
from brainfit.statistics.split_half import distinguishable, spearman_brown, split_half

N_BINS = 3
COURSE = np.array([-1.0, 0.0, 1.0]) * np.sqrt(0.375)
"""The mean response to all images in each bin: a quarter of the variance of the tuning, which is 1."""
TUNING_SHARED, ERROR_SHARED, NOISE_SHARED = 0.3, 0.3, 0.1  # shares of variance that all units have in common
RELIABILITY = {"low": (0.1, 0.5), "high": (0.7, 0.95)}
DELTA = 0.1  # by how much the worse model is worse


@dataclass(frozen=True)
class Design:
    """What is recorded, and how good the model is.

    The units' true normalised scores are uniform in `score` +- `spread`, and their true reliabilities in
    ``RELIABILITY``. Tuning and noise are Gaussian or, where `skewed`, exponential, the variance of the noise
    then following the response.
    """

    n_units: int
    n_images: int
    n_trials: int
    reliability: str
    score: float = 0.6
    spread: float = 0.2
    skewed: bool = False


DESIGNS = (
    Design(76, 160, 50, "high"),
    Design(76, 160, 10, "low", skewed=True),
    Design(76, 160, 10, "high", score=1.0, spread=0.0),
    Design(76, 40, 4, "low"),
    Design(76, 40, 4, "high", skewed=True),
    Design(10, 160, 50, "high", skewed=True),
    Design(10, 160, 10, "low"),
    Design(10, 160, 4, "low", skewed=True, score=1.0, spread=0.0),
    Design(10, 40, 10, "high"),
    Design(3, 160, 50, "high"),
    Design(3, 160, 10, "high", skewed=True, score=1.0, spread=0.0),
    Design(3, 40, 4, "high", skewed=True),
)


class Recording:
    r"""Responses of some units to some images, and models that predict them.

    Tuning and error of a model are standardised over the population of images and bins, half of each
    being the same in all bins. So a prediction of true normalised score s has :math:`q = 1.25 s - 0.25` of
    the tuning, :math:`\sqrt{1 - q^2}` of error, and the whole time course.
    """

    def __init__(self, design: Design, rng: np.random.Generator) -> None:
        self.rng = rng
        shape = (design.n_images, design.n_units)
        self.tuning = self._standard(shape, TUNING_SHARED, skewed=design.skewed)
        reliability = rng.uniform(*RELIABILITY[design.reliability], design.n_units)
        signal = 1 + (COURSE**2).mean()
        self.ceiling = np.sqrt(reliability)
        noise_sd = np.sqrt(design.n_trials * signal * (1 / reliability - 1))[:, None]
        noise_sd = noise_sd * (np.sqrt(1 + self.tuning / 2) if design.skewed else np.ones(self.tuning.shape))
        self.trials = np.empty((design.n_images, design.n_trials, design.n_units, N_BINS))
        for k in range(design.n_trials):
            noise = self._draw((*shape, N_BINS), NOISE_SHARED, design.skewed)
            self.trials[:, k] = COURSE + self.tuning + noise_sd * noise
        self.mean = self.trials.mean(axis=1)

    def predict(self, scores: np.ndarray) -> np.ndarray:
        """Predict the responses with these true normalised scores, shape (image, unit, time_bin)."""
        v = (COURSE**2).mean()
        quality = (scores * (1 + v) - v)[:, None]
        error = self._standard(self.tuning.shape[:2], ERROR_SHARED, skewed=False)
        return COURSE + quality * self.tuning + np.sqrt(1 - quality**2) * error

    def _standard(self, shape: tuple[int, int], shared: float, skewed: bool) -> np.ndarray:
        """Half of the variance is the same in all bins; from -2 up where skewed."""
        always = self._draw((*shape, 1), shared, skewed)
        return np.sqrt(0.5) * (always + self._draw((*shape, N_BINS), shared, skewed))

    def _draw(self, shape: tuple[int, int, int], shared: float, skewed: bool) -> np.ndarray:
        """Mean 0 and variance 1, a share of the variance common to all units."""
        draw = (lambda size: self.rng.standard_exponential(size) - 1) if skewed else self.rng.standard_normal
        return np.sqrt(shared) * draw((shape[0], 1, shape[2])) + np.sqrt(1 - shared) * draw(shape)


@dataclass(frozen=True)
class Outcome:
    """What one recording gave; NaN where fewer than three units are defined."""

    defined: float
    ceiling_error: float = np.nan
    ceiling_truth: float = np.nan
    ceiling_low: float = np.nan
    ceiling_high: float = np.nan
    rank_ceiling: float = np.nan
    rank_ceiling_low: float = np.nan
    rank_ceiling_high: float = np.nan
    score_error: float = np.nan
    covered: float = np.nan
    width: float = np.nan
    two_way_covered: float = np.nan
    two_way_width: float = np.nan
    rejected: float = np.nan
    two_way_rejected: float = np.nan
    found: float = np.nan


def observe(design: Design, seed: int, n_splits: int = 5, n_resamples: int = 1000) -> Outcome:
    """Simulate one recording, score one model, and compare three more: two as good, one worse."""
    rng = np.random.default_rng(seed)
    recording = Recording(design, rng)
    window = np.ones((1, N_BINS), dtype=bool)
    plain, driven = (
        split_half(recording.trials, window, image_driven=some, n_splits=n_splits, rng=rng)
        for some in (False, True)
    )
    known = (distinguishable(plain, design.n_images) & distinguishable(driven, design.n_images))[0]
    if known.sum() < MIN_UNITS:
        return Outcome(defined=known.mean())
    reliability = np.where(known, spearman_brown(plain.pearson[0]), np.nan)

    truth = rng.uniform(design.score - design.spread, design.score + design.spread, design.n_units)
    moments = window_moments(predicted := recording.predict(truth), recording.trials, window[0])
    low, high = median_interval(moments, known, rng=rng, n_resamples=n_resamples)
    counts = resample(design.n_images, n_resamples, rng)
    old_low, old_high = two_way(normalized_from_moments(moments, counts)[:, known], rng)

    # Draws of its own, so that what the other columns were made of stays as it was.
    ceilings = [np.sqrt(spearman_brown(rho[0])) for rho in (plain.pearson, plain.spearman)]
    intervals = [
        ceiling_interval(
            moments, np.where(known, some, np.nan), np.random.default_rng([seed, 1]), n_resamples
        )
        for some in ceilings
    ]

    # A perfect model has no equal but itself: models that are compared have a median of 0.6.
    middle = min(design.score, 0.6)
    first, second = rng.uniform(middle - design.spread, middle + design.spread, (2, design.n_units))
    base, equal, worse = (recording.predict(scores) for scores in (first, second, first - DELTA))
    models = [scored(some, recording.mean, reliability) for some in (base, equal, worse)]
    null, better = (
        compare([models[0], other], n_resamples=n_resamples, seed=seed)[0] for other in models[1:]
    )
    r = [pearson_of_resamples(Sums.over(p, recording.mean, window[0]), counts) for p in (base, equal)]
    null_low, null_high = two_way(((r[0] - r[1]) / np.sqrt(reliability))[:, known], rng)

    return Outcome(
        defined=known.mean(),
        ceiling_error=np.nanmedian(np.sqrt(reliability)) - np.median(recording.ceiling[known]),
        ceiling_truth=np.median(recording.ceiling[known]),
        ceiling_low=intervals[0][0],
        ceiling_high=intervals[0][1],
        rank_ceiling=np.median(ceilings[1][known]),
        rank_ceiling_low=intervals[1][0],
        rank_ceiling_high=intervals[1][1],
        score_error=np.nanmedian(normalized(predicted, recording.mean, reliability))
        - np.median(truth[known]),
        covered=low <= design.score <= high,
        width=high - low,
        two_way_covered=old_low <= design.score <= old_high,
        two_way_width=old_high - old_low,
        rejected=null.p < 0.05,
        two_way_rejected=not null_low <= 0 <= null_high,
        found=better.p < 0.05,
    )


def normalized(predicted: np.ndarray, mean: np.ndarray, reliability: np.ndarray) -> np.ndarray:
    """Pearson r over images x bins over the square root of the reliability, for each unit."""
    flat = (np.moveaxis(values, 1, 0).reshape(len(reliability), -1) for values in (predicted, mean))
    return pearson(*flat) / np.sqrt(reliability)


def scored(predicted: np.ndarray, mean: np.ndarray, reliability: np.ndarray) -> Score:
    """As much of a score as `compare` reads."""
    by_window = ("window", "unit")
    data = {
        "predicted": (("image", "unit", "time_bin"), predicted),
        "response": (("image", "unit", "time_bin"), mean),
        "window_normalized": (by_window, normalized(predicted, mean, reliability)[None]),
        "window_pearson_reliability": (by_window, reliability[None]),
        "window_bins": (("window", "time_bin"), np.ones((1, N_BINS), dtype=bool)),
    }
    names = {"image_id": ("image", np.arange(len(mean))), "unit_id": ("unit", np.arange(len(reliability)))}
    info = {"recording": "calibration", "region": "IT", "simulated": True}
    return Score(xr.Dataset(data, coords={**names, "window": ["pooled"]}), info)


def two_way(resampled: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Percentiles of the medians of images and units drawn at once: the rule that this one replaced."""
    drawn = rng.integers(resampled.shape[1], size=resampled.shape)
    drawn_of = np.take_along_axis(np.where(np.isnan(resampled), np.inf, resampled), drawn, axis=1)
    medians = np.median(drawn_of, axis=1)
    low, high = np.quantile(medians[np.isfinite(medians)], [0.025, 0.975])
    return low, high


def row(design: Design, outcomes: list[Outcome]) -> list[str]:
    """Return the cells of one design; after the +- twice the standard error over recordings."""
    values = {f.name: np.array([getattr(o, f.name) for o in outcomes], float) for f in fields(Outcome)}
    values = {name: v[np.isfinite(v)] for name, v in values.items()}

    def mean(name: str) -> str:
        v = values[name]
        return f"{v.mean():+.3f} ± {2 * v.std() / np.sqrt(len(v)):.3f}"

    def share(hits: np.ndarray) -> str:
        p = hits.mean()
        return f"{100 * p:.0f} ± {200 * np.sqrt(p * (1 - p) / len(hits)):.0f}"

    def ceiling_covered(name: str, truth: float) -> str:
        return share((values[f"{name}_low"] <= truth) & (truth <= values[f"{name}_high"]))

    return [
        f"{design.n_units} × {design.n_images} × {design.n_trials}",
        design.reliability + (", skewed" if design.skewed else ""),
        f"{design.score:.1f}",
        f"{100 * values['defined'].mean():.0f}",
        mean("ceiling_error"),
        ceiling_covered("ceiling", values["ceiling_truth"].mean()),
        ceiling_covered("rank_ceiling", values["rank_ceiling"].mean()),
        f"{(values['rank_ceiling_high'] - values['rank_ceiling_low']).mean():.3f}",
        mean("score_error"),
        share(values["covered"]),
        f"{values['width'].mean():.3f}",
        share(values["two_way_covered"]),
        f"{values['two_way_width'].mean():.3f}",
        share(values["rejected"]),
        share(values["two_way_rejected"]),
        share(values["found"]),
    ]


HEADER = (
    "units × images × trials", "reliability", "score", "defined %", "ceiling error", "ceiling covered %",
    "Spearman %", "width", "score error",
    "covered %", "width", "two-way: covered %", "width", "null rejected %", "two-way: %", f"{DELTA} found %",
)  # fmt: skip


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="recordings a design")
    seeds = range(parser.parse_args().seeds)
    print("| " + " | ".join(HEADER) + " |\n|" + "---|" * len(HEADER))
    for design in DESIGNS:
        print("| " + " | ".join(row(design, [observe(design, seed) for seed in seeds])) + " |", flush=True)


if __name__ == "__main__":
    main()
