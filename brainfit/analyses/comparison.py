"""Compare scores of several models on the same images and units, pair by pair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from brainfit.errors import ContractError
from brainfit.scoring.result import Score
from brainfit.scoring.result_base import Result
from brainfit.statistics.bootstrap import (
    Sums,
    count_pictures,
    median_of_units,
    pearson_of_resamples,
    resample,
)
from brainfit.support.arguments import whole_number
from brainfit.support.seeds import generator

N_RESAMPLES = 2000
MEASURES = {
    "image_driven": ("window_image_driven", "window_image_driven_reliability"),
    "plain": ("window_normalized", "window_pearson_reliability"),
}
"""Normalised scores that are compared, and the reliability that each is divided by; the headline first."""
_SAME = ("recording", "region", "simulated")


@dataclass(frozen=True)
class Difference:
    """The difference between two models in one window of time.

    Attributes
    ----------
    first, second
        Positions of the two scores.
    window
        ``pooled``, ``early`` or ``late``.
    n_units
        Number of units that are defined.
    difference
        Median over units of the normalised score of the first less that of the second; NaN if no unit is
        defined.
    ci95
        Interval of it, over images and units; NaN if fewer than three units are defined.
    p
        Two-sided p-value of no difference, [0, 1]; NaN likewise.
    p_holm
        The same, corrected for the number of pairs in this window and measure.
    measure
        ``image_driven``, the headline: each bin's mean over images is taken off responses and predictions;
        ``plain``: the time course that all images share counts as well.
    """

    first: int
    second: int
    window: str
    n_units: int
    difference: float
    ci95: tuple[float, float]
    p: float
    p_holm: float
    measure: str = "image_driven"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, NaN as None."""
        values = {**self.__dict__, "ci95": list(self.ci95)}
        return {k: _plain(v) for k, v in values.items()}


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Result, Sequence[Difference]):
    """Differences between all pairs of several scores.

    It is a sequence of `Difference` as well: for each measure, the image-driven one first, and each window
    all pairs, in the order of the scores.

    Attributes
    ----------
    data
        `difference`, `p`, `p_holm`, `n_units` over (measure, window, pair) and `ci95` over these and bound,
        as `Difference` has them; the coordinates `first` and `second` give the positions of the scores of a
        pair, `model` and `other` the names of their models.
    info
        Models, recording, region, simulated, seed and number of resamples.
    """

    ROWS: ClassVar[tuple[str, ...]] = ("measure", "window", "pair")

    @classmethod
    def of(cls, pairs: Sequence[Difference], models: Sequence[str], info: dict[str, Any]) -> Comparison:
        """Make one from differences, sorted by measure, window and pair."""
        measures = list(dict.fromkeys(pair.measure for pair in pairs))
        windows = list(dict.fromkeys(pair.window for pair in pairs))
        shape, dims = (len(measures), len(windows), -1), ("measure", "window", "pair")

        def values(name: str) -> np.ndarray:
            return np.array([getattr(pair, name) for pair in pairs])

        arrays: dict[str, Any] = {
            name: (dims, values(name).reshape(shape)) for name in ("difference", "p", "p_holm", "n_units")
        }
        arrays["ci95"] = ((*dims, "bound"), values("ci95").reshape(*shape, 2))
        one = pairs[: len(pairs) // (len(measures) * len(windows))]
        coords = {
            "measure": measures,
            "window": windows,
            "bound": ["low", "high"],
            "first": ("pair", [pair.first for pair in one]),
            "second": ("pair", [pair.second for pair in one]),
            "model": ("pair", [models[pair.first] for pair in one]),
            "other": ("pair", [models[pair.second] for pair in one]),
        }
        return cls(xr.Dataset(arrays, coords), {"models": list(models), **info})

    @property
    def pairs(self) -> list[Difference]:
        """All differences."""
        data, found = self.data, []
        for measure in data["measure"].values.tolist():
            for window in data["window"].values.tolist():
                for k in range(data.sizes["pair"]):
                    at = data.sel(measure=measure, window=window).isel(pair=k)
                    low, high = at["ci95"].values.tolist()
                    found.append(
                        Difference(
                            first=int(at["first"]),
                            second=int(at["second"]),
                            window=window,
                            n_units=int(at["n_units"]),
                            difference=float(at["difference"]),
                            ci95=(low, high),
                            p=float(at["p"]),
                            p_holm=float(at["p_holm"]),
                            measure=measure,
                        )
                    )
        return found

    def __iter__(self) -> Iterator[Difference]:
        """Iterate over the differences."""
        return iter(self.pairs)

    def __len__(self) -> int:
        """Return the number of differences."""
        return int(self.data["p"].size)

    def __getitem__(self, name: Any) -> Any:
        """Return the difference at a position, or a variable by its name."""
        return self.data[name] if isinstance(name, str) else self.pairs[name]

    def _table(self) -> tuple[Sequence[str], list[Sequence[str]]]:
        heads = ("measure", "model", "other", "difference", "95% interval", "p (Holm)")
        rows: list[Sequence[str]] = []
        for pair in self.pairs:
            if pair.window == "pooled":
                models, (low, high) = self.info["models"], pair.ci95
                numbers = f"{pair.difference:+.3f}", f"{low:+.3f} to {high:+.3f}", f"{pair.p_holm:.2g}"
                rows.append([pair.measure, models[pair.first], models[pair.second], *numbers])
        return heads, rows


def compare(scores: Sequence[Score], *, n_resamples: int = N_RESAMPLES, seed: int = 0) -> Comparison:
    """Test every pair of scores, paired over images and units.

    A resample draws pictures with replacement, all images of a picture together, and gives both models the
    same ones; each unit's difference of r, over the square root of the unit's reliability, is computed anew.
    The interval and the p-value are those of Student's t for the median over units
    (`brainfit.statistics.bootstrap.median_of_units`), so they agree; Holm's method corrects p for the pairs.
    The maps are held fixed: the test refers to new images and units, not to new training images.
    docs/calibration.md says how often it rejects where there is no difference, and how often it finds one
    that is there.

    Parameters
    ----------
    scores
        Two or more, of the same recording, region, held-out images and units.
    n_resamples
        Resamples of the images.
    seed
        Seed of the bootstrap.

    Returns
    -------
    Comparison
        For each measure, the image-driven one first, and each window all pairs, in the order of `scores`.

    Raises
    ------
    ContractError
        If there are fewer than two scores, or they are not of the same images, responses and units.

    References
    ----------
    Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 8.
    Holm (1979), A simple sequentially rejective multiple test procedure. Scand. J. Stat. 6, 65-70.
    """
    n_resamples = whole_number("n_resamples", n_resamples, least=100)
    _require_same(scores)
    response = _centred(scores[0].data["response"].values)
    predicted = [_centred(score.data["predicted"].values) for score in scores]
    pictures = _pictures(scores[0])
    counts = resample(pictures, n_resamples, generator(seed, "paired bootstrap, images"))
    found: list[Difference] = []
    for measure, (name, reliability) in MEASURES.items():
        for window in map(str, scores[0].data["window"].values):
            data = [score.data.sel(window=window) for score in scores]
            bins = data[0]["window_bins"].values.astype(bool)
            units = np.flatnonzero(np.isfinite([one[name].values for one in data]).all(axis=0))
            # The reliability of a unit is that of its trials: the same for all models.
            scale = np.sqrt(data[0][reliability].values[units])
            resampled = []
            for values in predicted if units.size else ():
                sums = Sums.over(
                    values[:, units], response[:, units], bins, image_driven=measure == "image_driven"
                )
                resampled.append(pearson_of_resamples(sums, counts) / scale)
            pairs = []
            for first, second in combinations(range(len(scores)), 2):
                observed = (data[first][name] - data[second][name]).values[units]
                draws = resampled[first] - resampled[second] if units.size else np.empty((n_resamples, 0))
                # A new generator for each pair, so that the order of the scores does not matter.
                rng = generator(seed, "paired bootstrap, units")
                median = median_of_units(observed, draws, count_pictures(pictures), rng)
                p, ci95 = median.p(), median.interval()
                pairs.append(Difference(first, second, window, len(units), median.value, ci95, p, p, measure))
            found += _holm(pairs)
    info = {name: scores[0].info[name] for name in _SAME} | {"seed": seed, "n_resamples": n_resamples}
    models = tuple(str(score.info.get("model", f"score {k}")) for k, score in enumerate(scores, start=1))
    return Comparison.of(found, models, info)


def _pictures(score: Score) -> np.ndarray:
    """Return the number of the picture that each image shows; scores of older versions do not know it."""
    coords = score.data.coords
    return coords["picture"].values if "picture" in coords else np.arange(score.data.sizes["image"])


def _centred(values: np.ndarray) -> np.ndarray:
    """Take each unit's mean off, (image, unit, time_bin): sums of squares lose digits to a large mean."""
    values = values.astype(float)
    return values - values.mean(axis=(0, 2), keepdims=True)


def _holm(pairs: list[Difference]) -> list[Difference]:
    """Correct the p-values of one window for the number of pairs."""
    order = sorted(range(len(pairs)), key=lambda k: pairs[k].p)
    corrected, largest = {}, 0.0
    for rank, k in enumerate(order):
        largest = max(largest, min(1.0, (len(pairs) - rank) * pairs[k].p))
        corrected[k] = largest if np.isfinite(pairs[k].p) else float("nan")
    return [replace(pair, p_holm=corrected[k]) for k, pair in enumerate(pairs)]


def _require_same(scores: Sequence[Score]) -> None:
    if len(scores) < 2:
        raise ContractError(f"comparing takes two scores or more, got {len(scores)}")
    for k, one in enumerate(scores, start=1):
        if not isinstance(one, Score):
            raise ContractError(
                f"score {k} is a {type(one).__name__}, wanted a brainfit.Score; "
                "brainfit.read_run reads the score of a run's folder"
            )
    first = scores[0]
    for k, other in enumerate(scores[1:], start=2):
        for name in _SAME:
            if other.info[name] != first.info[name]:
                raise ContractError(
                    f"scores 1 and {k} are of different {name}: {first.info[name]!r} and "
                    f"{other.info[name]!r}; only scores of the same images and units can be compared"
                )
        for name, what in (("image_id", "held-out images"), ("unit_id", "units"), ("response", "responses")):
            if not np.array_equal(first.data[name].values, other.data[name].values):
                raise ContractError(
                    f"scores 1 and {k} have different {what}; "
                    "score all models with the same recording, region, images, seed and presentation"
                )
        hashes = [_content(score) for score in (first, other)]
        if None not in hashes and hashes[0] != hashes[1]:
            raise ContractError(
                f"scores 1 and {k} have the same names of images and units, but other pictures or other "
                f"responses to training images (content {hashes[0]:.12} and {hashes[1]:.12}); score all "
                "models with the same recording"
            )


def _content(score: Score) -> str | None:
    """Return the hash of the pictures and responses that a score used, if it holds one."""
    recording = score.info["provenance"].get("recording", {})
    return recording.get("sha256") if isinstance(recording, dict) else None


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
