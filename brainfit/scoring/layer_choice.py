"""Choose the layer of a model that predicts a region's units best.

Each layer is fitted to every unit by ridge regression, one map for all time bins, as a score fits it and on
the training images of that score alone. A unit's loss is the one that its penalty was chosen by: the squared
error on inner folds of these images, over all bins, as a share of variance. As the least of several
penalties' losses it is a hair too low, for all layers alike. Each unit votes for the layer of least loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from brainfit.features.stream import Features, each_layer
from brainfit.mappings.ridge import Ridge
from brainfit.scoring.fitting import fit_batches
from brainfit.scoring.request import Request
from brainfit.scoring.responses import Responses
from brainfit.support.progress import progress_bar

NO_BETTER = 1.0
"""Loss of a prediction that is always the unit's mean."""


@dataclass(frozen=True)
class LayerFit:
    """What is kept of a layer's fit.

    Attributes
    ----------
    loss
        For each region that of its units, shape (unit,); 1: no better than the unit's mean.
    n_features
        Of the layer.
    converged
        Whether the search for the map came to rest; if not, losses are too high.
    """

    loss: dict[str, np.ndarray]
    n_features: int
    converged: bool


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


def choose_layer(request: Request, responses: Responses) -> Choice:
    """Choose among the layers of a request, on the training images of `responses`."""
    layers = request.features.layers
    fits = fit_layers(request, {request.region: responses})
    return vote(layers, np.array([fits[layer].loss[request.region] for layer in layers]))


def vote(layers: Sequence[str], loss: np.ndarray) -> Choice:
    """Let units vote.

    Parameters
    ----------
    layers
        The candidates.
    loss
        Of each for each unit, shape (layer, unit), finite.

    Examples
    --------
    >>> vote(["conv1", "conv2"], np.array([[0.5, 0.9, 1.3], [0.4, 0.8, 1.2]])).units
    array([ 1,  1, -1])
    """
    units = np.where(loss.min(axis=0) < NO_BETTER, loss.argmin(axis=0), -1)
    votes = np.bincount(units[units >= 0], minlength=len(layers))
    median = np.median(loss, axis=1)
    winner = int(np.lexsort((median, -votes))[0])
    tied = int((votes == votes[winner]).sum()) > 1
    return Choice(tuple(layers), units, votes, median, layers[winner], tied)


def fit_layers(request: Request, prepared: dict[str, Responses]) -> dict[str, LayerFit]:
    """Fit each layer of a request to the units of all regions, together where the same images train them."""
    groups: dict[bytes, list[str]] = {}
    for region, responses in prepared.items():
        groups.setdefault(responses.train.tobytes(), []).append(region)
    used = np.unique(np.concatenate([responses.train for responses in prepared.values()]))
    again = used if len(groups) > 1 else used[:0]
    return {
        layer: _fit_layer(request.with_layers(layer), features, list(groups.values()), prepared)
        for layer, features in each_layer(request.features, request.execution, used=used, again=again)
    }


def _fit_layer(
    request: Request,
    features: Features,
    groups: list[list[str]],
    prepared: dict[str, Responses],
) -> LayerFit:
    loss, n_features, converged = {}, 0, True
    for members in groups:
        mean = np.concatenate([prepared[region].mean for region in members], axis=1)
        together = replace(prepared[members[0]], mean=mean)
        ridge = Ridge(seed=request.seed)
        fit_batches(request, together, ridge, features, judged=False)
        kept = _kept_variance(ridge)
        label, shown = f"fit ridge, {request.layer} (passes, at most)", request.execution.progress
        with progress_bar(label, ridge.n_passes, shown=shown) as advance:
            ridge.solve(lambda: advance(1))
        targets = mean[together.train]
        variance = ((targets - targets.mean(axis=(0, 2), keepdims=True)) ** 2).sum(axis=(0, 2))
        explained = (1 - ridge.solution_.validation_loss.min(axis=0)) * kept
        ends = np.cumsum([prepared[region].mean.shape[1] for region in members])
        loss |= dict(zip(members, np.split(1 - explained / variance, ends[:-1]), strict=True))
        n_features, converged = ridge.n_features, converged and ridge.solution_.converged
    return LayerFit(loss, n_features, converged)


def _kept_variance(ridge: Ridge) -> np.ndarray:
    """Sum of squares about the mean of the targets that are left in the rows, shape (unit,).

    What a layer cannot tell apart, such as bins in which it does not change, is taken out of its rows
    (`brainfit.mappings.solvers.rows`), out of its error and out of the variance that this is a share of: so such
    shares say which penalty is best for a layer, but not which layer.
    """
    rows = [rows for batches in ridge.rows_.values() for rows in batches]
    n = sum(float(part.ones.double().square().sum()) for part in rows)
    total = sum((part.ones.double() @ part.targets.double()).cpu().numpy() for part in rows)
    energy = sum(part.targets.double().square().sum(0).cpu().numpy() for part in rows)
    return np.asarray(energy - total**2 / n)
