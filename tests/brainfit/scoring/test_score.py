"""A whole score: the true model scores 1, seeds repeat, nothing leaks, invalid input is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from linear_recording import LinearModel, made_up
from tiny import TinyModel

import brainfit
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ContractError, ResourceError, UnknownNameError
from brainfit.execution import Execution
from brainfit.scoring.evaluation import assemble
from brainfit.scoring.result import Score
from brainfit.scoring.score import score
from brainfit.statistics.correlation import spearman
from data_loaders.simulated.recording import simulated_v1 as simulated
from data_loaders.simulated.truth import mean_from_pixels, mean_responses, true_ceiling, true_pooled_ceiling


class TruthModel(TinyModel):
    """The simulation's own noiseless mean as a model: one feature per unit, one block per step."""

    name = "truth"
    layers = ("mean",)
    region_layers = {"pIT": "mean"}  # noqa: RUF012

    def __init__(self):
        super().__init__(image_size=128)

    def unroll(self, images, presentation, layers):
        pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        mean = torch.from_numpy(mean_from_pixels(pixels)).float()
        return {layer: Trajectory.from_steps(list(mean.unbind(2))) for layer in layers}


def assert_same_scores(a: Score, b: Score, atol=0.0):
    for name in a.data.data_vars:
        np.testing.assert_allclose(
            a.data[name].values, b.data[name].values, rtol=0, atol=atol, err_msg=str(name)
        )


def test_a_model_with_the_true_features_scores_one():
    recording, model = made_up()
    result = score(model, recording, region="pIT")
    assert result.pooled["normalized"] == pytest.approx(1, abs=0.03)
    low, high = result.pooled["ci95"]
    assert low <= 1.01
    assert high >= 0.98
    bins = result.per_bin
    assert np.isnan(bins["normalized"][:5]).all()
    assert np.isfinite(bins["normalized"][5:]).all()
    assert abs(float(bins["normalized"][5:].mean()) - 1) < 0.03
    assert list(result.data["window_bins"].sel(window="pooled").values) == [False] * 7 + [True] * 18


@pytest.mark.slow
def test_the_true_mean_scores_one_at_the_true_ceiling():
    recording = simulated(n_images=640)
    result = score(TruthModel(), recording, region="pIT", execution=Execution(batch_size=64))
    assert result.pooled["normalized"] == pytest.approx(1, abs=0.02)
    for window in result.windows.values():
        assert window["normalized"] == pytest.approx(1, abs=0.02)

    data = result.data
    where = {name: k for k, name in enumerate(recording.responses["image_id"].values)}
    held_out = np.array([where[name] for name in data["image_id"].values])
    held = recording.select_images(held_out).select_region("pIT")
    assert list(held.responses["image_id"].values) == list(data["image_id"].values)
    truth = true_ceiling(held)
    both = data["defined"].values & np.isfinite(truth.values)
    assert both.mean() > 0.5
    estimate = np.sqrt(data["pearson_reliability"].values)
    assert abs(np.median(estimate[both]) - np.median(truth.values[both])) < 0.02
    assert np.median(np.abs(estimate[both] - truth.values[both])) < 0.02

    pooled = held.responses.isel(time_bin=data["window_bins"].sel(window="pooled").values)
    wanted = true_pooled_ceiling(replace(held, responses=pooled)).values
    got = np.sqrt(data["window_pearson_reliability"].sel(window="pooled").values)
    known = np.isfinite(got)
    assert abs(np.median(got[known]) - np.median(wanted[known])) < 0.02


