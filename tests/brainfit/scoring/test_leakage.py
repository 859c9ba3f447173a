"""Held-out responses never influence their predictions, for any mapping, control or layer."""

from dataclasses import replace

import numpy as np
import pytest
from tiny import TinyModel, tiny_recording

import brainfit
from brainfit.contracts.vocabulary import CONTROLS, MAPPINGS

CASES = [
    *({"mapping": name} for name in sorted(MAPPINGS)),
    *({"control": name} for name in CONTROLS),
    {"layer": "auto"},
    {"layer": "auto", "mapping": "pls", "projection": 8},
]
names = pytest.mark.parametrize("options", CASES, ids=lambda options: "-".join(map(str, options.values())))


class TwoLayers(TinyModel):
    """A model whose layers are the small image and its negative."""

    layers = ("small", "negative")

    def unroll(self, images, presentation, layers):
        seen = super().unroll(images, presentation, ["small"] if layers else layers)
        for layer in layers:
            if layer not in self.layers:
                super().unroll(images, presentation, [layer])
        blocks = tuple(-block for block in seen["small"].blocks)
        both = {"small": seen["small"], "negative": replace(seen["small"], blocks=blocks)}
        return {layer: both[layer] for layer in layers}


def recording(n_images: int = 96):
    """Responses that follow the pixels of the image they belong to, with noise."""
    plain = tiny_recording(n_images=n_images)
    shown = plain.stimuli.values.reshape(n_images, -1)[:, :: 32 * 32 * 3 // 6][:, :6] / 255
    signal = 3 * shown[:, None, :, None] * np.linspace(0.5, 1, 25)
    return replace(plain, responses=plain.responses.copy(data=signal + 0.3 * plain.responses.values))


@names
def test_held_out_responses_do_not_change_predictions(options) -> None:
    data = recording()
    first = brainfit.score(TwoLayers(), data, region="pIT", **options)
    held_out = np.isin(data.responses["image_id"].values, first.data["image_id"].values)
    responses = data.responses.copy()
    responses[held_out] = np.random.default_rng(1).normal(size=responses[held_out].shape)
    second = brainfit.score(TwoLayers(), replace(data, responses=responses), region="pIT", **options)
    assert first.info["layer"] == second.info["layer"]
    np.testing.assert_array_equal(first.data["predicted"].values, second.data["predicted"].values)
    # The test can fail: responses of training images do change predictions.
    changed = data.responses.copy()
    changed[~held_out] = 2 * changed[~held_out][::-1].values
    third = brainfit.score(TwoLayers(), replace(data, responses=changed), region="pIT", **options)
    assert not np.array_equal(first.data["predicted"].values, third.data["predicted"].values)


@names
def test_shuffled_images_score_nothing(options) -> None:
    data = recording(n_images=160)
    order = np.random.default_rng(2).permutation(160)
    shuffled = replace(data, responses=data.responses.copy(data=data.responses.values[order]))
    score = brainfit.score(TwoLayers(), shuffled, region="pIT", **options)
    driven = score.data["window_image_driven"].sel(window="pooled").values
    # Correlations over 40 images for 3 units, whose errors depend on each other across bins.
    assert abs(np.nanmean(driven)) < 0.3, driven


def test_the_order_of_images_does_not_matter() -> None:
    data = recording()
    order = np.random.default_rng(3).permutation(96)
    a, b = (brainfit.score(TinyModel(), d, region="pIT") for d in (data, data.select_images(order)))
    np.testing.assert_array_equal(a.data["predicted"].values, b.data["predicted"].values)
    assert a.pooled == b.pooled
