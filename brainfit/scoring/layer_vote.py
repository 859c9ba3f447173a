"""The vote of a region's units on a layer: each for the one that predicts it best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

NO_BETTER = 1.0
"""Loss of a prediction that is always the unit's mean."""


@dataclass(frozen=True)
class Choice:
    """How the units of a region voted.

    Attributes
    ----------
    layers
        The candidates.
    units
        Position of the layer that each unit chooses, shape (unit,); -1 if it does not vote.
    votes, median_loss
        Units that choose a layer, and its median loss over all units, shape (layer,).
    layer
        The one that is chosen.
    tied
        Whether another had as many votes.
    """

    layers: tuple[str, ...]
    units: np.ndarray
    votes: np.ndarray
    median_loss: np.ndarray
    layer: str
    tied: bool

    def summary(self) -> dict[str, Any]:
        """Return the vote as plain values: for each candidate its share of the units, and its loss."""
        rows = zip(self.layers, self.votes / len(self.units), self.median_loss, strict=True)
        return {
            "n_units": len(self.units),
            "n_undecided": int((self.units < 0).sum()),
            "tied": self.tied,
            "candidates": {name: {"share": float(s), "median_loss": float(m)} for name, s, m in rows},
        }


def elect(layers: Sequence[str], loss: np.ndarray) -> Choice:
    """Let units vote.

    Parameters
    ----------
    layers
        The candidates.
    loss
        Of each for each unit, shape (layer, unit), finite.

    Examples
    --------
    >>> elect(["conv1", "conv2"], np.array([[0.5, 0.9, 1.3], [0.4, 0.8, 1.2]])).units
    array([ 1,  1, -1])
    """
    units = np.where(loss.min(axis=0) < NO_BETTER, loss.argmin(axis=0), -1)
    votes = np.bincount(units[units >= 0], minlength=len(layers))
    median = np.median(loss, axis=1)
    winner = int(np.lexsort((median, -votes))[0])
    tied = int((votes == votes[winner]).sum()) > 1
    return Choice(tuple(layers), units, votes, median, layers[winner], tied)