def test_the_noiseless_mean_scores_one_and_both_ceilings_are_true():
    """Test the metric, the ceiling and their ratio without a fit."""
    twice = simulated(n_images=256, n_trials=100).select_region("pIT").select_images(np.arange(96, 256))
    recording = replace(twice, responses=twice.responses.isel(trial=slice(50)))
    others = twice.responses.isel(trial=slice(50, 100)).mean("trial").values
    mean = mean_responses(recording).values
    average = recording.responses.mean("trial").values
    course = average.mean(axis=0)
    data = assemble(mean, average, course, recording.responses, n_splits=20, seed=0)
    assert Score(data, {}).pooled["normalized"] == pytest.approx(1, abs=0.02)

    truth = true_ceiling(recording).values
    known = data["defined"].values & np.isfinite(truth)
    estimate = np.sqrt(data["pearson_reliability"].values)
    assert abs(np.median(estimate[known]) - np.median(truth[known])) < 0.02
    # The true Spearman value has no formula; 50 more trials of the same images estimate it.
    again = spearman(np.moveaxis(average, 0, -1), np.moveaxis(others, 0, -1))[known]
    spearman_ceiling = data["ceiling"].values[known]
    assert abs(np.median(spearman_ceiling) - np.sqrt(np.median(again))) < 0.02


def test_a_seed_repeats_a_score_and_another_seed_changes_the_split():
    recording, model = made_up()
    first, again = (score(model, recording, region="pIT", seed=3) for _ in range(2))
    assert_same_scores(first, again)
    other = score(model, recording, region="pIT", seed=4)
    assert set(other.data["image_id"].values) != set(first.data["image_id"].values)


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_the_batch_size_does_not_change_a_score(batch_size):
    recording, model = made_up()
    wanted = score(model, recording, region="pIT")
    got = score(model, recording, region="pIT", execution=Execution(batch_size=batch_size))
    assert_same_scores(wanted, got, atol=1e-5)
    assert wanted.info["provenance"]["recording"]["sha256"] == got.info["provenance"]["recording"]["sha256"]


def test_permuting_units_permutes_scores():
    recording, model = made_up()
    first = score(model, recording, region="pIT")
    turned = score(model, recording.select_units(slice(None, None, -1)), region="pIT")
    np.testing.assert_allclose(turned.data["r"].values[::-1], first.data["r"].values, atol=1e-4)


def test_scale_and_offset_of_a_unit_do_not_change_its_score():
    recording, model = made_up()
    scaled = replace(recording, responses=recording.responses * 7 + 3)
    first, second = score(model, recording, region="pIT"), score(model, scaled, region="pIT")
    assert_same_scores(
        Score(first.data[["r", "split_half", "window_r"]], {}),
        Score(second.data[["r", "split_half", "window_r"]], {}),
        atol=1e-4,
    )


def test_shuffled_responses_score_zero():
    """Responses are shuffled, and penalties chosen on inner folds: a score above noise is a leak."""
    recording, model = made_up(n_images=300)
    order = np.random.default_rng(1).permutation(300)
    shuffled = replace(recording, responses=recording.responses.copy(data=recording.responses.values[order]))
    result = score(model, shuffled, region="pIT")
    assert abs(float(np.median(result.data["window_r"].sel(window="pooled")))) < 0.06


def test_responses_to_test_images_do_not_change_predictions():
    recording, model = made_up()
    first = score(model, recording, region="pIT")
    test = np.flatnonzero(recording.responses["image_id"].isin(first.data["image_id"]).values)
    altered = recording.responses.copy(deep=True)
    altered[test] = altered[test][::-1].values * 5
    second = score(model, replace(recording, responses=altered), region="pIT")
    np.testing.assert_array_equal(first.data["predicted"].values, second.data["predicted"].values)
    np.testing.assert_array_equal(first.data["alpha"].values, second.data["alpha"].values)
    assert (first.data["r"].values != second.data["r"].values).any()


def with_time_course(recording):
    """Add a strong time course shared by all images."""
    course = np.concatenate([np.zeros(5), 5 * np.exp(-np.arange(20) / 8)])
    return replace(recording, responses=recording.responses + xr.DataArray(course, dims="time_bin"))


class BlindModel(LinearModel):
    """A model whose features depend on time only."""

    def unroll(self, images, presentation, layers):
        late = super().unroll(images, presentation, layers)["late"]
        blocks = tuple(
            block.mean(0, keepdim=True) * 0 + torch.eye(25)[k] for k, block in enumerate(clock(late))
        )
        return {"late": Trajectory(blocks, tuple(range(25)))}


def clock(trajectory):
    return [torch.zeros(1, 25)] * trajectory.n_steps


