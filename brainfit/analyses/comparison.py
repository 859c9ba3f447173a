"""Compare scores of several models on the same images and units, pair by pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from brainfit.errors import ContractError
from brainfit.scoring.result import Score
from brainfit.statistics.bootstrap import Sums, median_of_units, pearson_of_resamples, resample
from brainfit.support.arguments import whole_number
from brainfit.support.seeds import generator

N_RESAMPLES = 2000
_SAME = ("recording", "region", "simulated")


@dataclass(frozen=True)
class Difference:
    """How much better one model predicts than another, over one window of time.

    Attributes
    ----------
    first, second
        Positions of the two scores.
    window
        ``pooled``, ``early`` or ``late``.
    n_units
        Units that are defined.
    difference
        Median over units of normalised score of the first less that of the second; NaN if no unit is defined.
    ci95
        Interval of it, over images and units; NaN if fewer than three units are defined.
    p
        Two-sided, of no difference, [0, 1]; NaN likewise.
    p_holm
        The same, corrected for the number of pairs in this window.
    """

    first: int
    second: int
    window: str
    n_units: int
    difference: float
    ci95: tuple[float, float]
    p: float
    p_holm: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, NaN as None."""
        values = {**self.__dict__, "ci95": list(self.ci95)}
        return {k: _plain(v) for k, v in values.items()}


def compare(scores: Sequence[Score], *, n_resamples: int = N_RESAMPLES, seed: int = 0) -> list[Difference]:
    """Test every pair of scores, paired over images and units.

    A resample draws images with replacement and gives both models the same ones; each unit's difference
    of r, over the square root of the unit's reliability, is computed anew. The interval and the p-value
    are those of Student's t for the median over units (`brainfit.statistics.bootstrap.median_of_units`), so they agree;
    Holm's method corrects p for the pairs. The maps are held fixed: the test speaks of new images and units,
    not of new training images. docs/calibration.md says how often it finds what is not there, and what is.

    Parameters
    ----------
    scores
        Two or more, of the same recording, region, held-out images and units.
    n_resamples
        Of the images.
    seed
        Of the bootstrap.

    Returns
    -------
    list
        For each window all pairs, in the order of `scores`.

    Raises
    ------
    ContractError
        If there are fewer than two scores, or they are not of the same images and units.

    References
    ----------
    Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 8.
    Holm (1979), A simple sequentially rejective multiple test procedure. Scand. J. Stat. 6, 65-70.
    """
    n_resamples = whole_number("n_resamples", n_resamples, least=100)
    _require_same(scores)
    response = _leveled(scores[0].data["response"].values)
    predicted = [_leveled(score.data["predicted"].values) for score in scores]
    counts = resample(len(response), n_resamples, generator(seed, "paired bootstrap, images"))
    found = []
    for window in map(str, scores[0].data["window"].values):
        data = [score.data.sel(window=window) for score in scores]
        bins = data[0]["window_bins"].values.astype(bool)
        units = np.flatnonzero(np.isfinite([d["window_normalized"].values for d in data]).all(axis=0))
        # The unit's reliability is that of its trials: the same for all models.
        scale = np.sqrt(data[0]["window_pearson_reliability"].values[units])
        resampled = [
            pearson_of_resamples(Sums.over(p[:, units], response[:, units], bins), counts) / scale
            for p in predicted
        ]
        pairs = []
        for first, second in combinations(range(len(scores)), 2):
            observed = (data[first]["window_normalized"] - data[second]["window_normalized"]).values[units]
            rng = generator(seed, "paired bootstrap, units")  # anew, so that the order of scores is no matter
            median = median_of_units(observed, resampled[first] - resampled[second], len(response), rng)
            p = median.p()
            pairs.append(Difference(first, second, window, len(units), median.value, median.interval(), p, p))
        found += _holm(pairs)
    return found


def _leveled(values: np.ndarray) -> np.ndarray:
    """Take each unit's mean off, (image, unit, time_bin): sums of squares lose digits to a large one."""
    values = values.astype(float)
    return values - values.mean(axis=(0, 2), keepdims=True)


def _holm(pairs: list[Difference]) -> list[Difference]:
    """Correct the p-values of one window for the number of pairs."""
    order = sorted(range(len(pairs)), key=lambda k: pairs[k].p)
    corrected, largest = {}, 0.0
    for rank, k in enumerate(order):
        largest = max(largest, min(1.0, (len(pairs) - rank) * pairs[k].p))
        corrected[k] = largest if np.isfinite(pairs[k].p) else float("nan")
    return [Difference(**{**pair.__dict__, "p_holm": corrected[k]}) for k, pair in enumerate(pairs)]


def _require_same(scores: Sequence[Score]) -> None:
    if len(scores) < 2:
        raise ContractError(f"comparing takes two scores or more, got {len(scores)}")
    for k, one in enumerate(scores, start=1):
        if not isinstance(one, Score):
            raise ContractError(
                f"score {k} is a {type(one).__name__}, wanted a brainfit.Score; "
                "brainfit.read_run reads that of a run's folder"
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


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
