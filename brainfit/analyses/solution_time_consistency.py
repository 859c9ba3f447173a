"""Correlate object solution times of two populations over the images that both solved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from brainfit.errors import ContractError
from brainfit.statistics.bootstrap import resample
from brainfit.statistics.correlation import spearman
from brainfit.statistics.groups import number_groups
from brainfit.support.arguments import numbers, whole_number
from brainfit.support.seeds import generator

MIN_IMAGES = 10
"""Images that must be solved by both: of fewer, an interval of a rank correlation spans most of [-1, 1]."""


@dataclass(frozen=True)
class SpearmanResult:
    """A rank correlation over images.

    Attributes
    ----------
    r
        Spearman's, [-1, 1]; NaN if all times on one side are the same.
    ci95
        Percentile interval over resampled images.
    n
        Images that both solved.
    """

    r: float
    ci95: tuple[float, float]
    n: int


def ost_consistency(
    a: np.ndarray,
    b: np.ndarray,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
    pictures: np.ndarray | None = None,
) -> SpearmanResult:
    """Correlate solution times over the images that both solved.

    Parameters
    ----------
    a, b
        Solution times of the same images, shape (image,); NaN where an image was not solved.
    n_resamples
        Number of resamples of the images.
    seed
        Seed of the resamples.
    pictures
        Images with the same label show the same picture, shape (image,), and are drawn together: the
        coordinate `picture` of `SolutionTimes`. By default all are different.

    Raises
    ------
    ContractError
        If the shapes differ, or fewer than `MIN_IMAGES` images were solved by both.

    References
    ----------
    Nayebi et al. (2022), Neural Computation 34:1652, Fig. 3c; Efron & Tibshirani (1993), ch. 13.
    """
    n_resamples = whole_number("n_resamples", n_resamples, least=100)
    a, b = numbers("solution times", a), numbers("solution times", b)
    if a.ndim != 1 or a.shape != b.shape:
        raise ContractError(f"solution times have shapes {a.shape} and {b.shape}; wanted one for each image")
    both = np.isfinite(a) & np.isfinite(b)
    n = int(both.sum())
    if n < MIN_IMAGES:
        raise ContractError(
            f"{n} of {len(a)} images were solved by both, and ranking takes {MIN_IMAGES}; "
            "give more images, or a lower criterion"
        )
    a, b = a[both], b[both]
    _, group = number_groups(pictures, len(both))
    rng = generator(seed, "bootstrap of solution times")
    counts = resample(group[both], n_resamples, rng).astype(int)
    drawn = [np.repeat(np.arange(n), times) for times in counts]
    resampled = np.array([spearman(a[some], b[some]) for some in drawn])
    resampled = resampled[np.isfinite(resampled)]
    low, high = np.percentile(resampled, [2.5, 97.5]) if len(resampled) else (np.nan, np.nan)
    return SpearmanResult(float(spearman(a, b)), (float(low), float(high)), n)