def test_a_shared_time_course_is_separated_from_image_driven_predictivity():
    recording, model = made_up(n_images=300)
    recording = with_time_course(recording)
    blind = score(BlindModel(model.features.numpy()), recording, region="pIT").pooled
    assert blind["time_course"] > 0.5
    assert blind["normalized"] == pytest.approx(blind["time_course"], abs=0.02)
    assert blind["image_driven"] == pytest.approx(0, abs=1e-9)
    seeing = score(model, recording, region="pIT").pooled
    assert seeing["image_driven"] == pytest.approx(1, abs=0.03)
    assert seeing["time_course"] == pytest.approx(blind["time_course"], abs=0.02)


def test_units_without_image_signal_are_undefined_despite_a_time_course():
    recording, model = made_up(n_images=200)
    noise = np.random.default_rng(5).normal(size=recording.responses.shape)
    silent = with_time_course(replace(recording, responses=recording.responses.copy(data=noise)))
    result = score(model, silent, region="pIT")
    assert result.data["window_normalized"].isnull().mean() > 0.8


@pytest.mark.parametrize("offset", [0, 3000])
def test_a_constant_model_scores_zero_for_every_unit(offset):
    recording, model = made_up()
    shifted = replace(recording, responses=recording.responses + offset)
    result = score(LinearModel(np.ones((200, 20, 12))), shifted, region="pIT")
    assert result.pooled["image_driven"] == pytest.approx(0, abs=1e-9)
    assert result.data["window_normalized"].sel(window="pooled").notnull().all()
    good = score(model, shifted, region="pIT")
    assert good.pooled["normalized"] == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(
    ("start", "end", "message"), [(70, 170, None), (0.07, 0.17, "in ms from image onset")]
)
def test_a_wide_bin_is_compared_with_the_mean_of_its_steps(start, end, message):
    recording, model = made_up()
    bins = recording.responses.isel(time_bin=slice(7, 17)).mean("time_bin").expand_dims("time_bin", axis=3)
    bins = bins.assign_coords(time_bin_start=("time_bin", [start]), time_bin_end=("time_bin", [end]))
    static = replace(recording, responses=bins)
    if message:
        with pytest.raises(ContractError, match=message):
            score(model, static, region="pIT")
        return
    result = score(model, static, region="pIT")
    assert result.pooled["normalized"] == pytest.approx(1, abs=0.05)
    assert np.isnan(result.temporal_correlation)


def test_missing_responses_are_dropped_and_counted():
    recording, model = made_up()
    responses = recording.responses.copy(deep=True)
    responses[:4] = np.nan  # images without responses
    responses[50:60, :, 1] = np.nan  # images without responses of one unit
    responses[:, :, 3] = 2.0  # a constant unit
    result = score(model, replace(recording, responses=responses), region="pIT")
    assert result.info["n_images"] == 196
    assert result.data.sizes["unit"] == 6
    assert [record["n"] for record in result.info["dropped"][:3]] == [4, 1, 1]


def test_a_score_is_read_back_equal(tmp_path):
    recording, model = made_up(n_images=60)
    result = score(model, recording, region="pIT")
    result.to_netcdf(tmp_path / "score.nc")
    again = Score.from_netcdf(tmp_path / "score.nc")
    xr.testing.assert_identical(again.data, result.data)
    assert again.info == result.info
    assert again.to_dict() == result.to_dict()
    assert [path.name for path in tmp_path.iterdir()] == ["score.nc"]


def test_a_score_by_names_has_the_requested_number_of_images():
    recording, model = made_up()
    brainfit.register_recording("made-up", lambda: recording)
    brainfit.register_model("made-up", lambda: model)
    result = brainfit.score("made-up", "made-up", region="pIT", n_images=80)
    assert result.info["n_images"] == 80


class Broken(LinearModel):
    def __init__(self, features, spoil):
        super().__init__(features)
        self.spoil = spoil

    def unroll(self, images, presentation, layers):
        return self.spoil(super().unroll(images, presentation, layers))


