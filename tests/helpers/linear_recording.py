"""Make a recording that is linear in known features, and a model with those features."""

from dataclasses import replace

import numpy as np
import torch
from tiny import TinyModel, tiny_recording

from brainfit.contracts.trajectory import Trajectory


class LinearModel(TinyModel):
    """A model with noisy copies of the features behind a recording, looked up by an image's first pixels."""

    name = "linear"
    layers = ("late",)
    region_layers = {"pIT": "late"}  # noqa: RUF012

    def __init__(self, features):
        super().__init__(image_size=8)
        self.features = torch.from_numpy(features).float()

    def unroll(self, images, presentation, layers):
        which = (images[:, 0, 0, 0] * 255).round().long() * 256 + (images[:, 0, 0, 1] * 255).round().long()
        steps = [torch.zeros(1, self.features.shape[2])] * 5
        steps += list(self.features[which].unbind(1))
        return {layer: Trajectory.from_steps(steps) for layer in layers}


def made_up(n_images=200, n_trials=6, n_units=8, noise=1.0, seed=0):
    """Make a recording that is linear in known features, and a model with those features."""
    rng = np.random.default_rng(seed)
    base = tiny_recording(n_images=n_images, n_trials=n_trials, n_units=2 * n_units)
    features = rng.normal(size=(n_images, 20, 12))
    signal = np.zeros((n_images, 2 * n_units, 25))
    signal[..., 5:] = (features @ rng.normal(size=(12, 2 * n_units))).swapaxes(1, 2) / np.sqrt(12)
    trials = signal[:, None] + noise * rng.normal(size=(n_images, n_trials, 2 * n_units, 25))
    pixels = np.zeros((n_images, 8, 8, 3), np.uint8)
    pixels[:, 0, 0], pixels[:, 0, 1] = np.arange(n_images)[:, None] // 256, np.arange(n_images)[:, None] % 256
    recording = replace(
        base,
        responses=base.responses.copy(data=trials),
        stimuli=base.stimuli.isel(height=slice(8), width=slice(8)).copy(data=pixels),
    )
    return recording, LinearModel(features)
