"""The shared-over-time map against its peers: workloads F1 to F5.

``python perf/fitting.py`` takes a quarter of an hour on two quiet cores; ``--quick`` runs small versions,
``--slow-peers`` adds himalaya. What is mapped is simulated (``simulated_layer.py``); three quarters of the
images train, and r is that of the others.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import harness
import numpy as np
import sklearn
import torch
from simulated_layer import BATCH, N_BINS, N_FOLDS, ONSET, Layer, Workload, workload
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import PredefinedSplit

from brainfit.mappings.krylov import SHARED_WIDTH, RidgeSolution, solve_ridge
from brainfit.mappings.ridge import RELATIVE_ALPHAS, Ridge
from brainfit.mappings.rows import Rows
from brainfit.mappings.sgd import SGD
from brainfit.trajectory import Trajectory

# Images, features, units. F5 has the paper's images: with few, both fits are mostly other work than rows.
SIZES = {"F1": (640, 2560, 80), "F2": (1280, 4096, 64), "F3": (2560, 8192, 256), "F5": (5120, 1280, 80)}
SMALL = {"F1": (128, 512, 80), "F2": (160, 640, 64), "F3": (160, 1280, 96), "F5": (640, 1280, 80)}
F4 = (5120, 65536, 256)
F4_IMAGES, F4_SMALL = (32, 64, 96), (32, 64, 128)
F4_BLOCKS = 15  # as many directions as F3 needs


def rows(
    quick: bool = False,
    slow_peers: bool = False,
    only: Sequence[str] = (),
    f4_images: Sequence[int] = F4_IMAGES,
) -> list[dict[str, Any]]:
    """All workloads, or those that are named; F4 at these numbers of training images."""
    sizes = SMALL if quick else SIZES
    made = {
        "F1": lambda: cross_validated(sizes["F1"], slow_peers),
        "F2": lambda: one_penalty("F2", sizes["F2"], 1 / 1.5, repeats=2, descent=True),
        "F3": lambda: one_penalty("F3", sizes["F3"], 1.0, memory=True, half=True),
        "F4": lambda: scaling(F4_SMALL, 4096) if quick else scaling(f4_images, F4[1]),
        "F5": lambda: merged(sizes["F5"], sizes["F1"], SMALL["F1"]),
    }
    return [entry for name in only or made for entry in made[name]()]


def named(name: str, size: tuple[int, int, int]) -> str:
    """Return what a workload is called."""
    n_images, n_features, n_units = size
    return f"{name}: {n_images:,} images x {N_BINS} bins x {n_features:,} features -> {n_units} units"


def cross_validated(size: tuple[int, int, int], slow_peers: bool) -> list[dict[str, Any]]:
    """F1: peers that choose a penalty, among as many, by row or by image."""
    data = workload(*size)
    mine = fitted(data)
    alphas = RELATIVE_ALPHAS * mean_eigenvalue(data)
    peers = {"scikit-learn RidgeCV, rows left out": (sklearn.__version__, partial(by_row, data, alphas))}
    if slow_peers:
        import himalaya

        version = himalaya.__version__
        peers["himalaya RidgeCV (torch), images left out"] = version, partial(by_image, data, alphas)
    return [
        compared(named("F1", size), data, mine, name, version, peer, repeats=1, at_least=50)
        for name, (version, peer) in peers.items()
    ]


def one_penalty(
    name: str,
    size: tuple[int, int, int],
    at_least: float,
    repeats: int = 1,
    descent: bool = False,
    memory: bool = False,
    half: bool = False,
) -> list[dict[str, Any]]:
    """F2 and F3: a peer that is told the penalty; `half`: ours with rows in 16 bits, too."""
    data = workload(*size)
    mine = fitted(data)
    alpha = float(np.median(mine.alpha_))
    version, what = sklearn.__version__, named(name, size)

    def peer() -> Any:
        return SklearnRidge(alpha=alpha).fit(*data.flat)

    told = "scikit-learn Ridge, one given penalty"
    found = [compared(what, data, mine, told, version, peer, repeats, at_least, memory)]
    if half:
        small = fitted(data, store="bfloat16")
        what += ", rows in bfloat16"
        found.append(compared(what, data, small, told, version, peer, repeats, at_least / 0.7, memory))
    if descent:
        sgd = partial(descended, data)
        found.append(compared(what, data, mine, "brainfit SGD (Adam)", "", sgd, 1, at_least=1.0))
    return found


def compared(
    what: str,
    data: Workload,
    mine: Ridge,
    name: str,
    version: str,
    peer: Any,
    repeats: int,
    at_least: float,
    memory: bool = False,
) -> dict[str, Any]:
    """One row; r must be within .005 of the peer's or better."""
    kept: list[Any] = []
    ours = partial(fitted, data, store=mine.store)
    timing = harness.interleaved(ours, lambda: kept.append(peer()), repeats)
    r, other = data.score(mine), data.score(kept[-1])
    ours_gb, peer_gb, limit, note = None, None, None, f"held-out r {r:.4f}, peer {other:.4f}"
    if memory:
        ours_gb, peer_gb = harness.peak_gb(ours), harness.peak_gb(peer)
        limit = round(0.25 * peer_gb, 2)
        estimated = expected_gb(data, mine.store)
        note += f"; memory estimated {estimated:.2f} GB, {estimated / ours_gb - 1:+.0%}"
    return harness.row(
        what, timing, peer=name, version=version, at_least=at_least, ours_gb=ours_gb, peer_gb=peer_gb,
        limit_gb=limit, also=r > other - 0.005, note=note,
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
    """Return what the check before a fit says it takes, as `brainfit.fitting` asks it."""
    ridge = Ridge(store=store)
    data.taken_in(ridge)
    n_units = data.responses.shape[1]
    return (ridge.row_bytes + ridge.working_bytes(ridge.n_features, n_units, N_FOLDS)) / 1e9


def mean_eigenvalue(data: Workload) -> float:
    """Of the centred training rows' Gram matrix: the unit of `RELATIVE_ALPHAS`."""
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


def scaling(sizes: Sequence[int], n_features: int) -> list[dict[str, Any]]:
    """F4: time against images at three sizes, and what the full size will take if it goes on so."""
    n_full, streamed, taken, rows_gb = F4[0] * 3 // 4, Ridge(), [], 0.0
    for n_images in sizes:
        streamed = Ridge(store="bfloat16", tolerance=0, max_blocks=F4_BLOCKS)
        seconds = streamed_in(streamed, Layer(n_features, F4[2]), n_images)
        rows_gb = streamed.row_bytes / n_images * n_full / 1e9
        taken.append(seconds + harness.seconds(streamed.solve))
    a_image, fixed = np.polyfit(sizes, taken, 1)
    slope = float(np.polyfit(np.log(sizes), np.log(taken), 1)[0])
    whole = rows_gb + streamed.working_bytes(n_features, F4[2], N_FOLDS) / 1e9
    times = ", ".join(f"{n}: {seconds:.1f} s" for n, seconds in zip(sizes, taken, strict=True))
    return [
        harness.alone(
            named("F4", (F4[0], n_features, F4[2])), float(fixed + a_image * n_full),
            target="<= 12 GB, linear in images", ours_gb=whole, met=whole <= 12 and slope < 1.1,
            note=f"extrapolated to {n_full:,} training images in a straight line from {times} (images to the "
            f"power {slope:.2f}); {streamed.solution_.n_directions} directions; memory estimated, "
            f"{rows_gb:.1f} GB of it rows in bfloat16",
        )
    ]  # fmt: skip


def streamed_in(mapping: Ridge, layer: Layer, n_images: int) -> float:
    """Show a map a layer that is made batch by batch; return the seconds that the map took."""
    taken = 0.0
    for number, (features, responses) in enumerate(layer.batches(n_images)):
        steps = list(features.unbind(1))
        trajectory = Trajectory.from_steps([steps[0][:1]] * ONSET + steps[ONSET:])
        folds = (number * BATCH + np.arange(len(features))) % N_FOLDS
        taken += harness.seconds(partial(mapping.partial_fit, trajectory, responses, folds))
    return taken


def merged(
    size: tuple[int, int, int], peer_size: tuple[int, int, int], exact_size: tuple[int, int, int]
) -> list[dict[str, Any]]:
    """F5: a feedforward layer, its repeated rows merged, against the same fit to each bin as a row.

    That both find the same is a matter of algebra, so it is asked of float64: in float32 each is as far from
    the other as from the truth, for X'X of fewer distinct rows than features has no inverse.
    """
    exact, data = doubled(workload(*exact_size, feedforward=True)), workload(*size, feedforward=True)
    difference, rounded = spread_apart(exact), spread_apart(workload(*exact_size, feedforward=True))
    mine = fitted(data)
    what = ", feedforward"
    timing = harness.interleaved(lambda: fitted(data), lambda: by_spelled_rows(data, mine), 1)
    found = harness.row(
        named("F5", size) + what, timing, peer="brainfit on unmerged rows", version="", at_least=6,
        also=difference < 1e-5,
        note=f"held-out predictions from {exact_size[0]} images x {exact_size[1]} features equal to "
        f"{difference:.0e} of their spread in float64, wanted 1e-5 (in float32 {rounded:.0e})",
    )  # fmt: skip
    data = workload(*peer_size, feedforward=True)
    mine = fitted(data)
    peer = partial(by_row, data, RELATIVE_ALPHAS * mean_eigenvalue(data))
    name = "scikit-learn RidgeCV, rows left out"
    entry = compared(
        named("F5", peer_size) + what, data, mine, name, sklearn.__version__, peer, 1, at_least=100
    )
    return [found, entry]


def doubled(data: Workload) -> Workload:
    """Return the same in float64."""
    return replace(data, features=data.features.double(), responses=data.responses.astype(float))


def spread_apart(data: Workload) -> float:
    """How far held-out predictions are from those of unmerged rows, of their standard deviation."""
    mine = fitted(data)
    spelled = by_spelled_rows(data, mine)
    x = data.features[data.n_train :].flatten(0, 1).double().numpy()
    a, b = x @ mine.coef_.T, x @ spelled.coef.double().numpy() / mine.scale_
    a, b = a - a.mean(0), b - b.mean(0)
    return float((np.abs(a - b).max(0) / b.std(0)).max())


def by_spelled_rows(data: Workload, like: Ridge) -> RidgeSolution:
    """Solve ours in as many blocks on all bins of all images, each a row: neither merged nor rotated."""
    x, y = data.flat
    features = (torch.from_numpy(x) - like.shift_) / like.scale_
    targets = torch.from_numpy(y - like.target_shift_.astype(y.dtype))
    image = torch.arange(len(x)) // N_BINS
    inside = [torch.from_numpy(data.folds)[image] == k for k in range(N_FOLDS)]
    ones = [features.new_ones(int(s.sum())) for s in inside]
    folds = [[Rows(features[s], one, targets[s], image[s])] for s, one in zip(inside, ones, strict=True)]
    del features
    return solve_ridge(
        folds,
        np.asarray(like.relative_alphas),
        tolerance=0,
        max_blocks=-(-like.solution_.n_directions // SHARED_WIDTH),
        rng=np.random.default_rng(0),
    )


def main() -> None:
    """Print each row as it comes."""
    parser = argparse.ArgumentParser(description="The shared-over-time map against its peers.")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--slow-peers", action="store_true", help="himalaya too, which takes minutes")
    parser.add_argument("--only", nargs="+", choices=["F1", "F2", "F3", "F4", "F5"], default=[])
    parser.add_argument("--f4-images", nargs="+", type=int, default=F4_IMAGES, help="training images")
    arguments = parser.parse_args()
    for name in arguments.only or ["F1", "F2", "F3", "F4", "F5"]:
        for entry in rows(arguments.quick, arguments.slow_peers, [name], arguments.f4_images):
            print(harness.show(entry), flush=True)


if __name__ == "__main__":
    main()
