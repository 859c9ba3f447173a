"""Inter-animal consistency finds the shared signal and never fits test responses."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

import brainfit
from brainfit.analyses.inter_animal import (
    MIN_UNITS,
    InterAnimalConsistency,
    inter_animal_consistency,
    summary,
)
from brainfit.cli.app import app
from brainfit.contracts.recording import Recording
from brainfit.errors import ContractError, UnknownNameError
from brainfit.registry import lookup

COURSE = np.r_[0, 0, np.linspace(1.5, 0.5, 6)]
N_LATENT = 4


def two_animals(
    n_images: int = 240,
    n_trials: int = 8,
    units: tuple[int, ...] = (20, 20),
    shared: float = 1.0,
    noise: float = 1.0,
) -> Recording:
    """Make animals whose units mix the same few signals and add a private part."""
    rng = np.random.default_rng(5)
    latent = rng.normal(size=(n_images, N_LATENT))
    n = sum(units)
    weights = rng.normal(size=(N_LATENT, n))
    common = latent @ (weights / np.linalg.norm(weights, axis=0))
    mean = np.sqrt(shared) * common + np.sqrt(1 - shared) * rng.normal(size=(n_images, n))
    trials = mean[:, None] + noise * rng.normal(size=(n_images, n_trials, n))
    start = np.arange(len(COURSE)) * 20.0
    responses = xr.DataArray(
        trials[..., None] * COURSE + 0.1 * rng.normal(size=(*trials.shape, len(COURSE))),
        dims=("image", "trial", "unit", "time_bin"),
        coords={
            "image_id": ("image", [f"i{k}" for k in range(n_images)]),
            "object_name": ("image", [f"o{k % 4}" for k in range(n_images)]),
            "category_name": ("image", ["thing"] * n_images),
            "variation": ("image", [3] * n_images),
            "unit_id": ("unit", [f"u{k}" for k in range(n)]),
            "region": ("unit", ["V4"] * n),
            "animal": ("unit", np.repeat(["Ada", "Bo", "Cy"][: len(units)], units)),
            "array": ("unit", ["x"] * n),
            "time_bin_start": ("time_bin", start),
            "time_bin_end": ("time_bin", start + 20),
        },
    )
    pixels = np.zeros((n_images, 2, 2, 3), np.uint8)
    pixels[:, 0, :, 0] = np.stack(
        np.divmod(np.arange(n_images), 256), axis=1
    )  # a different picture for each image
    stimuli = xr.DataArray(pixels, dims=("image", "height", "width", "channel"))
    return Recording("two", responses, stimuli, simulated=True)


def consistency(recording: Recording, **options: Any) -> InterAnimalConsistency:
    return inter_animal_consistency(recording, **{"region": "V4", "n_halvings": 4, **options})


def changed(recording: Recording, images: np.ndarray, animal: str) -> Recording:
    """Add noise to one animal's responses to some images."""
    responses = recording.responses.copy()
    at = np.ix_(images, np.arange(responses.sizes["trial"]), (responses["animal"] == animal).values)
    values = responses.values
    values[at] += np.random.default_rng(9).normal(size=values[at].shape)
    return replace(recording, responses=responses.copy(data=values))


@pytest.mark.parametrize("shared", [1.0, 0.5])
def test_the_shared_part_of_responses_is_found(shared) -> None:
    """A unit's private part is in no other animal, and with few sources it hides the shared part."""
    seen = 40 * shared / (40 * shared + (1 - shared) * N_LATENT)
    found = consistency(two_animals(n_images=480, shared=shared, units=(40, 40)))
    for one in summary(found)["directions"]:
        pooled = one["windows"]["pooled"]
        assert pooled["consistency"] == pytest.approx((shared * seen) ** 0.5, abs=0.05), one
        assert pooled["n_defined"] > 35
        assert pooled["r"] < pooled["normalized"] < pooled["consistency"]


def test_noise_of_the_source_is_corrected() -> None:
    """With few noisy sources, predictions are poor because of trial noise."""
    noisy = two_animals(n_images=600, n_trials=6, units=(10, 30), noise=1.5)
    one = next(d for d in summary(consistency(noisy, n_halvings=8))["directions"] if d["source"] == "Ada")
    pooled = one["windows"]["pooled"]
    assert pooled["normalized"] < 0.93
    assert pooled["consistency"] == pytest.approx(1, abs=0.05)


