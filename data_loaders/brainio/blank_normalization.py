"""Normalise counts by the responses of the same unit to blanks, session by session."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_BLANK = re.compile(r"(?<![a-z])blanks?(?![a-z])", re.IGNORECASE)
_BUDGET = 64 * 2**20


def is_blank(labels: np.ndarray) -> np.ndarray:
    """Return True for each label that has the word blank, which marks a presentation without an image.

    Examples
    --------
    >>> is_blank(np.array(["blank", "blank_3", "hvm blank", "blanket", "bear"])).tolist()
    [True, True, True, False, False]
    """
    names, which = np.unique(labels.astype(str), return_inverse=True)
    return np.array([_BLANK.search(name) is not None for name in names.tolist()], bool)[which]


@dataclass(frozen=True, eq=False)
class Baseline:
    """Responses to blanks.

    Attributes
    ----------
    session
        Session of each presentation, shape (presentation,): a position in the next two.
    mean, std
        Mean and standard deviation over blanks and time bins, shape (session, neuroid); NaN where a session
        has fewer than two blanks, or all of them equal.
    """

    session: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    def normalize(self, values: np.ndarray, presentations: np.ndarray, units: np.ndarray) -> None:
        """Replace counts x of shape (row, unit, time_bin), in place, by (x - mean) / std of their session."""
        at = np.ix_(self.session[presentations], units)
        values -= self.mean[at][..., None].astype(values.dtype)
        values /= self.std[at][..., None].astype(values.dtype)


def baseline(
    read: Callable[[np.ndarray, np.ndarray], np.ndarray],
    blanks: np.ndarray,
    session: np.ndarray,
    n_units: int,
    n_bins: int,
) -> Baseline | None:
    """Measure the responses to blanks; return None if they are no counts, which are whole and not negative.

    Parameters
    ----------
    read
        Function of positions of presentations and of units, which returns their responses, (presentation,
        unit, time_bin).
    blanks
        Positions of the presentations that are blanks.
    session
        Session of each presentation, shape (presentation,): whole numbers from 0.
    n_units, n_bins
        Number of units and of time bins.
    """
    mean, std = np.full((2, int(session.max()) + 1, n_units), np.nan)
    some = max(1, _BUDGET // (8 * blanks.size * n_bins))
    for start in range(0, n_units, some):
        units = np.arange(start, min(start + some, n_units))
        counts = read(blanks, units).astype(float)
        present = counts[~np.isnan(counts)]
        if (present < 0).any() or (present % 1 != 0).any():
            return None
        for which in np.unique(session[blanks]):
            here = counts[session[blanks] == which]
            enough = (~np.isnan(here).any(axis=2)).sum(axis=0) >= 2
            if enough.any():
                of_units = here[:, enough]
                mean[which, units[enough]] = np.nanmean(of_units, axis=(0, 2))
                std[which, units[enough]] = np.nanstd(of_units, axis=(0, 2), ddof=1)
    std[std == 0] = np.nan
    return Baseline(session, mean, std)
