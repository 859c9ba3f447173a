"""The smallest model and recording that fulfil their contracts."""

import numpy as np
import xarray as xr

from brainfit.contracts.recording import Recording


class TinyModel:
    """A model whose only layer is the downsampled image, one step late."""

    name = "tiny"
    layers = ("small",)
    region_layers = {"pIT": "small"}  # noqa: RUF012
    step_ms = 10
    weights = "random:0"

    def __init__(self, image_size=16, seed=0):
        self.image_size = image_size
        self.seed = seed

    def unroll(self, images, presentation, layers):
        import torch

        from brainfit.contracts.trajectory import Trajectory
        from brainfit.support.suggestions import unknown_name

        for layer in layers:
            if layer not in self.layers:
                raise unknown_name("layer", layer, self.layers)

        seen = [
            frame
            for frame, steps in presentation.frames(images, lambda pixels: pixels - 0.5)
            for _ in range(steps)
        ]
        blocks = {id(frame): torch.nn.functional.avg_pool2d(frame, self.image_size // 4) for frame in seen}
        nothing = torch.zeros_like(blocks[id(seen[0])][:1])
        return {
            layer: Trajectory.from_steps([nothing, *(blocks[id(frame)] for frame in seen[:-1])])
            for layer in layers
        }


def tiny_recording(n_images=16, n_trials=4, n_units=6, n_bins=25):
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(n_images, 1, n_units, n_bins))
    start = np.arange(n_bins) * 10.0
    responses = xr.DataArray(
        signal + 0.5 * rng.normal(size=(n_images, n_trials, n_units, n_bins)),
        dims=("image", "trial", "unit", "time_bin"),
        coords={
            "image_id": ("image", [f"i{k}" for k in range(n_images)]),
            "object_name": ("image", [f"o{k % 2}" for k in range(n_images)]),
            "category_name": ("image", ["thing"] * n_images),
            "variation": ("image", [3] * n_images),
            "unit_id": ("unit", [f"u{k}" for k in range(n_units)]),
            "region": ("unit", ["V4", "pIT"] * (n_units // 2)),
            "animal": ("unit", ["a"] * n_units),
            "array": ("unit", ["x"] * n_units),
            "time_bin_start": ("time_bin", start),
            "time_bin_end": ("time_bin", start + 10),
        },
    )
    pixels = rng.integers(0, 256, size=(n_images, 32, 32, 3), dtype=np.uint8)
    stimuli = xr.DataArray(pixels, dims=("image", "height", "width", "channel"))
    return Recording("tiny", responses, stimuli, simulated=True)
