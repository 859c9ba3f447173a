"""The matrix of trained and tested bins: its diagonal and its off-diagonal structure."""

import numpy as np
import pytest
import torch
from tiny import TinyModel, tiny_recording

import brainfit
from brainfit.contracts.trajectory import Trajectory


class Turning(TinyModel):
    """A model whose features change sign halfway through time."""

    def unroll(self, images, presentation, layers):
        pooled = torch.nn.functional.avg_pool2d(images, self.image_size // 4) - 0.5
        blocks = (pooled, -pooled)
        index = tuple(int(step >= 13) for step in range(presentation.n_steps))
        return {layer: Trajectory(blocks, index) for layer in layers}


def recording_of(model: TinyModel, n_images: int = 80):
    """Make units that respond with one pixel of the model's input, at all times alike."""
    recording = tiny_recording(n_images=n_images, n_units=4)
    pixels = torch.from_numpy(recording.stimuli.values).permute(0, 3, 1, 2).float() / 255
    shown = torch.nn.functional.interpolate(pixels, (16, 16), mode="bilinear", antialias=True)
    seen = torch.nn.functional.avg_pool2d(shown, 4).flatten(1)[:, :4].numpy()
    signal = 40 * seen[:, None, :, None] * np.ones((1, 1, 1, 25))
    noise = np.random.default_rng(0).normal(size=recording.responses.shape)
    responses = recording.responses.copy(data=signal + 0.2 * noise)
    return type(recording)("linear", responses, recording.stimuli, simulated=True)


def test_the_diagonal_equals_the_score_of_a_map_per_bin() -> None:
    recording = tiny_recording(n_images=60)
    options = {"region": "pIT", "seed": 3}
    matrix = brainfit.temporal_generalization(TinyModel(), recording, **options)["r"]
    score = brainfit.score(TinyModel(), recording, control="per-bin", **options)
    diagonal = np.einsum("utt->ut", matrix.values)
    expected = score.data["r"].values
    both = np.isfinite(diagonal) & np.isfinite(expected) & (expected != 0)
    assert both[:, 1:11].all()  # during the image; afterwards all images are the same gray
    np.testing.assert_allclose(diagonal[both], expected[both], atol=1e-5)
    assert np.isnan(diagonal[:, 12:]).all()


def test_a_code_that_changes_sign_generalises_within_halves_only() -> None:
    model = Turning()
    found = brainfit.temporal_generalization(model, recording_of(model), region="pIT")
    medians = found["r"].median("unit").values
    assert found["trained_bin_start"].values[13] == 130
    for trained in (0, 12, 13, 24):
        for tested in (0, 12, 13, 24):
            same = (trained < 13) == (tested < 13)
            assert medians[trained, tested] == pytest.approx(1 if same else -1, abs=0.05)