def test_animals_with_nothing_in_common_are_not_consistent() -> None:
    found = summary(consistency(two_animals(shared=0.0)))["pooled"]["windows"]["pooled"]
    assert found["n_defined"] == 40  # failures are counted
    for name in ("r", "normalized", "consistency", "image_driven"):
        assert found[name] == pytest.approx(0, abs=0.15), name


@pytest.mark.parametrize(("shared", "driven"), [(0.0, 0.0), (1.0, 1.0)])
def test_a_shared_time_course_is_not_image_driven(shared, driven) -> None:
    recording = two_animals(shared=shared)
    risen = replace(recording, responses=recording.responses + 4 * COURSE)
    pooled = summary(consistency(risen))["pooled"]["windows"]["pooled"]
    assert pooled["consistency"] > 0.6
    assert pooled["image_driven"] == pytest.approx(driven, abs=0.15)


def test_the_result_has_both_directions_windows_and_labels() -> None:
    recording = two_animals(units=(12, 15))
    found = consistency(recording)
    assert found.data.sizes["unit"] == 27
    source, animal = found["source"].values, found["animal"].values
    assert set(zip(source, animal, strict=True)) == {("Ada", "Bo"), ("Bo", "Ada")}
    of_bo = found.data.isel(unit=animal == "Bo")
    wanted = recording.responses["unit_id"].values[recording.responses["animal"].values == "Bo"]
    assert of_bo["unit_id"].values.tolist() == wanted.tolist()
    assert found["window"].values.tolist() == ["pooled", "early", "late"]
    assert found["window_bins"].sel(window="pooled").values.tolist() == [*[False] * 4, *[True] * 4]
    assert found["predicted"].dims == ("image", "unit", "time_bin")
    assert found.info["n_train_images"] + found.info["n_test_images"] == 240
    result = summary(found)
    assert [(d["source"], d["target"], d["n_source_units"], d["n_units"]) for d in result["directions"]] == [
        ("Ada", "Bo", 12, 15),
        ("Bo", "Ada", 15, 12),
    ]
    values = found["consistency"].sel(window="pooled").values
    pooled = result["pooled"]["windows"]["pooled"]
    assert pooled["consistency"] == pytest.approx(np.nanmedian(values))
    assert pooled["n_defined"] == np.isfinite(values).sum()
    silent = replace(found, data=found.data.assign(consistency=found["consistency"] * np.nan))
    nothing = summary(silent)["pooled"]["windows"]["pooled"]
    assert nothing == {
        "consistency": None,
        "image_driven": None,
        "normalized": None,
        "r": None,
        "n_defined": 0,
    }


def test_reliability_is_that_of_the_target_unit() -> None:
    recording = two_animals(n_images=80, units=(12, 15))
    responses = recording.responses.copy()
    responses[:, :, 12] = (
        responses[:, :1, 12].values + 0 * responses[:, :, 12].values
    )  # Bo's first unit has no noise
    found = consistency(replace(recording, responses=responses))
    reliability = found["response_reliability"].sel(window="pooled").values
    assert (reliability > 0.999).tolist() == (found["unit_id"] == "u12").values.tolist()


def test_held_out_images_equal_those_of_a_score() -> None:
    from brainfit.statistics.splits import train_test_split

    recording = two_animals(n_images=80)
    by_name = recording.select_images(np.argsort(recording.responses["image_id"].values))
    _, test = train_test_split(by_name.responses["object_name"].values, test_fraction=0.25, seed=3)
    found = consistency(recording, seed=3)
    assert found["image_id"].values.tolist() == by_name.responses["image_id"].values[test].tolist()


def test_held_out_target_responses_do_not_change_the_map() -> None:
    recording = two_animals(n_images=80)
    before = consistency(recording)
    held_out = np.isin(recording.responses["image_id"].values, before["image_id"].values)
    to_bo = before["animal"].values == "Bo"
    for images, animal, to_bo_same, to_ada_same in (
        (held_out, "Bo", True, False),  # Bo's held-out responses are features of Ada's map only
        (held_out, "Ada", False, True),
        (~held_out, "Bo", False, False),
    ):
        after = consistency(changed(recording, np.flatnonzero(images), animal))["predicted"].values
        for units, same in ((to_bo, to_bo_same), (~to_bo, to_ada_same)):
            assert np.array_equal(after[:, units], before["predicted"].values[:, units]) == same