def spoiled_block(change):
    def spoil(unrolled):
        blocks = list(unrolled["late"].blocks)
        blocks[3] = change(blocks[3])
        return {"late": Trajectory(tuple(blocks), unrolled["late"].index)}

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoiled_block(lambda block: block * float("nan")), "not finite .* from step 7"),
        (spoiled_block(lambda block: block[:2]), "a block has shape"),
        (lambda unrolled: None, "must return a dict with a Trajectory"),
        (
            lambda unrolled: {"late": unrolled["late"].average([[k] for k in range(20)])},
            "20 steps, wanted 25",
        ),
    ],
)
def test_models_that_violate_the_contract_are_refused(spoil, message):
    recording, model = made_up(n_images=40)
    with pytest.raises(ContractError, match=message):
        score(Broken(model.features.numpy(), spoil), recording, region="pIT")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"region": "pITT"}, UnknownNameError, "did you mean 'pIT'"),
        ({"region": "aIT"}, ContractError, "no units in region 'aIT'"),
        ({"region": "V4"}, ContractError, "commits to no layer for region 'V4'"),
        ({"layer": "latte"}, UnknownNameError, "did you mean 'late'"),
        ({"mapping": "rigde"}, UnknownNameError, "did you mean 'ridge'"),
        ({"n_images": 9999}, ContractError, "9999 images were asked for"),
        ({"seed": -1}, ContractError, "whole number from 0 up"),
        ({"presentation": brainfit.Presentation(step_ms=50)}, ContractError, "takes steps of 10 ms"),
        ({"presentation": 5}, ContractError, "is a brainfit.Presentation, got int"),
        ({"test_fraction": 1.0}, ContractError, "test_fraction is a number strictly between 0 and 1"),
        ({"region": 3}, ContractError, "region is text"),
        ({"region": ["pIT"]}, ContractError, "region is text of printable characters, got"),
        ({"mapping": ["ridge"]}, ContractError, r"mapping is text of printable characters, got \['ridge'\]"),
        ({"mapping": None}, ContractError, "mapping is text of printable characters, got None"),
        ({"control": {}}, ContractError, r"control is text of printable characters, got \{\}"),
        ({"layer": 3}, ContractError, "layer is text of printable characters, got 3"),
        ({"layer": ["late"]}, ContractError, "layer is text"),
        ({"n_images": 12}, ContractError, "3 test images: with fewer than 4 a correlation"),
        ({"mapping": "factorized", "projection": 9}, ContractError, "which a projection mixes"),
    ],
)
def test_invalid_options_are_refused(options, error, message):
    recording, model = made_up(n_images=40)
    with pytest.raises(error, match=message) as caught:
        score(model, recording, **{"region": "pIT", **options})
    assert "\n" not in str(caught.value)


def test_a_fit_beyond_memory_is_refused_before_it_starts(monkeypatch):
    recording, model = made_up(n_images=40)
    monkeypatch.setattr("brainfit.support.memory.available_bytes", lambda: 1000)
    with pytest.raises(ResourceError, match=r"averaging trials needs about .* [GMk]?B, and .* are available"):
        score(model, recording, region="pIT")


@pytest.mark.parametrize(("on_ms", "off_ms"), [(200, 50), (30, 220)])
def test_the_presentation_of_the_recording_replaces_the_default(on_ms, off_ms):
    recording, model = made_up(n_images=32)
    own = score(model, replace(recording, on_ms=on_ms, off_ms=off_ms), region="pIT")
    shown = own.info["provenance"]["presentation"]
    assert (shown["on_ms"], shown["off_ms"]) == (on_ms, off_ms)
    given = Presentation(on_ms=100, off_ms=150)
    named = score(model, replace(recording, on_ms=on_ms, off_ms=off_ms), region="pIT", presentation=given)
    assert named.info["provenance"]["presentation"]["on_ms"] == 100


def test_a_presentation_of_fractional_steps_is_refused():
    recording, model = made_up(n_images=32)
    with pytest.raises(ContractError, match=r"on_ms=105 .* whole numbers of step_ms=10"):
        score(model, replace(recording, on_ms=105, off_ms=145), region="pIT")
