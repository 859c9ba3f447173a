"""Measure how often intervals cover the truth and tests reject, on simulated responses of known truth.

``python perf/calibration.py`` prints the table of docs/calibration.md, which explains the columns; one core
needs about ten minutes. ``--seeds N`` sets the number of recordings for each design.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields

import numpy as np
import xarray as xr

from brainfit.analyses.comparison import compare
from brainfit.analyses.noise_ceiling import ceiling_interval
from brainfit.scoring.reliability import Reliability, measure
from brainfit.scoring.result import Score
from brainfit.statistics.bootstrap import MIN_UNITS, Sums, median_interval
from brainfit.statistics.correlation import pearson

N_BINS = 3
COURSE = np.array([-1.0, 0.0, 1.0]) * np.sqrt(0.375)
"""The mean response to all images in each bin: a quarter of the variance of the tuning, which is 1."""
V = float((COURSE**2).mean())
TUNING_SHARED, ERROR_SHARED = 0.3, 0.3  # shares of variance common to all units
RELIABILITY = {"low": (0.1, 0.5), "high": (0.7, 0.95)}
DELTA = 0.1  # by how much the worse model is worse


@dataclass(frozen=True)
class Design:
    """A recording and the quality of the model.

    The units' true image-driven scores are uniform in `score` +- `spread`, and their true image-driven
    reliabilities in ``RELIABILITY``. Tuning and noise are Gaussian or, where `skewed`, exponential, the
    variance of the noise then following the response.

    Attributes
    ----------
    drift
        Standard deviation of a level that a block adds to all images, in those of the noise of a trial.
    missing
        Share of the trials that are missing at random.
    gain
        Standard deviation of a block's gain, by which it multiplies the response to all images.
    carried
        Share of the noise variance of a trial that is common to all trials of an image.
    ids
        Number of images that show the same picture.
    unequal
        Half of the images have half of the trials; there are then no common blocks.
    overlap
        Correlation of the noise of neighbouring bins.
    noise_shared
        Share of the variance of the noise that is common to all units.
    """

    n_units: int
    n_images: int
    n_trials: int
    reliability: str
    score: float = 0.6
    spread: float = 0.2
    skewed: bool = False
    drift: float = 0.0
    unequal: bool = False
    overlap: float = 0.0
    noise_shared: float = 0.1
    missing: float = 0.0
    gain: float = 0.0
    carried: float = 0.0
    ids: int = 1

    @property
    def name(self) -> str:
        """Describe what is special about the responses."""
        special = {
            "skewed": self.skewed,
            "block drift": self.drift,
            "unequal trials": self.unequal,
            "overlapping bins": self.overlap,
            "correlated noise": self.noise_shared > 0.1,
            f"{self.missing:.0%} missing": self.missing,
            f"gain drift {self.gain:g}": self.gain,
            f"{self.carried:.0%} of the noise common to an image's trials": self.carried,
            f"{self.ids} names a picture": self.ids > 1,
        }
        return ", ".join([self.reliability, *(name for name, is_so in special.items() if is_so)])


DESIGNS = (
    Design(76, 160, 50, "high"),
    Design(76, 160, 10, "low", skewed=True),
    Design(76, 160, 10, "high", score=1.0, spread=0.0),
    Design(76, 160, 10, "low", drift=1.0, overlap=0.5),
    Design(76, 160, 10, "low", unequal=True, noise_shared=0.3),
    Design(76, 160, 3, "low", score=1.0, spread=0.0),
    Design(76, 40, 4, "low", overlap=0.5),
    Design(76, 40, 4, "high", skewed=True, drift=1.0),
    Design(10, 160, 50, "high", skewed=True, overlap=0.5),
    Design(10, 160, 10, "low", unequal=True),
    Design(10, 160, 3, "low", skewed=True, score=1.0, spread=0.0, drift=1.0),
    Design(10, 40, 10, "high", noise_shared=0.3),
    Design(3, 160, 50, "high"),
    Design(3, 160, 10, "high", skewed=True, score=1.0, spread=0.0, unequal=True),
    Design(3, 40, 4, "high", skewed=True),
    Design(10, 160, 10, "low", score=1.0, spread=0.0, drift=1.0, missing=0.03),
    Design(10, 160, 10, "low", score=1.0, spread=0.0, drift=1.0, missing=0.1),
    Design(10, 160, 4, "high", score=1.0, spread=0.0, gain=0.5),
    Design(10, 160, 10, "high", score=1.0, spread=0.0, gain=0.2),
    Design(10, 160, 10, "low", score=1.0, spread=0.0, carried=0.02),
    Design(10, 160, 10, "low", score=1.0, spread=0.0, carried=0.1),
    Design(10, 160, 4, "high", ids=4),
)


class Recording:
    r"""Responses of some units to some images, and models that predict them.

    Tuning and error of a model are standardised over the population of images and bins, half of each being
    the same in all bins. A prediction of true image-driven score q is the time course, q of the tuning, and
    :math:`\sqrt{1 - q^2}` of error; its true plain score is :math:`(q + v) / (1 + v)`, v being the variance
    of the time course.
    """

    def __init__(self, design: Design, rng: np.random.Generator) -> None:
        self.rng, self.ids = rng, design.ids
        shape = (design.n_images, design.n_units)
        self.pictures = np.arange(design.n_images) // design.ids
        self.tuning = self._standard(shape, TUNING_SHARED, skewed=design.skewed)
        reliability = rng.uniform(*RELIABILITY[design.reliability], design.n_units)
        present = np.ones((design.n_images, design.n_trials), bool)
        if design.unequal:
            present[::2, design.n_trials // 2 :] = False
        if design.missing:
            present &= (rng.random(present.shape) >= design.missing) | (np.arange(design.n_trials) < 2)
        n_trials = present.sum(axis=1)
        noise_sd = np.sqrt((1 / reliability - 1) / (1 / n_trials).mean())[:, None]
        scale = noise_sd * (np.sqrt(1 + self.tuning / 2) if design.skewed else np.ones(self.tuning.shape))
        self.trials = np.empty((design.n_images, design.n_trials, design.n_units, N_BINS))
        smooth = np.linalg.cholesky(
            design.overlap ** np.abs(np.subtract.outer(range(N_BINS), range(N_BINS)))
        ).T
        common = self._draw((*shape, N_BINS), design.noise_shared, design.skewed) if design.carried else 0.0
        levels = np.empty((design.n_trials, design.n_units, 1))
        for k in range(design.n_trials):
            noise = self._draw((*shape, N_BINS), design.noise_shared, design.skewed) @ smooth
            noise = np.sqrt(1 - design.carried) * noise + np.sqrt(design.carried) * common
            levels[k] = design.drift * noise_sd * rng.standard_normal((design.n_units, 1))
            gain = 1 + (design.gain * rng.standard_normal((design.n_units, 1)) if design.gain else 0)
            self.trials[:, k] = gain * (COURSE + self.tuning) + scale * noise + levels[k]
        self.trials[~present] = np.nan
        share = present / n_trials[:, None]
        drift = (share @ levels[..., 0]).var(axis=0)
        carried = 1 - design.carried + design.carried / (1 / n_trials).mean()
        of_average = (1 / reliability - 1) * carried + drift
        self.driven_ceiling = np.sqrt(1 / (1 + of_average))
        self.mean = np.nanmean(self.trials, axis=1)

    def predict(self, scores: np.ndarray) -> np.ndarray:
        """Predict the responses with these true image-driven scores, shape (image, unit, time_bin)."""
        quality = scores[:, None]
        error = self._standard(self.tuning.shape[:2], ERROR_SHARED, skewed=False)
        return COURSE + quality * self.tuning + np.sqrt(1 - quality**2) * error

    def _standard(self, shape: tuple[int, int], shared: float, skewed: bool) -> np.ndarray:
        """Draw with half of the variance the same in all bins; from -2 up where skewed."""
        pictures = (shape[0] // self.ids, shape[1])
        always = self._draw((*pictures, 1), shared, skewed)
        drawn = np.sqrt(0.5) * (always + self._draw((*pictures, N_BINS), shared, skewed))
        return np.repeat(drawn, self.ids, axis=0)

    def _draw(self, shape: tuple[int, int, int], shared: float, skewed: bool) -> np.ndarray:
        """Draw with mean 0 and variance 1, a share of the variance common to all units."""
        draw = (lambda size: self.rng.standard_exponential(size) - 1) if skewed else self.rng.standard_normal
        return np.sqrt(shared) * draw((shape[0], 1, shape[2])) + np.sqrt(1 - shared) * draw(shape)


@dataclass(frozen=True)
class Outcome:
    """The results for one recording; NaN where fewer than three units are defined."""

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
    rejected: float = np.nan
    found: float = np.nan
    plain_error: float = np.nan
    plain_covered: float = np.nan
    plain_rejected: float = np.nan


def observe(design: Design, seed: int, n_splits: int = 5, n_resamples: int = 1000) -> Outcome:
    """Simulate one recording, score one model, and compare three more: two as good, one worse."""
    rng = np.random.default_rng(seed)
    recording = Recording(design, rng)
    edges = 70.0 + 10 * np.arange(N_BINS)
    coords = {"time_bin_start": ("time_bin", edges), "time_bin_end": ("time_bin", edges + 10)}
    trials = xr.DataArray(recording.trials, dims=("image", "trial", "unit", "time_bin"), coords=coords)
    found = measure(trials, n_splits=n_splits, seed=seed)
    known = found.known[0]
    if known.sum() < MIN_UNITS:
        return Outcome(defined=known.mean())
    mean = recording.mean - recording.mean.mean(axis=(0, 2), keepdims=True)
    window = np.ones(N_BINS, dtype=bool)

    truth = rng.uniform(design.score - design.spread, design.score + design.spread, design.n_units)
    predicted = recording.predict(truth)
    one = scored(predicted, recording, found)
    driven, plain = (
        median_interval(
            Sums.over(predicted, mean, window, image_driven=image_driven),
            noise[0],
            known,
            groups=recording.pictures,
            rng=rng,
            n_resamples=n_resamples,
        )
        for image_driven, noise in ((True, found.driven_noise), (False, found.plain_noise))
    )
    with np.errstate(invalid="ignore"):
        ceiling = np.where(known, np.sqrt(found.image_driven[0]), np.nan)
        rho = np.where(known, found.window_split_half[0], np.nan)
        rank_ceiling = np.sqrt(np.where(rho > 0, 2 * rho / (1 + rho), np.nan))
    intervals = [
        ceiling_interval(
            mean,
            noise[0],
            window,
            values,
            np.random.default_rng([seed, 1]),
            groups=recording.pictures,
            image_driven=image_driven,
            n_resamples=n_resamples,
        )
        for image_driven, noise, values in (
            (True, found.driven_noise, ceiling),
            (False, found.plain_noise, rank_ceiling),
        )
    ]

    # A perfect model has no equal but itself: models that are compared have a median of 0.6.
    middle = min(design.score, 0.6)
    first, second = rng.uniform(middle - design.spread, middle + design.spread, (2, design.n_units))
    base, equal, worse = (
        scored(recording.predict(scores), recording, found) for scores in (first, second, first - DELTA)
    )
    null, better = (
        {pair.measure: pair for pair in compare([base, other], n_resamples=n_resamples, seed=seed).pairs}
        for other in (equal, worse)
    )
    plain_truth = (truth + V) / (1 + V)
    return Outcome(
        defined=known.mean(),
        ceiling_error=np.nanmedian(ceiling) - np.median(recording.driven_ceiling[known]),
        ceiling_truth=np.median(recording.driven_ceiling[known]),
        ceiling_low=intervals[0][0],
        ceiling_high=intervals[0][1],
        rank_ceiling=np.nanmedian(rank_ceiling),
        rank_ceiling_low=intervals[1][0],
        rank_ceiling_high=intervals[1][1],
        score_error=np.nanmedian(one.data["window_image_driven"]) - np.median(truth[known]),
        covered=driven[0] <= design.score <= driven[1],
        width=driven[1] - driven[0],
        rejected=null["image_driven"].p < 0.05,
        found=better["image_driven"].p < 0.05,
        plain_error=np.nanmedian(one.data["window_normalized"]) - np.median(plain_truth[known]),
        plain_covered=plain[0] <= (design.score + V) / (1 + V) <= plain[1],
        plain_rejected=null["plain"].p < 0.05,
    )


def scored(predicted: np.ndarray, recording: Recording, found: Reliability) -> Score:
    """Make as much of a score as `compare` reads."""
    mean = recording.mean
    by_window, n_units = ("window", "unit"), mean.shape[1]

    def normalized(reliability: np.ndarray, *sides: np.ndarray) -> np.ndarray:
        r = pearson(*(np.moveaxis(side, 1, 0).reshape(n_units, -1) for side in sides))
        return (r / np.sqrt(np.where(found.known[0], reliability[0], np.nan)))[None]

    def reliability(values: np.ndarray) -> np.ndarray:
        return np.where(found.known[0], values[0], np.nan)[None]

    driven = [values - values.mean(axis=0) for values in (predicted, mean)]
    data = {
        "predicted": (("image", "unit", "time_bin"), predicted),
        "response": (("image", "unit", "time_bin"), mean),
        "window_normalized": (by_window, normalized(found.plain, predicted, mean)),
        "window_pearson_reliability": (by_window, reliability(found.plain)),
        "window_image_driven": (by_window, normalized(found.image_driven, *driven)),
        "window_image_driven_reliability": (by_window, reliability(found.image_driven)),
        "window_bins": (("window", "time_bin"), np.ones((1, N_BINS), dtype=bool)),
    }
    names = {"image_id": ("image", np.arange(len(mean))), "unit_id": ("unit", np.arange(n_units))}
    names["picture"] = ("image", recording.pictures)
    info = {"recording": "calibration", "region": "IT", "simulated": True, "provenance": {}}
    return Score(xr.Dataset(data, coords={**names, "window": ["pooled"]}), info)


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
        design.name,
        f"{design.score:.1f}",
        f"{100 * values['defined'].mean():.0f}",
        mean("ceiling_error"),
        ceiling_covered("ceiling", values["ceiling_truth"].mean()),
        ceiling_covered("rank_ceiling", values["rank_ceiling"].mean()),
        mean("score_error"),
        share(values["covered"]),
        f"{values['width'].mean():.3f}",
        share(values["rejected"]),
        share(values["found"]),
        mean("plain_error"),
        share(values["plain_covered"]),
        share(values["plain_rejected"]),
    ]


HEADER = (
    "units × images × trials", "reliability", "score", "defined %", "ceiling error", "ceiling covered %",
    "Spearman ceiling covered %", "score error", "covered %", "width", "null rejected %", f"{DELTA} found %",
    "plain: score error", "covered %", "null rejected %",
)  # fmt: skip


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="recordings for each design")
    parser.add_argument("--designs", type=int, nargs="*", help="positions of designs; by default all")
    arguments = parser.parse_args()
    seeds = range(arguments.seeds)
    designs = [DESIGNS[k] for k in arguments.designs] if arguments.designs else DESIGNS
    print("| " + " | ".join(HEADER) + " |\n|" + "---|" * len(HEADER))
    for design in designs:
        print("| " + " | ".join(row(design, [observe(design, seed) for seed in seeds])) + " |", flush=True)


if __name__ == "__main__":
    main()
