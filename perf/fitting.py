"""The shared-over-time map against its peers: workloads F1 to F3.

Features are simulated (`simulated_layer`); three quarters of the images train, and r is that of the
others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import harness  # first: it fixes the threads
import numpy as np
import sklearn
from peaks import peak_gb
from profiles import busiest
from simulated_layer import N_BINS, N_FOLDS, Workload, workload
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import PredefinedSplit

from brainfit.mappings.ridge import Ridge
from brainfit.mappings.sgd import SGD

# Images, features, units.
SIZES = {"F1": (640, 2560, 80), "F2": (1280, 4096, 64), "F3": (2560, 8192, 256)}
SMALL = {"F1": (128, 512, 80), "F2": (160, 640, 64), "F3": (160, 1280, 96)}
RELATIVE_ALPHAS = np.logspace(-3, 5, 17)
"""The penalties among which peers choose, as multiples of the mean eigenvalue."""
RIDGE_CV = "scikit-learn RidgeCV, rows left out"
TOLD = "scikit-learn Ridge, one given penalty"
SGD_PEER = "brainfit SGD (Adam)"


def named(name: str, size: tuple[int, int, int], what: str = "") -> str:
    """Return what a workload is called; `name` is its id and which of them it is."""
    n_images, n_features, n_units = size
    return f"{name}: {n_images:,} images x {N_BINS} bins x {n_features:,} features{what} -> {n_units} units"


def cross_validated(quick: bool) -> list[dict[str, Any]]:
    """F1: peers that choose a penalty, among as many, by row or by image; each slow peer runs once."""
    size = (SMALL if quick else SIZES)["F1"]
    data = workload(*size)
    mine = fitted(data)
    alphas = RELATIVE_ALPHAS * mean_eigenvalue(data)
    peers = [("scikit-learn", RIDGE_CV, sklearn.__version__, partial(by_row, data, alphas))]
    if find_spec("himalaya") is not None:  # of the extra "perf"; without it the page says: not measured
        import himalaya

        peer = partial(by_image, data, alphas)
        peers.append(("himalaya", "himalaya RidgeCV (torch), images left out", himalaya.__version__, peer))
    fits = {which: Kept(peer) for which, _, _, peer in peers}
    timings = harness.around(partial(fitted, data), list(fits.values()))
    scores = {which: data.score(fit.latest) for which, fit in fits.items()}
    return [
        compared(named(f"F1 {which}", size), data, mine, name, version, timing, scores[which], at_least=50)
        for (which, name, version, _), timing in zip(peers, timings, strict=True)
    ]


def one_penalty(
    name: str, size: tuple[int, int, int], at_least: float, repeats: int, large: bool
) -> list[dict[str, Any]]:
    """F2 and F3: a peer that is told the penalty, and SGD; `large`: memory, and rows in 16 bits, too."""
    data = workload(*size)
    mine = fitted(data)
    alpha = float(np.median(mine.alpha_))
    told = Kept(lambda: SklearnRidge(alpha=alpha).fit(*data.flat))
    stores = {"": mine, " bfloat16": fitted(data, store="bfloat16")} if large else {"": mine}
    peer_gb, found = peak_gb(told) if large else None, []
    for store, fit in stores.items():
        timing = harness.interleaved(partial(fitted, data, store=fit.store), told, repeats)
        found.append(
            compared(
                named(name + store, size), data, fit, TOLD, sklearn.__version__, timing,
                data.score(told.latest), at_least * (2 if store else 1), peer_gb,
            )
        )  # fmt: skip
    descent = Kept(partial(descended, data))
    timing = harness.around(partial(fitted, data), [descent])[0]
    r = data.score(descent.latest)
    found.append(compared(named(f"{name} SGD", size), data, mine, SGD_PEER, "", timing, r, at_least=1.0))
    return found


class Kept:
    """Calls a function, and keeps what it returned last."""

    latest: Any = None

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function

    def __call__(self) -> None:
        """Call it."""
        self.latest = self.function()


def compared(
    what: str,
    data: Workload,
    mine: Ridge,
    name: str,
    version: str,
    timing: dict[str, Any],
    other: float,
    at_least: float,
    peer_gb: float | None = None,
) -> dict[str, Any]:
    """One row; r must be no more than .005 below the peer's, and memory a quarter of it where measured."""
    ours = partial(fitted, data, store=mine.store)
    r = data.score(mine)
    ours_gb, limit, note = None, None, f"held-out r {r:.4f}, peer {other:.4f}"
    if peer_gb is not None:
        ours_gb, limit, estimated = peak_gb(ours), round(0.25 * peer_gb, 2), expected_gb(data, mine.store)
        note += f"; memory estimated {estimated:.2f} GB, {estimated / ours_gb - 1:+.0%}"
    return harness.row(
        what, timing, peer=name, version=version, at_least=at_least, ours_gb=ours_gb, peer_gb=peer_gb,
        limit_gb=limit, also=r > other - 0.005, note=note, profile=lambda: busiest(ours),
    )  # fmt: skip


def fitted(data: Workload, **options: Any) -> Ridge:
    """Fit ours, compression of rows, path of penalties and grouped choice included."""
    ridge = Ridge(**options)
    data.taken_in(ridge)
    return ridge.solve()


def descended(data: Workload) -> SGD:
    """Fit by gradient descent, as the paper does."""
    mapping = SGD()
    data.taken_in(mapping)
    return mapping.solve()


def expected_gb(data: Workload, store: str) -> float:
    """Return what the check before a fit says it takes, as `brainfit.scoring.fitting` asks it."""
    ridge = Ridge(store=store)
    data.taken_in(ridge)
    n_units = data.responses.shape[1]
    return (ridge.row_bytes + ridge.working_bytes(ridge.n_rows, ridge.n_features, n_units, N_FOLDS)) / 1e9


def mean_eigenvalue(data: Workload) -> float:
    """Return the mean eigenvalue of the centred Gram matrix: the unit of `RELATIVE_ALPHAS`."""
    x, _ = data.flat
    return float(x.var(axis=0, dtype=np.float64).sum() * len(x) / x.shape[1])


def by_row(data: Workload, alphas: np.ndarray) -> RidgeCV:
    """Choose the penalty of each unit by leaving one row (an image at a bin) out."""
    return RidgeCV(alphas=alphas, alpha_per_target=True).fit(*data.flat)


def by_image(data: Workload, alphas: np.ndarray) -> Any:
    """Choose the penalty of each unit by the same folds of images as ours."""
    from himalaya.backend import set_backend
    from himalaya.ridge import RidgeCV as HimalayaRidgeCV

    set_backend("torch")
    folds: Any = PredefinedSplit(np.repeat(data.folds, N_BINS))
    return HimalayaRidgeCV(alphas=alphas, fit_intercept=True, cv=folds).fit(*data.flat)


WORKLOADS = {
    "F1": cross_validated,
    "F2": lambda quick: one_penalty("F2", (SMALL if quick else SIZES)["F2"], 1 / 1.5, 2, large=False),
    "F3": lambda quick: one_penalty("F3", (SMALL if quick else SIZES)["F3"], 1.0, 1, large=True),
}
