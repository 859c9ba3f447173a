"""Choose the layer of a model that predicts a region's units best.

Each layer is fitted to every unit by ridge regression, one map for all time bins, as a score fits it and on
the training images of that score alone. A unit's loss is the squared error on inner folds of these images,
over all bins, as a share of variance, for the penalty that makes it least; as the least of several losses it
is slightly too low, for all layers alike. Each unit votes for the layer of least loss.

The vote that decides is *image-driven*: each bin's mean over training images is taken off features and
responses before the fit, so that a layer is chosen for what it knows about images. The plain vote of the
paper stands beside it. On the plain loss, layers are chosen for when they respond: all 76 units of a
simulated pIT voted for the readout to classes, though an earlier layer predicts images better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from brainfit.contracts.model import Model, readout_layers
from brainfit.contracts.trajectory import Trajectory
from brainfit.features.stream import Features, each_layer
from brainfit.mappings.ridge import Ridge
from brainfit.scoring.fitting import FeatureTransform, fit_batches
from brainfit.scoring.request import Request
from brainfit.scoring.responses import Responses
from brainfit.support.progress import progress_bar

NO_BETTER = 1.0
"""Loss of a prediction that is always the unit's mean."""


@dataclass(frozen=True)
class LayerFit:
    """The losses of a layer.

    Attributes
    ----------
    loss, plain_loss
        Image-driven and plain, for each region that of its units, shape (unit,); 1: no better than the mean.
    n_features
        Number of features.
    converged
        False if a fit stopped before it converged, so that losses are too high.
    """

    loss: dict[str, np.ndarray]
    plain_loss: dict[str, np.ndarray]
    n_features: int
    converged: bool


@dataclass(frozen=True)
class Vote:
    """The votes of the units of a region.

    Attributes
    ----------
    layers
        The candidates.
    units
        Position of the layer that each unit votes for, shape (unit,); -1 if it does not vote.
    votes, median_loss
        Number of units that vote for a layer, and its median loss over all units, shape (layer,).
    layer
        The layer with most votes.
    tied
        True if another layer has as many votes; the lower median loss then decides.
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


def choose_layer(request: Request, responses: Responses) -> tuple[str, dict[str, Any]]:
    """Choose among the candidate layers of a model, on the training images of `responses`.

    Returns
    -------
    layer
        The layer with most image-driven votes.
    summary
        That vote, and the plain one, as plain values.
    """
    layers, region = candidates(request.model), request.region
    fits = fit_layers(request.with_layers(*layers), {region: responses})
    driven, plain = (
        vote(layers, np.array([losses[region] for losses in kind]))
        for kind in zip(*((fits[layer].loss, fits[layer].plain_loss) for layer in layers), strict=True)
    )
    return driven.layer, {**driven.summary(), "plain": {"layer": plain.layer, **plain.summary()}}


def candidates(model: Model) -> tuple[str, ...]:
    """Return the layers of a model except readouts to classes, which model no region."""
    readouts = readout_layers(model)
    return tuple(layer for layer in model.layers if layer not in readouts) or tuple(model.layers)


def vote(layers: Sequence[str], loss: np.ndarray) -> Vote:
    """Let units vote.

    Parameters
    ----------
    layers
        The candidates.
    loss
        Loss of each layer for each unit, shape (layer, unit), finite.

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
    return Vote(tuple(layers), units, votes, median, layers[winner], tied)


def fit_layers(request: Request, prepared: dict[str, Responses]) -> dict[str, LayerFit]:
    """Fit each layer of a request to the units of all regions, together where the same images train them."""
    groups: dict[bytes, list[str]] = {}
    for region, responses in prepared.items():
        groups.setdefault(responses.train.tobytes(), []).append(region)
    used = np.unique(np.concatenate([responses.train for responses in prepared.values()]))
    return {
        layer: _fit_layer(request.with_layers(layer), features, list(groups.values()), prepared)
        for layer, features in each_layer(request.features, request.execution, used=used, again=used)
    }


def _fit_layer(
    request: Request,
    features: Features,
    groups: list[list[str]],
    prepared: dict[str, Responses],
) -> LayerFit:
    losses: tuple[dict[str, np.ndarray], ...] = ({}, {})
    n_features, converged = 0, True
    for members in groups:
        mean = np.concatenate([prepared[region].mean for region in members], axis=1)
        together = replace(prepared[members[0]], mean=mean)
        of_train = mean[together.train].mean(axis=0)
        driven = replace(together, mean=mean - of_train)
        ends = np.cumsum([prepared[region].mean.shape[1] for region in members])[:-1]
        centring = _centring(request, together, features)
        for found, responses, centre in zip(losses, (driven, together), (centring, None), strict=True):
            ridge = Ridge(seed=request.seed)
            loss = _loss(request, responses, ridge, features, centre)
            found |= dict(zip(members, np.split(loss, ends), strict=True))
            n_features, converged = ridge.n_features, converged and ridge.solution_.converged
    return LayerFit(*losses, n_features, converged)


def _centring(
    request: Request, responses: Responses, features: Features
) -> Callable[[Trajectory], Trajectory]:
    """Return a function that takes each bin's mean over training images off a layer's features."""
    total: list[torch.Tensor] = []
    for batch in features.batches(request.layer, responses.train):
        averages, n = batch.trajectory.average(responses.steps), len(batch.images)
        sums = [block.double().mean(0) * n for block in averages.blocks]
        total = [a + b for a, b in zip(total, sums, strict=True)] if total else sums
    means = [block / len(responses.train) for block in total]

    def centre(trajectory: Trajectory) -> Trajectory:
        blocks = zip(trajectory.blocks, means, strict=True)
        return Trajectory(tuple(block - mean.to(block) for block, mean in blocks), trajectory.index)

    return centre


def _loss(
    request: Request,
    responses: Responses,
    ridge: Ridge,
    features: Features,
    centre: Callable[[Trajectory], Trajectory] | None,
) -> np.ndarray:
    """Fit ridge and return its loss for each unit, shape (unit,); 1 for a unit that does not vary."""
    transform = FeatureTransform(responses.steps, centre)
    fit_batches(request, responses, ridge, features, transform, judged=False)
    kept = _kept_variance(ridge)
    label, shown = f"fit ridge, {request.layer} (at most)", request.execution.progress
    with progress_bar(label, ridge.n_passes, shown=shown) as on_progress:
        ridge.solve(lambda: on_progress(1))
    targets = responses.mean[responses.train]
    variance = ((targets - targets.mean(axis=(0, 2), keepdims=True)) ** 2).sum(axis=(0, 2))
    explained = (1 - ridge.solution_.validation_loss.min(axis=0)) * kept
    return 1 - np.where(variance > 0, explained / np.where(variance > 0, variance, 1), 0)


def _kept_variance(ridge: Ridge) -> np.ndarray:
    """Return the sum of squares of the targets left in the rows, about their mean, shape (unit,).

    Differences that a layer cannot represent, such as between bins in which it is constant, are removed from
    its rows (`brainfit.mappings.solvers.rows`), from its error and from this variance. Their ratio compares
    penalties of one layer, but not layers.
    """
    rows = [rows for batches in ridge.rows_.values() for rows in batches]
    n = sum(float(part.ones.double().square().sum()) for part in rows)
    total = sum((part.ones.double() @ part.targets.double()).cpu().numpy() for part in rows)
    energy = sum(part.targets.double().square().sum(0).cpu().numpy() for part in rows)
    return np.asarray(energy - total**2 / n)