def test_a_seed_repeats_the_numbers() -> None:
    recording = two_animals(n_images=80)
    first, again, other = (consistency(recording, seed=seed) for seed in (3, 3, 4))
    xr.testing.assert_identical(first.data, again.data)
    assert not np.array_equal(first["consistency"].values, other["consistency"].values)


@pytest.mark.parametrize(("region", "units"), [("pIT", "Ada 6, Bo 70"), ("aIT", "Ada 17")])
def test_animals_with_too_few_units_are_refused(region, units) -> None:
    recording = brainfit.load_recording("simulated", n_images=64)
    with pytest.raises(ContractError, match=rf"at least {MIN_UNITS} units each, got {units};") as error:
        inter_animal_consistency(recording, region=region)
    assert "\n" not in str(error.value)


def test_units_that_lack_images_do_not_count() -> None:
    recording = two_animals(n_images=80, units=(12, 10))
    responses = recording.responses.copy()
    responses[3, 1:, 0] = np.nan
    gaps = replace(recording, responses=responses)
    where = np.isin("i3", consistency(recording)["image_id"].values)
    assert not where  # a training image: under seed 0
    found = consistency(gaps)
    assert found.info["dropped"] == ["1 units: a single trial of some training image"]
    assert "u0" not in found["unit_id"].values
    responses[3, 1:, 12] = np.nan
    with pytest.raises(ContractError, match="got Ada 11, Bo 9"):
        consistency(replace(recording, responses=responses))


def test_a_third_animal_with_few_units_is_left_out() -> None:
    found = consistency(two_animals(n_images=80, units=(10, 10, 3)))
    assert set(found["animal"].values) == {"Ada", "Bo"}
    assert found.info["dropped"] == ["3 units: all that Cy has, under 10"]
    assert len(summary(consistency(two_animals(n_images=80, units=(10, 10, 10))))["directions"]) == 6


def test_only_shared_images_are_used() -> None:
    recording = two_animals(n_images=80)
    responses = recording.responses.copy()
    bo = (responses["animal"] == "Bo").values
    responses[:10, :, bo] = np.nan
    found = consistency(replace(recording, responses=responses))
    assert found.info["n_train_images"] + found.info["n_test_images"] == 70
    assert found.info["dropped"] == ["10 images: no trial for more than half of an animal's units"]
    responses[10:, :, ~bo] = np.nan
    with pytest.raises(ContractError, match="no image in common"):
        consistency(replace(recording, responses=responses))


def test_wrong_names_and_missing_trials_are_refused() -> None:
    recording = two_animals(n_images=40)
    with pytest.raises(UnknownNameError, match="ridge"):
        consistency(recording, mapping="rigde")
    with pytest.raises(UnknownNameError, match="region"):
        consistency(recording, region="V5")
    averaged = replace(recording, responses=recording.responses.mean("trial", keep_attrs=True))
    with pytest.raises(ContractError, match="no single trials"):
        consistency(averaged)


def test_command_prints_a_table_or_json(monkeypatch) -> None:
    monkeypatch.setattr(lookup, "load_recording", lambda name, n_images: two_animals(n_images=n_images))
    options = ["inter-animal", "--region", "V4", "--recording", "two", "--images", "80"]
    result = CliRunner().invoke(app, [*options, "--json"])
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert printed["simulated"] is True
    assert [one["source"] for one in printed["directions"]] == ["Ada", "Bo"]
    assert 0.8 < printed["pooled"]["windows"]["pooled"]["consistency"] < 1.1
    assert 0.8 < printed["pooled"]["windows"]["pooled"]["image_driven"] < 1.1
    table = CliRunner().invoke(app, options)
    assert table.exit_code == 0
    assert "Ada to Bo" in table.stdout
    assert "driven" in table.stdout
    refused = CliRunner().invoke(
        app, ["inter-animal", "--region", "pIT", "--recording", "two", "--images", "40"]
    )
    assert refused.exit_code == 1
