"""Images with equal pixels, images without repeats, and splits that a recording brings."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from linear_recording import made_up

from brainfit.contracts.presentation import Presentation
from brainfit.errors import ContractError
from brainfit.scoring.pictures import find_pictures
from brainfit.scoring.responses import Responses, prepare
from brainfit.scoring.score import score


def prepared(recording, seed=0) -> Responses:
    return prepare(recording.select_region("pIT"), Presentation(), test_fraction=0.25, n_folds=5, seed=seed)


def stimuli(rng, n_images, dtype):
    pixels = rng.integers(0, 255, size=(n_images, 20, 20, 3), dtype=np.uint8)
    pixels = pixels if dtype == "uint8" else (pixels / 255).astype(dtype)
    return xr.DataArray(pixels, dims=("image", "height", "width", "channel"))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_equal_pixels_are_one_picture_and_similar_ones_near_duplicates(dtype, rng):
    images = stimuli(rng, 90, dtype)
    images[70] = images[3]
    images[71] = images[3]
    images[80] = images[5].values + np.asarray(1 if dtype == "uint8" else 0.004, dtype)
    pictures = find_pictures(images)
    assert pictures.n_repeated == 2
    assert len(set(pictures.group[[3, 70, 71]])) == 1
    assert pictures.near_duplicates(np.array([80, 70, 8]), np.arange(70)) == 1
    assert pictures.near_duplicates(np.array([8, 9]), np.arange(10, 60)) == 0


@pytest.mark.parametrize("seed", range(5))
def test_images_of_one_picture_share_split_side_and_fold(seed):
    recording, _ = made_up(n_images=80)
    pixels = recording.stimuli.values.copy()
    pixels[40:] = pixels[:40]
    found = prepared(replace(recording, stimuli=recording.stimuli.copy(data=pixels)), seed)
    assert found.split["same_picture"] == 40
    assert found.split["same_picture_in_both"] == 0
    assert set(found.test % 40).isdisjoint(found.train % 40)
    fold = dict(zip(found.train.tolist(), found.folds.tolist(), strict=True))
    assert all(fold[image] == fold[image + 40] for image in fold if image < 40)


def test_unpredictable_responses_to_repeated_pictures_score_zero():
    recording, model = made_up(n_images=160)
    values, pixels = recording.responses.values.copy(), recording.stimuli.values.copy()
    rng = np.random.default_rng(1)
    values[:80] = rng.normal(size=(80, 1, *values.shape[2:])) + 0.3 * rng.normal(size=values[:80].shape)
    values[80:], pixels[80:] = values[:80], pixels[:80]
    twice = replace(
        recording,
        responses=recording.responses.copy(data=values),
        stimuli=recording.stimuli.copy(data=pixels),
    )
    found = score(model, twice, region="pIT")
    assert abs(found.headline["normalized"]) < 0.15
    assert "Images that show the same picture" in [notice.title for notice in found.notices]


@pytest.mark.parametrize(("n_repeated", "n_test"), [(200, 50), (100, 50), (30, 30)])
def test_test_images_are_drawn_from_those_with_repeats(n_repeated, n_test):
    recording, model = made_up(n_images=200)
    values = recording.responses.values.copy()
    values[n_repeated:, 1:] = np.nan
    once = replace(recording, responses=recording.responses.copy(data=values))
    found = prepared(once)
    assert len(found.test) == n_test
    assert found.test.max() < n_repeated
    assert score(model, once, region="pIT").headline["normalized"] == pytest.approx(1, abs=0.06)


def test_a_recording_without_repeats_is_refused_with_the_reason():
    recording, model = made_up(n_images=40)
    values = recording.responses.values.copy()
    values[:, 1:] = np.nan
    with pytest.raises(ContractError, match="no image with two trials"):
        score(model, replace(recording, responses=recording.responses.copy(data=values)), region="pIT")


def test_the_split_of_a_recording_is_used_and_shared_pictures_are_counted():
    recording, model = made_up(n_images=200)
    own = np.where(np.arange(200) % 5 == 0, "test", "train")
    pixels = recording.stimuli.values.copy()
    pixels[5] = pixels[6]
    responses = recording.responses.assign_coords(split=("image", own))
    fixed = replace(recording, responses=responses, stimuli=recording.stimuli.copy(data=pixels))
    found = prepared(fixed)
    np.testing.assert_array_equal(found.test, np.flatnonzero(own == "test"))
    assert found.split["split"] == "the recording's own"
    assert found.split["same_picture_in_both"] == 1
    result = score(model, fixed, region="pIT")
    assert "The same pictures in training and test" in [notice.title for notice in result.notices]
    assert result.info["provenance"]["images"]["split"] == "the recording's own"
