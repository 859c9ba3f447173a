"""How well each layer of a model predicts each unit: the loss that a layer is chosen by.

Each layer is fitted to every unit by ridge regression, one map for all time bins, as a score fits it and on
the training images of that score alone. A unit's loss is the one that its penalty was chosen by: the squared
error on inner folds of these images, over all bins, as a share of variance. As the least of several
penalties' losses it is a hair too low, for all layers alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from brainfit.features.stream import Features, each_layer
from brainfit.mappings.ridge import Ridge
from brainfit.scoring.fitting import take_in
from brainfit.scoring.request import Request
from brainfit.scoring.responses import Responses
from brainfit.support.progress import progress_bar


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


def fit_layers(
    request: Request, layers: Sequence[str], prepared: dict[str, Responses], progress: bool
) -> dict[str, LayerFit]:
    """Fit each layer to the units of all regions, together where the same images train them."""
    groups: dict[bytes, list[str]] = {}
    for region, responses in prepared.items():
        groups.setdefault(responses.train.tobytes(), []).append(region)
    used = np.unique(np.concatenate([responses.train for responses in prepared.values()]))
    again = used if len(groups) > 1 else used[:0]
    return {
        layer: _fit_layer(replace(request, layer=layer), features, list(groups.values()), prepared, progress)
        for layer, features in each_layer(request, layers, used=used, again=again)
    }


def _fit_layer(
    request: Request,
    features: Features,
    groups: list[list[str]],
    prepared: dict[str, Responses],
    progress: bool,
) -> LayerFit:
    loss, n_features, converged = {}, 0, True
    for members in groups:
        mean = np.concatenate([prepared[region].mean for region in members], axis=1)
        together = replace(prepared[members[0]], mean=mean)
        ridge = Ridge(seed=request.seed)
        take_in(request, together, ridge, features, progress, judged=False)
        kept = _kept_variance(ridge)
        with progress_bar(
            f"fit ridge, {request.layer} (passes, at most)", ridge.n_passes, shown=progress
        ) as advance:
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
