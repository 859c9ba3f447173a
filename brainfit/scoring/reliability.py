"""How reliable units are, bin by bin and over windows of time: the ceilings of a Score, without a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from brainfit.contracts.vocabulary import WINDOWS
from brainfit.scoring.responses import unit_chunks
from brainfit.scoring.result import MIN_DEFINED
from brainfit.statistics.split_half import RandomHalves, SplitHalf, distinguishable, spearman_brown
from brainfit.support.seeds import generator

N_SPLITS = 100
"""Random halves of the trials to average over, unless another number is given."""


@dataclass(frozen=True)
class Reliability:
    """Split-half correlations over images.

    Attributes
    ----------
    per_bin
        Shape (bin, unit).
    defined
        Whether those are distinguishable from zero, shape (bin, unit).
    windows
        Names: ``pooled``, ``early``, ``late``.
    bins
        Which bins each window pools, shape (window, bin), bool.
    pooled
        Over images x the bins of a window together, shape (window, unit).
    image_driven
        The same once each bin's mean over images is taken off.
    known
        Whether both are distinguishable from zero, shape (window, unit). A time course that all images
        share makes halves agree as well, so it is not what defines a unit.
    """

    per_bin: SplitHalf
    defined: np.ndarray
    windows: tuple[str, ...]
    bins: np.ndarray
    pooled: SplitHalf
    image_driven: SplitHalf
    known: np.ndarray


def measure(
    trials: xr.DataArray,
    *,
    n_splits: int,
    seed: int,
    advance: Callable[[int], None] = lambda units: None,
    visit: Callable[[slice, np.ndarray, np.ndarray], None] = lambda units, trials, bins: None,
) -> Reliability:
    """Correlate random halves of the trials, per bin and over windows.

    Parameters
    ----------
    trials
        Dims (image, trial, unit, time_bin), coordinates ``time_bin_start`` and ``time_bin_end``; may be
        lazy: it is read twice, some units at a time.
    n_splits, seed
        Of the halves; the same serve all units, bins and windows.
    advance
        Called with the number of units done; every unit is done three times.
    visit
        Called in the second reading with a slice of units, their trials, and the windows' bins, for what
        else needs them.
    """
    n_images, n_trials = trials.sizes["image"], trials.sizes["trial"]
    halves = RandomHalves(n_images, n_trials, n_splits, generator(seed, "trial halves"))
    each_bin = np.eye(trials.sizes["time_bin"], dtype=bool)
    per_bin = _joined([halves.correlate(some, each_bin, advance=advance) for _, some in unit_chunks(trials)])
    defined = distinguishable(per_bin, n_images)
    windows = {"pooled": defined.mean(axis=1) >= MIN_DEFINED}
    windows |= {name: bins_within(trials, *span) for name, span in WINDOWS.items()}
    bins = np.array(list(windows.values()))
    plain_and_driven = []
    for units, some in unit_chunks(trials):
        plain_and_driven.append(
            halves.correlate(
                some,
                np.vstack([bins, bins]),
                image_driven=np.repeat([False, True], len(bins)),
                advance=lambda n: advance(2 * n),
            )
        )
        visit(units, some, bins)
    both = _joined(plain_and_driven)
    pooled, image_driven = _part(both, slice(len(bins))), _part(both, slice(len(bins), None))
    known = distinguishable(image_driven, n_images) & distinguishable(pooled, n_images)
    return Reliability(per_bin, defined, tuple(windows), bins, pooled, image_driven, known)


def ceilings(prefix: str, dims: tuple[str, ...], halves: SplitHalf, defined: np.ndarray) -> dict:
    """Reliabilities and ceiling as variables of a dataset; NaN where they are not above zero for sure."""
    reliability = np.where(defined, spearman_brown(halves.spearman), np.nan)
    return {
        f"{prefix}reliability": (dims, reliability),
        f"{prefix}ceiling": (dims, np.sqrt(reliability)),
        f"{prefix}pearson_reliability": (dims, np.where(defined, spearman_brown(halves.pearson), np.nan)),
    }


def bins_within(responses: xr.DataArray, start: float, end: float) -> np.ndarray:
    """Bins that lie wholly between `start` and `end` ms, shape (time_bin,), bool."""
    return ((responses["time_bin_start"] >= start) & (responses["time_bin_end"] <= end)).values


def _joined(parts: Sequence[SplitHalf]) -> SplitHalf:
    return SplitHalf(
        np.concatenate([part.spearman for part in parts], axis=1),
        np.concatenate([part.pearson for part in parts], axis=1),
    )


def _part(halves: SplitHalf, groups: slice) -> SplitHalf:
    return SplitHalf(halves.spearman[groups], halves.pearson[groups])
