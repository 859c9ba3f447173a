"""Layers and responses to map from one to the other, simulated at the paper's size.

The layer has a slowly falling spectrum and is smooth in time, and most of its energy is a mean that all
images share, as in recurrent networks; and responses that a few dozen directions of it explain to a quarter
or less, the rest being noise, half of it smooth in time, as what no model explains is in recordings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from brainfit.contracts.trajectory import Trajectory
from brainfit.mappings.base import SharedLinearMap

N_BINS, ONSET, N_ON = 25, 5, 10
N_FOLDS, BATCH = 5, 32
N_COURSES, DECAY = 14, 0.6  # time courses of an image, and by how much each is weaker than the one before
CONTRAST, NOISE = 0.4, 1.6


@dataclass(frozen=True)
class Layer:
    """Draws what a layer does for images, and what units respond.

    Features are max(0, 1 + 0.4 z), where z is a sum of `N_COURSES` cosines over bins, each `DECAY` times as
    strong as the one before, times as many draws of a Gaussian whose k-th principal direction has variance
    1 / k (k <= 1,024). Before `ONSET` they are 1. A feedforward layer has one draw an image, from `ONSET` on
    for `N_ON` bins. Responses are a readout of the first 64 directions of z, of variance 1, and noise
    of standard deviation `NOISE` of each kind: with the courses of z, and white.
    """

    n_features: int
    n_units: int
    feedforward: bool = False

    def parts(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Draw courses (course, bin), directions (direction, feature) and readout (direction, unit)."""
        rng = torch.Generator().manual_seed(0)
        rank = min(1024, self.n_features)
        scale = torch.arange(1, rank + 1) ** -0.5
        mixing = torch.randn(rank, self.n_features, generator=rng) * (scale / scale.norm())[:, None]
        readout = torch.randn(min(64, rank), self.n_units, generator=rng) * scale[:64, None]
        bins = (torch.arange(N_BINS - ONSET) + 0.5) / (N_BINS - ONSET)
        k = torch.arange(1 if self.feedforward else N_COURSES)
        courses = torch.cos(torch.pi * k[:, None] * bins) * DECAY ** k[:, None]
        if self.feedforward:
            courses[:, N_ON:] = 0
        return courses / courses.square().sum(0).mean().sqrt(), mixing, readout / readout.norm(dim=0)

    def batches(self, n_images: int) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
        """Yield features (image, bin, feature) and responses (image, unit, bin), some images at a time."""
        courses, mixing, readout = self.parts()
        for start in range(0, n_images, BATCH):
            n, rng = min(BATCH, n_images - start), torch.Generator().manual_seed(1 + start)
            latent = torch.randn(n, len(courses), len(mixing), generator=rng)
            features = torch.ones(n, N_BINS, self.n_features)
            shown = torch.einsum("kt,ikf->itf", courses, latent @ mixing)
            features[:, ONSET:] = shown.mul_(CONTRAST).add_(1).relu_()
            responses = NOISE * torch.randn(n, self.n_units, N_BINS, generator=rng) + 2
            own = NOISE * torch.randn(n, len(courses), self.n_units, generator=rng)
            driven = latent[..., : len(readout)] @ readout + own
            responses[..., ONSET:] += torch.einsum("kt,iku->iut", courses, driven)
            yield features, responses.numpy()


@dataclass(frozen=True)
class Workload:
    """Images whose features are there: the first three quarters train, with grouped inner folds."""

    features: torch.Tensor
    responses: np.ndarray
    n_train: int
    feedforward: bool

    @property
    def folds(self) -> np.ndarray:
        """The inner fold of each training image."""
        return np.arange(self.n_train) % N_FOLDS

    @property
    def flat(self) -> tuple[np.ndarray, np.ndarray]:
        """Training rows (image x bin, feature) and (image x bin, unit), as peers take them."""
        x = self.features[: self.n_train].reshape(-1, self.features.shape[2]).numpy()
        y = self.responses[: self.n_train].swapaxes(1, 2).reshape(len(x), -1)
        return x, np.ascontiguousarray(y)

    def trajectory(self, images: slice) -> Trajectory:
        """Return what a model's `unroll` would: bins in which nothing changes are one block."""
        steps, bins = list(self.features[images].unbind(1)), range(N_BINS)
        still = [steps[0][:1]] * ONSET
        if self.feedforward:
            return Trajectory.from_steps(
                [*still, *[steps[ONSET]] * N_ON, *[steps[0][:1]] * (N_BINS - ONSET - N_ON)]
            )
        return Trajectory.from_steps([*still, *(steps[k] for k in bins[ONSET:])])

    def taken_in(self, mapping: SharedLinearMap) -> SharedLinearMap:
        """Show a map the training images, as `brainfit.scoring.fitting` does."""
        for start in range(0, self.n_train, BATCH):
            some = slice(start, min(start + BATCH, self.n_train))
            mapping.partial_fit(self.trajectory(some), self.responses[some], self.folds[some])
        return mapping

    def score(self, mapping: Any) -> float:
        """Return the median over units of Pearson r over held-out images x bins."""
        x = self.features[self.n_train :]
        if isinstance(mapping, SharedLinearMap):
            predicted = mapping.predict(Trajectory.from_steps(list(x.unbind(1)))).swapaxes(1, 2)
        else:
            predicted = np.asarray(mapping.predict(x.reshape(-1, x.shape[2]).numpy()))
        truth = self.responses[self.n_train :].swapaxes(1, 2)
        a, b = (y.reshape(-1, truth.shape[2]) for y in (predicted, truth))
        a, b = a - a.mean(0), b - b.mean(0)
        return float(np.median((a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0))))


def workload(n_images: int, n_features: int, n_units: int, feedforward: bool = False) -> Workload:
    """Draw one whole."""
    drawn = list(Layer(n_features, n_units, feedforward).batches(n_images))
    features, responses = torch.cat([x for x, _ in drawn]), np.concatenate([y for _, y in drawn])
    return Workload(features, responses, n_images * 3 // 4, feedforward)
