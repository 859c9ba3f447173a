"""Dense ridge regression in float64, and features whose spectra are hard for iterative solvers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

N_FOLDS = 5


@dataclass(frozen=True)
class Problem:
    """Training and held-out images of one layer and its units.

    Attributes
    ----------
    features
        Shape (image, time_bin, feature), float32.
    responses
        Shape (image, unit, time_bin).
    n_train
        The number of training images; the others are held out.
    """

    features: np.ndarray
    responses: np.ndarray
    n_train: int

    def rows(self, train: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return float64 rows (image x time_bin, feature) and (image x time_bin, unit)."""
        some = slice(None, self.n_train) if train else slice(self.n_train, None)
        x, y = self.features[some].astype(float), self.responses[some].swapaxes(1, 2).astype(float)
        return x.reshape(-1, x.shape[2]), y.reshape(-1, y.shape[2])


def spectrum(name: str, n_features: int) -> np.ndarray:
    """Return the standard deviation of each principal direction of the features, shape (feature,)."""
    k = np.arange(1, n_features + 1)
    return {
        "flat": np.ones(n_features),
        "1/k": k**-0.5,
        "1/k2": 1.0 / k,
        "steps": np.repeat([1, 10**-1.5, 1e-3], -(-n_features // 3))[:n_features],
    }[name]


DOMINATED = tuple(f"one direction 1e{k} times the others" for k in range(2, 7))
CLOCKS = tuple(f"shared time course 1e{k} times the rest" for k in range(2, 6))
SPECTRA = (
    "flat",
    "1/k",
    "1/k2",
    "steps",
    "heavy tails",
    "low-variance signal",
    "low-variance signal, shared time course",
    *DOMINATED,
    *CLOCKS,
)
WIDE_GRID = 10.0 ** (np.arange(-32, 19) / 2)
"""Penalties, as multiples of the mean eigenvalue, beyond which no dense solution changes."""


def make_problem(
    name: str, n_train: int, n_bins: int, n_features: int, n_units: int, noise: float = 0.5, seed: int = 0
) -> Problem:
    """Draw features of a spectrum, smooth in time where there are several bins, and noisy linear responses.

    The signal is a readout of all directions, each according to its variance; in low-variance signals it is a
    readout of the weaker half of the directions, all alike. A direction or a time course that is much larger
    than all others holds no signal, and is a mixture of all features.
    """
    rng = np.random.default_rng(seed)
    n_images, low = n_train + 40, name.startswith("low-variance")
    base = {"heavy tails": "1/k", **dict.fromkeys(SPECTRA[5:7], "1/k2")}.get(name, name)
    scale = spectrum("1/k" if name in DOMINATED + CLOCKS else base, n_features)
    courses = np.cos(np.pi * np.arange(n_bins)[:, None] * (np.arange(n_bins) + 0.5) / n_bins)
    courses *= 0.7 ** np.arange(n_bins)[:, None]
    draws = rng.standard_normal((n_images, n_bins, n_features))
    if name == "heavy tails":
        draws *= 1 / np.sqrt(rng.chisquare(2, size=(n_images, n_bins, 1)) / 2)
    latent = np.einsum("ct,ick->itk", courses, draws)
    readout = rng.standard_normal((n_features, n_units)) * (
        (np.arange(n_features) >= n_features // 2)[:, None] if low else scale[:, None]
    )
    signal = latent @ readout
    features = latent * scale
    if name in DOMINATED:
        mixture = _direction(rng, n_features) * scale.mean() * float(name.split()[2])
        features = features + rng.standard_normal((n_images, n_bins, 1)) * mixture
    if name in CLOCKS:
        course = np.exp(-np.arange(n_bins) / 5)[:, None]
        features = features + course * _direction(rng, n_features) * scale.mean() * float(name.split()[3])
    if name.endswith("shared time course"):
        shared = np.exp(-np.arange(n_bins) / 5)[:, None] * rng.standard_normal(n_features) * 30
        features = features + shared * scale.mean()
    responses = signal / signal.std(axis=(0, 1)) + noise * rng.standard_normal(signal.shape) + 3
    return Problem(features.astype(np.float32), responses.swapaxes(1, 2), n_train)


def _direction(rng: np.random.Generator, n_features: int) -> np.ndarray:
    mixture = rng.standard_normal(n_features)
    return mixture / np.linalg.norm(mixture)


@dataclass(frozen=True)
class Dense:
    """The exact solution: penalties and held-out predictions.

    Attributes
    ----------
    losses
        Held-out squared error over the inner folds as a share of variance, shape (penalty, unit).
    predicted
        Predictions of the held-out rows, shape (row, unit).
    relative_alphas
        The penalties, as multiples of the mean eigenvalue, shape (penalty,).
    """

    losses: np.ndarray
    predicted: np.ndarray
    relative_alphas: np.ndarray

    @property
    def chosen(self) -> np.ndarray:
        """Return the index of each unit's penalty, shape (unit,)."""
        return self.losses.argmin(0)

    def agrees(self, examined: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Return True for each unit whose penalty is the exact one, or the nearest one that was examined.

        Parameters
        ----------
        examined
            Penalties of another solution, as multiples of the mean eigenvalue, shape (penalty,).
        chosen
            Index of each unit's penalty among them, shape (unit,).
        """
        wanted = self.relative_alphas[self.chosen].clip(examined.min(), examined.max())
        return np.isclose(examined[chosen], wanted, rtol=0.01)


def solve_dense(problem: Problem, relative_alphas: np.ndarray = WIDE_GRID) -> Dense:
    """Choose the penalty of each unit on grouped folds and fit, with dense decompositions in float64."""
    x, y = problem.rows(train=True)
    fold = np.repeat(np.arange(problem.n_train) % N_FOLDS, len(x) // problem.n_train)
    alphas = relative_alphas * ((x - x.mean(0)) ** 2).sum() / x.shape[1]
    losses = np.zeros((len(alphas), y.shape[1]))
    for k in range(N_FOLDS):
        inside = fold == k
        for a, predicted in enumerate(_path(x[~inside], y[~inside], x[inside], alphas)):
            losses[a] += ((predicted - y[inside]) ** 2).sum(0)
    chosen, variance = losses.argmin(0), ((y - y.mean(0)) ** 2).sum(0)
    path = np.stack(list(_path(x, y, problem.rows(train=False)[0], alphas)))
    return Dense(losses / variance, np.take_along_axis(path, chosen[None, None], axis=0)[0], relative_alphas)


def _path(x: np.ndarray, y: np.ndarray, new: np.ndarray, alphas: np.ndarray) -> Iterator[np.ndarray]:
    """Yield predictions for new rows under each penalty, by the singular value decomposition of x."""
    mean_x, mean_y = x.mean(0), y.mean(0)
    u, s, vt = np.linalg.svd(x - mean_x, full_matrices=False)
    along, right = (new - mean_x) @ vt.T, u.T @ (y - mean_y)
    for alpha in alphas:
        yield mean_y + (along * (s / (s**2 + alpha))) @ right


def correlations(predicted: np.ndarray, problem: Problem) -> np.ndarray:
    """Return Pearson r over held-out rows for predictions (row, unit), shape (unit,)."""
    truth = problem.rows(train=False)[1]
    a, b = predicted - predicted.mean(0), truth - truth.mean(0)
    return (a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0))
