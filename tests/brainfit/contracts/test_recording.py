"""The contract of recordings, and how they are prepared for a fit."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from pages import Page
from tiny import tiny_recording

from brainfit.contracts.presentation import Presentation
from brainfit.contracts.recording import check_recording, recording_facts, unique_unit_ids
from brainfit.errors import ContractError, UnknownNameError
from brainfit.scoring.responses import Dropped, align_bins, average_trials, complete_units, require_trials
from brainfit.support.lazy_arrays import lazy_variable


def changed(**coords):
    recording = tiny_recording()
    return replace(recording, responses=recording.responses.assign_coords(coords))


def stimuli(shape, dtype: Any = np.uint8, dims=("image", "height", "width", "channel")):
    return replace(tiny_recording(), stimuli=xr.DataArray(np.zeros(shape, dtype), dims=dims))


def test_a_valid_recording_passes_with_and_without_trials():
    recording = tiny_recording()
    check_recording(recording)
    check_recording(replace(recording, responses=recording.responses.mean("trial")))


@pytest.mark.parametrize(
    ("recording", "message"),
    [
        (replace(tiny_recording(), responses=tiny_recording().responses.rename(unit="neuroid")), "have dims"),
        (
            replace(tiny_recording(), responses=tiny_recording().responses.drop_vars("region")),
            "'region' is missing",
        ),
        (tiny_recording().select_images([]), "no image at all"),
        (
            changed(unit_id=("unit", ["u"] * 6)),
            "'u' occurs 6 times; give every unit an id of its own, such as the animal's name and a number",
        ),
        (changed(image_id=("image", ["i"] * 16)), "'i' occurs 16 times; .* its repeats as trials"),
        (changed(split=("image", ["train", "valid"] * 8)), "unknown split 'valid'; wanted train, test"),
        (changed(split=("unit", ["train"] * 6)), "'split' is not on dim 'image'"),
        (replace(tiny_recording(), response_window=(200.0, 70.0)), "must end after it starts"),
        (replace(tiny_recording(), response_window=(70.0, float("nan"))), "response_window is a number"),
        (replace(tiny_recording(), response_window=70.0), r"wanted \(start, end\) in ms"),
        (replace(tiny_recording(), on_ms=100), "on_ms and off_ms are needed together"),
        (replace(tiny_recording(), on_ms=0, off_ms=100), "on_ms is a whole number from 1 up, got 0"),
        (changed(region=("unit", ["V4", "MT"] * 3)), "unknown region 'MT'"),
        (changed(time_bin_end=("time_bin", np.zeros(25))), "end after they start"),
        (changed(time_bin_start=("time_bin", np.arange(25.0)[::-1])), "must increase"),
        (None, "wanted a brainfit.Recording, got NoneType"),
        (
            replace(tiny_recording(), responses=np.zeros((16, 4, 6, 25))),
            "responses are ndarray, wanted an xarray",
        ),
        (replace(tiny_recording(), name="a\nb"), "name of a recording is text"),
        (changed(unit_id=("unit", [*"abcde", "\ud800"])), r"each unit_id is text .* '\\ud800'"),
        (changed(object_name=("image", ["a\0b"] * 16)), "each object_name is text"),
        (changed(animal=("unit", np.array(["a", 3] * 3, object))), "each animal is text .* 3"),
        (changed(date=("unit", np.zeros(6, "M8[ns]"))), "'date' is datetime64"),
        (changed(**{"the depth": ("unit", np.zeros(6))}), "'the depth' is float64"),
        (stimuli((16, 0, 0, 3)), "at least 1 pixel"),
        (stimuli((16, 8, 8, 3), ">f4"), "byte order"),
        (stimuli((16, 8, 9, 3)), "square"),
        (stimuli((16, 8, 8, 1)), "3 channels"),
        (stimuli((15, 8, 8, 3)), "15 images but responses to 16"),
        (stimuli((16, 8, 8, 3), np.int64), "uint8 in"),
        (stimuli((16, 3, 8, 8), dims=("image", "channel", "height", "width")), "have dims"),
    ],
)
def test_each_violation_is_reported_in_one_line(recording, message):
    with pytest.raises(ContractError, match=message) as caught:
        check_recording(recording)
    assert "\n" not in str(caught.value)


def test_a_description_includes_split_window_and_presentation():
    recording = changed(split=("image", ["train"] * 12 + ["test"] * 4))
    recording = replace(recording, response_window=(70.0, 250.0), on_ms=200, off_ms=200)
    check_recording(recording)
    facts = recording_facts(recording)
    assert facts["split"] == "12 train images, 4 test images"
    assert facts["presentation"] == "image for 200 ms, then gray for 200 ms"
    assert facts["response window"] == "70 to 250 ms"


def test_overlapping_and_unequal_bins_are_described():
    start, end = np.arange(25) * 10.0 - 100, np.arange(25) * 10.0 - 80
    end[-1] += 30
    facts = recording_facts(changed(time_bin_start=("time_bin", start), time_bin_end=("time_bin", end)))
    assert facts["time bins"] == (
        "25 from -100 to 190 ms, each 20 to 50 ms wide, overlapping (each is taken by its centre)"
    )


@pytest.mark.parametrize("many", [False, True])
def test_the_repr_fits_a_screen_and_reads_no_responses(many):
    def read(*positions):
        raise AssertionError

    tiny = tiny_recording()
    lazy = xr.DataArray(
        lazy_variable(("image", "trial", "unit", "time_bin"), tiny.responses.shape, float, read),
        coords=tiny.responses.coords,
    )
    recording = replace(tiny, responses=lazy, provenance={"source": "made up\n", "dropped": [1] * 1000})
    if many:
        animals = ("unit", [f"animal {k}" * 50 for k in range(6)])
        recording = replace(recording, responses=lazy.assign_coords(animal=animals))
    for text in (repr(recording), Page(recording._repr_html_()).text):
        for wanted in (
            "tiny",
            "16 of 2 objects, 32 × 32 pixels",
            "up to 4 per image",
            "made up",
        ):
            assert wanted in text
        assert "V4 3 (" in text
    assert len(repr(recording).splitlines()) <= 12
    colours = re.findall(r"(?:color|background)[^:;\"]*: *([^;\"]+)", recording._repr_html_())
    assert set(colours) == {"inherit"}


def test_markup_in_names_is_escaped_in_notebooks():
    hostile = "<script>alert(1)</script>"
    recording = replace(tiny_recording(), name=hostile, provenance={hostile: hostile})
    assert "<script" not in recording._repr_html_()
    assert hostile in Page(recording._repr_html_()).text


IDS = np.array([0, 1, 2, 0, 1, 2])
ANIMALS, ARRAYS = np.array(list("aaabbb")), np.array(list("xxxyyy"))


@pytest.mark.parametrize(
    ("ids", "groups", "wanted", "how"),
    [
        (np.arange(6), (ANIMALS, ARRAYS), ["0", "1", "2", "3", "4", "5"], None),
        (IDS, (ANIMALS,), ["a_0", "a_1", "a_2", "b_0", "b_1", "b_2"], "made unique with the animal's name"),
        (
            IDS,
            (np.array(["a"] * 6), ARRAYS),
            ["a_x_0", "a_x_1", "a_x_2", "a_y_0", "a_y_1", "a_y_2"],
            "made unique with the names of animal and array",
        ),
        (IDS, (np.array(["a"] * 6), np.array(["x"] * 6)), ["0", "1", "2", "0", "1", "2"], None),
        (IDS, (), ["0", "1", "2", "0", "1", "2"], None),
    ],
)
def test_repeated_unit_ids_are_made_unique_by_animal(ids, groups, wanted, how):
    found, said = unique_unit_ids(ids, *groups)
    assert found.astype(str).tolist() == wanted
    assert said == how


def test_a_unit_may_be_labelled_it_without_a_subregion():
    recording = changed(region=("unit", ["V4", "IT", "IT", "pIT", "aIT", "V1"]))
    check_recording(recording)
    assert recording.select_region("IT").responses["unit_id"].size == 4
    assert recording.select_region("pIT").responses["unit_id"].size == 1


def test_selecting_it_selects_its_subregions():
    recording = tiny_recording()
    assert recording.select_region("V4").responses.sizes["unit"] == 3
    assert set(recording.select_region("IT").responses["region"].values) == {"pIT"}
    with pytest.raises(UnknownNameError, match="did you mean 'pIT'"):
        recording.select_region("pITT")
    with pytest.raises(ContractError, match="region is text"):
        recording.select_region(np.array(["V4", "pIT"]))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ContractError, match=r"no units in region 'cIT'; it has V4 3 \(a 3\); pIT 3 \(a 3\)"):
        recording.select_region("cIT")


def test_only_selected_lazy_values_are_read(rng):
    values = rng.normal(size=(5, 6, 7))
    asked = []

    def read(*positions):
        asked.append([len(p) for p in positions])
        return values[np.ix_(*positions)]

    lazy = xr.DataArray(lazy_variable(("a", "b", "c"), values.shape, float, read))
    part = lazy.isel(a=[3, 1], b=slice(1, 5, 2)).isel(c=0)
    assert not asked
    np.testing.assert_array_equal(part.values, values[[3, 1]][:, 1:5:2, 0])
    assert asked == [[2, 2, 1]]


def test_averages_ignore_missing_trials():
    responses = tiny_recording().responses.copy(deep=True)
    responses[3, 2] = np.nan  # an image with fewer trials
    responses[4, 1, 5, 7] = np.nan  # a trial that lacks a bin does not count for that unit
    responses[5, :, 0] = np.nan  # an image without responses of one unit
    averages = average_trials(responses)
    assert (averages.n_trials[3] == 3).all()
    assert averages.n_trials[4, 5] == 3
    assert averages.n_trials[5, 0] == 0
    np.testing.assert_allclose(averages.mean[3], responses[3, [0, 1, 3]].mean("trial"), rtol=1e-6)
    np.testing.assert_allclose(averages.mean[4, 5], responses[4, [0, 2, 3], 5].mean("trial"), rtol=1e-6)
    assert np.isnan(averages.mean[5, 0]).all()
    dropped = Dropped()
    kept = complete_units(averages, np.arange(8), np.arange(8, 16), dropped)
    assert list(kept) == [False, True, True, True, True, True]
    assert dropped.records[0]["n"] == 1


@pytest.mark.parametrize(
    ("change", "dtype", "why"),
    [
        (lambda x: 1e-200 * x, "f8", "vary by less than 1e-15 or more than 1e\\+15: unit unit_1"),
        (lambda x: 1e200 * x, "f8", "vary by less than 1e-15 or more than 1e\\+15: unit unit_1"),
        (lambda x: x + 2e7, "f4", "number format rounds off most of what varies: unit unit_1"),
        (lambda x: x + 1e9, "f8", None),
        (lambda x: 1e6 - 1e9 * x, "f8", None),
    ],
)
def test_a_unit_beyond_the_precision_of_numbers_is_left_out_by_name(change, dtype, why, rng):
    values = rng.normal(size=(16, 3, 4, 5))
    values[:, :, 1] = change(values[:, :, 1])
    names = ("unit", [f"unit_{k}" for k in range(4)])
    trials = xr.DataArray(
        values.astype(dtype), dims=("image", "trial", "unit", "time_bin"), coords={"unit_id": names}
    )
    dropped = Dropped()
    kept = complete_units(average_trials(trials), np.arange(8), np.arange(8, 16), dropped)
    assert kept.tolist() == [True, why is None, True, True]
    assert bool(dropped.records) == (why is not None)
    if why is not None:
        assert re.search(why, dropped.records[0]["why"])
        with pytest.raises(ContractError, match=why):
            complete_units(average_trials(trials[:, :, [1]]), np.arange(8), np.arange(8, 16), Dropped())


@pytest.mark.parametrize(
    ("make", "n"),
    [
        (lambda x: x, 0),
        (lambda x: np.repeat(x[:, :1], 4, axis=1), 6),
        (lambda x: np.concatenate([x[:, :3], x[:, :1]], axis=1), 6),
        (lambda x: np.rint(x).clip(0, 1), 0),  # counts that agree by chance
        (lambda x: np.where(np.arange(4)[:, None, None] < 2, x, np.nan), 0),  # missing trials
        (lambda x: np.where(np.arange(6)[:, None, None, None] < 3, x, np.nan), 0),  # images without trials
    ],
)
def test_trials_that_are_equal_to_the_last_bit_are_counted_as_copies(make, n, rng):
    values = make(rng.normal(size=(6, 4, 3, 5)))
    averages = average_trials(xr.DataArray(values, dims=("image", "trial", "unit", "time_bin")))
    assert averages.n_copied == n


def test_bins_match_the_steps_that_hold_their_centres():
    recording = tiny_recording(n_bins=30)
    shifted = recording.responses.assign_coords(
        time_bin_start=("time_bin", np.arange(30) * 10.0 - 20),
        time_bin_end=("time_bin", np.arange(30) * 10.0),
    )
    shifted = shifted.assign_coords(time_bin_end=("time_bin", np.arange(30) * 10.0 - 10))
    dropped = Dropped()
    aligned, steps = align_bins(replace(recording, responses=shifted), Presentation(), dropped)
    assert steps == [range(k, k + 1) for k in range(25)]
    assert list(aligned.responses["time_bin_start"].values[:2]) == [0, 10]
    assert dropped.records[0]["n"] == 5


def test_bins_in_seconds_and_bins_too_fine_are_refused():
    seconds = changed(time_bin_start=("time_bin", np.arange(25) / 100 + 1000))
    seconds = replace(
        seconds,
        responses=seconds.responses.assign_coords(time_bin_end=("time_bin", np.arange(25) / 100 + 1000.01)),
    )
    with pytest.raises(ContractError, match="in ms from image onset"):
        align_bins(seconds, Presentation(), Dropped())
    fine = changed(time_bin_start=("time_bin", np.arange(25.0)))
    fine = replace(
        fine, responses=fine.responses.assign_coords(time_bin_end=("time_bin", np.arange(25.0) + 1))
    )
    with pytest.raises(ContractError, match="several time bins fall in one 10 ms step"):
        align_bins(fine, Presentation(), Dropped())


@pytest.mark.parametrize("drop", [{}, {"trial": [0]}])
def test_a_ceiling_needs_trials(drop):
    responses = tiny_recording().responses
    responses = responses.isel(drop) if drop else responses.mean("trial")
    with pytest.raises(ContractError, match="a noise ceiling needs at least 2 trials"):
        require_trials(replace(tiny_recording(), responses=responses))


def test_a_region_of_its_own_is_declared_and_selected():
    recording = changed(region=("unit", ["VISp", "V4"] * 3))
    with pytest.raises(ContractError, match=r"unknown region 'VISp'; .* --regions VISp=V1"):
        check_recording(recording)
    declared = replace(recording, own_regions=("VISp",))
    check_recording(declared)
    assert declared.regions == ("V4", "VISp")
    assert declared.select_region("VISp").responses.sizes["unit"] == 3
    with pytest.raises(UnknownNameError, match="VISx"):
        declared.select_region("VISx")


@pytest.mark.parametrize("name", ["v4", "It", "PIT"])
def test_a_region_of_its_own_cannot_be_a_misspelt_standard_one(name):
    recording = replace(changed(region=("unit", [name, "V4"] * 3)), own_regions=(name,))
    with pytest.raises(ContractError, match="would be confused with"):
        check_recording(recording)


def test_another_presentation_or_split_is_stated_in_the_provenance():
    prescribed = replace(changed(split=("image", ["train", "test"] * 8)), on_ms=200, off_ms=200)
    other = prescribed.presented(on_ms=100, split="drawn")
    assert (other.on_ms, other.off_ms) == (100, 200)
    assert "split" not in other.responses.coords
    assert other.provenance["as_given"] == {"on_ms": 100, "split": "drawn"}
    assert other.provenance["as_given_instead_of"] == {"on_ms": 200}
    assert prescribed.presented() is prescribed
    with pytest.raises(ContractError, match="no split of its own"):
        tiny_recording().presented(split="recording")
    with pytest.raises(ContractError, match="needed together"):
        tiny_recording().presented(on_ms=100)
