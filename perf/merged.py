"""F5: a feedforward layer, whose bins repeat each other, against the same fit to every bin as a row."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import harness  # first: it fixes the threads
import numpy as np
import sklearn
import torch
from fitting import (
    RELATIVE_ALPHAS,
    RIDGE_CV,
    SIZES,
    SMALL,
    Kept,
    by_row,
    compared,
    fitted,
    mean_eigenvalue,
    named,
)
from profiles import busiest
from simulated_layer import N_BINS, N_FOLDS, Workload, workload

from brainfit.mappings.ridge import Ridge
from brainfit.mappings.solvers.primal import solve_primal
from brainfit.mappings.solvers.rows import Rows
from brainfit.mappings.solvers.solution import RidgeSolution

PAPER, TINY = (5120, 1280, 80), (640, 1280, 80)
"""With fewer images than the paper's, both fits are mostly other work than rows."""


def merged(quick: bool) -> list[dict[str, Any]]:
    """F5: our own rows spelled out, and scikit-learn's leave-one-row-out."""
    return [against_unmerged(TINY if quick else PAPER), against_rows((SMALL if quick else SIZES)["F1"])]


def against_unmerged(size: tuple[int, int, int]) -> dict[str, Any]:
    """Time both on many images.

    That they find the same is a matter of algebra, so it is asked of float64: in float32 each is as far from
    the other as from the truth, for X'X of fewer distinct rows than features has no inverse.
    """
    exact, data = workload(*SMALL["F1"], feedforward=True), workload(*size, feedforward=True)
    difference, rounded = spread_apart(doubled(exact)), spread_apart(exact)
    ours, mine = partial(fitted, data), fitted(data)
    n_images, n_features, _ = SMALL["F1"]
    return harness.row(
        named("F5 unmerged", size, ", feedforward"),
        harness.around(ours, [lambda: by_spelled_rows(data, mine)])[0],
        peer="brainfit on unmerged rows",
        version="",
        at_least=6,
        also=difference < 1e-5,
        note=f"held-out predictions from {n_images} images x {n_features} features equal to "
        f"{difference:.0e} of their spread in float64, wanted 1e-5 (in float32 {rounded:.0e})",
        profile=lambda: busiest(ours),
    )


def against_rows(size: tuple[int, int, int]) -> dict[str, Any]:
    """Time a peer that chooses the penalty by leaving one row out, once."""
    data = workload(*size, feedforward=True)
    mine = fitted(data)
    peer = Kept(partial(by_row, data, RELATIVE_ALPHAS * mean_eigenvalue(data)))
    timing = harness.around(partial(fitted, data), [peer])[0]
    what, other = named("F5 scikit-learn", size, ", feedforward"), data.score(peer.latest)
    return compared(what, data, mine, RIDGE_CV, sklearn.__version__, timing, other, at_least=100)


def doubled(data: Workload) -> Workload:
    """Return the same in float64."""
    return replace(data, features=data.features.double(), responses=data.responses.astype(float))


def spread_apart(data: Workload) -> float:
    """Return the difference of held-out predictions to those of unmerged rows, in standard deviations."""
    mine = fitted(data)
    spelled = by_spelled_rows(data, mine)
    x = data.features[data.n_train :].flatten(0, 1).double().numpy()
    a, b = x @ mine.coef_.T, x @ spelled.coef.double().numpy() / mine.scale_
    a, b = a - a.mean(0), b - b.mean(0)
    return float((np.abs(a - b).max(0) / b.std(0)).max())


def by_spelled_rows(data: Workload, like: Ridge) -> RidgeSolution:
    """Solve with all bins of all images as rows, neither merged nor rotated."""
    x, y = data.flat
    features = (torch.from_numpy(x) - like.shift_) / like.scale_
    targets = torch.from_numpy(y - like.target_shift_.astype(y.dtype))
    image = torch.arange(len(x)) // N_BINS
    inside = [torch.from_numpy(data.folds)[image] == k for k in range(N_FOLDS)]
    ones = [features.new_ones(int(s.sum())) for s in inside]
    folds = [[Rows(features[s], one, targets[s], image[s])] for s, one in zip(inside, ones, strict=True)]
    del features
    return solve_primal(folds, like.relative_alphas)


WORKLOADS = {"F5": merged}
