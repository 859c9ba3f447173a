"""The noise ceiling without a model equals the score's; invalid input is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tiny import TinyModel, tiny_recording
from typer.testing import CliRunner

import brainfit
from brainfit.cli.app import app
from brainfit.errors import ContractError, UnknownNameError

SHARED = ("split_half", "reliability", "ceiling", "pearson_reliability", "defined", "window_ceiling")


def test_the_ceiling_equals_that_of_a_score_of_the_same_images() -> None:
    recording = tiny_recording(n_images=60)
    score = brainfit.score(TinyModel(), recording, region="pIT")
    held_out = np.isin(recording.responses["image_id"].values, score.data["image_id"].values)
    ours = brainfit.noise_ceiling(recording.select_images(np.flatnonzero(held_out)), region="pIT")
    for name in SHARED:
        np.testing.assert_array_equal(ours[name].values, score.data[name].values, err_msg=name)
    assert ours["unit_id"].values.tolist() == score.data["unit_id"].values.tolist()


def test_more_trials_raise_the_ceiling_and_all_images_count() -> None:
    recording = tiny_recording(n_images=80, n_trials=16)
    few = replace(recording, responses=recording.responses.isel(trial=slice(4)))
    medians = [
        float(brainfit.noise_ceiling(r, region="V4")["window_ceiling"].sel(window="pooled").median())
        for r in (few, recording)
    ]
    assert medians[0] < medians[1] < 1
    assert brainfit.noise_ceiling(recording, region="V4").info["n_images"] == 80


def test_the_interval_holds_the_median_and_shrinks_with_images() -> None:
    recording = tiny_recording(n_images=160, n_trials=8, n_units=24)
    widths = []
    for n_images in (40, 160):
        some = recording.select_images(np.arange(n_images))
        found = brainfit.noise_ceiling(some, region="V4").data.sel(window="pooled")
        low, high = found["window_ci95"].values
        assert 0 < low < float(found["window_ceiling"].median()) < high <= 1
        widths.append(high - low)
    assert widths[1] < widths[0]


def test_two_units_have_no_interval() -> None:
    recording = tiny_recording(n_images=60, n_units=4)
    assert np.isnan(brainfit.noise_ceiling(recording, region="V4")["window_ci95"]).all()


def test_missing_trials_are_refused_and_units_without_repeats_dropped() -> None:
    recording = tiny_recording()
    with pytest.raises(ContractError, match="no single trials"):
        brainfit.noise_ceiling(
            replace(recording, responses=recording.responses.mean("trial", keep_attrs=True)), region="V4"
        )
    with pytest.raises(UnknownNameError, match="region"):
        brainfit.noise_ceiling(recording, region="V5")
    gaps = recording.responses.copy()
    gaps[3, 1:, 0] = np.nan  # the first unit of V4 has one trial of one image
    found = brainfit.noise_ceiling(replace(recording, responses=gaps), region="V4")
    assert found.data.sizes["unit"] == 2
    assert found.info["dropped"] == ["1 units: under two trials of some image"]


def test_command_prints_a_table_or_json(tmp_path) -> None:
    options = ["ceiling", "--region", "pIT", "--images", "16"]
    result = CliRunner().invoke(app, [*options, "--json"])
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert summary["n_images"] == 16
    assert summary["simulated"] is True
    assert len(summary["per_bin"]) == 25
    assert set(summary["windows"]) == {"pooled", "early", "late"}
    assert summary["per_bin"][0]["ceiling"] is None  # before the response arrives
    low, high = summary["windows"]["pooled"]["ci95"]
    assert low < summary["windows"]["pooled"]["ceiling"] < high
    table = CliRunner().invoke(app, options)
    assert table.exit_code == 0
    assert "240–250 ms" in table.stdout
    assert f"{low:.2f}–{high:.2f}".replace("0.", ".") in table.stdout
    assert "–" in table.stdout


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_a_unit_beyond_the_precision_of_numbers_is_left_out_by_name(scale) -> None:
    recording = tiny_recording(n_images=24)
    responses = recording.responses.astype("f8").copy(deep=True)
    unit = np.flatnonzero(responses["region"].values == "V4")[1]
    responses[:, :, unit] *= scale
    name = str(responses["unit_id"].values[unit])
    found = brainfit.noise_ceiling(replace(recording, responses=responses), region="V4")
    assert [name in record for record in found.info["dropped"]] == [True]
    assert name not in found["unit_id"].values
