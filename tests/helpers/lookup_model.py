"""Make a model whose layers are given arrays, and a recording that is linear in two of them."""

from dataclasses import replace

import numpy as np
import torch
from tiny import TinyModel, tiny_recording

from brainfit.contracts.trajectory import Trajectory


class Lookup(TinyModel):
    """A model whose layers are given arrays (image, step, feature); the pixels of an image hold its index."""

    name = "lookup"
    readout_layers: tuple[str, ...] = ()

    def __init__(self, recording, region_layers, **layers):
        super().__init__(image_size=recording.stimuli.sizes["height"])
        self.layers, self.region_layers = tuple(layers), region_layers
        self.rows = {image.tobytes(): k for k, image in enumerate(recording.stimuli.values)}
        self.features = {name: torch.from_numpy(array).float() for name, array in layers.items()}

    def unroll(self, images, presentation, layers):
        pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        which = [self.rows[image.tobytes()] for image in pixels]
        return {name: in_runs(self.features[name], which) for name in layers}


def in_runs(features, which):
    """Return a trajectory in which steps that are equal for all images share a block."""
    steps = list(features[which].unbind(1))
    for k in range(1, len(steps)):
        if torch.equal(features[:, k], features[:, k - 1]):
            steps[k] = steps[k - 1]
    return Trajectory.from_steps(steps)


def made_up(n_images=80, n_features=6, seed=0):
    """Make V4 linear in layer ``first`` and pIT in layer ``second``; ``noise`` predicts neither."""
    rng = np.random.default_rng(seed)
    base = tiny_recording(n_images=n_images, n_trials=4, n_units=8)
    noise, first, second = rng.normal(size=(3, n_images, 25, n_features))
    is_v4 = base.responses["region"].values == "V4"
    signal = np.empty((n_images, 8, 25))
    for of, layer in ((is_v4, first), (~is_v4, second)):
        signal[:, of] = (layer @ rng.normal(size=(n_features, of.sum()))).swapaxes(1, 2)
    trials = signal[:, None] + rng.normal(size=(n_images, 4, 8, 25))
    recording = replace(base, responses=base.responses.copy(data=trials))
    return recording, Lookup(recording, {"V4": "noise"}, noise=noise, first=first, second=second)
