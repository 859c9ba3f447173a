"""Paired comparison of scores: arithmetic, power, false positives and refused input."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fake_scores import fake_score
from typer.testing import CliRunner

import brainfit
from brainfit.analyses.comparison import Comparison, Difference, _holm, compare
from brainfit.cli.app import app
from brainfit.errors import ContractError
from brainfit.report import run_folder
from brainfit.scoring.result import Score
from brainfit.statistics.bootstrap import Sums, pearson_of_resamples

SMALL: dict[str, Any] = {"n_units": 12, "n_images": 40}


def with_prediction(score: Score, predicted: np.ndarray, **info: object) -> Score:
    """Return a score with another prediction; all that `compare` reads is recomputed."""
    data = score.data.assign(predicted=(score.data["predicted"].dims, predicted))
    r = np.full((2, *data["window_r"].shape), np.nan)
    for w, bins in enumerate(data["window_bins"].values):
        for u in range(data.sizes["unit"]):
            pair = [data[name].values[:, u][:, bins] for name in ("predicted", "response")]
            r[0, w, u] = np.corrcoef([side.ravel() for side in pair])[0, 1]
            r[1, w, u] = np.corrcoef([(side - side.mean(axis=0)).ravel() for side in pair])[0, 1]
    by_window = ("window", "unit")
    data = data.assign(
        window_r=(by_window, r[0]),
        window_normalized=(by_window, r[0] / np.sqrt(data["window_pearson_reliability"].values)),
        window_image_driven_r=(by_window, r[1]),
        window_image_driven=(by_window, r[1] / np.sqrt(data["window_image_driven_reliability"].values)),
    )
    return replace(score, data=data, info={**score.info, **info})


def noisy(score: Score, amount: float, seed: int) -> Score:
    """Predict the response plus noise; more noise makes a worse model."""
    rng = np.random.default_rng(seed)
    response = score.data["response"].values
    return with_prediction(score, response + amount * rng.normal(size=response.shape), model=f"noisy{seed}")


def test_resampled_correlations_equal_numpy_over_repeated_images(rng) -> None:
    predicted, response = rng.normal(size=(2, 20, 3, 7))
    predicted += response
    bins = rng.random(7) > 0.4
    drawn = rng.integers(20, size=20)
    counts = np.bincount(drawn, minlength=20)[None].astype(float)
    ours = pearson_of_resamples(Sums.over(predicted, response, bins), counts)[0]
    for unit in range(3):
        pair = [values[drawn][:, unit][:, bins].ravel() for values in (predicted, response)]
        assert ours[unit] == pytest.approx(np.corrcoef(pair)[0, 1], abs=1e-12)


@pytest.mark.parametrize(
    ("measure", "variable"), [("image_driven", "window_image_driven"), ("plain", "window_normalized")]
)
def test_a_better_model_is_significantly_better(measure: str, variable: str) -> None:
    base = fake_score(**SMALL)
    better, worse = noisy(base, 0.3, 1), noisy(base, 1.5, 2)
    found = {pair.window: pair for pair in compare([better, worse]) if pair.measure == measure}
    assert set(found) == {"pooled", "early", "late"}
    pooled = found["pooled"]
    observed = (better.data[variable] - worse.data[variable]).sel(window="pooled")
    assert pooled.difference == pytest.approx(float(observed.median()))
    assert pooled.ci95[0] > 0
    assert pooled.ci95[0] <= pooled.difference <= pooled.ci95[1]
    assert pooled.p < 0.01
    assert pooled.n_units == int(observed.notnull().sum())


def test_the_p_value_and_the_interval_agree() -> None:
    base = fake_score(**SMALL)
    models = [noisy(base, amount, k) for k, amount in enumerate([0.5, 0.55, 0.6, 0.7])]
    found = [pair.p < 0.05 for pair in compare(models)]
    assert found == [not pair.ci95[0] <= 0 <= pair.ci95[1] for pair in compare(models)]
    assert len(set(found)) == 2


def test_swapping_the_scores_changes_only_the_sign() -> None:
    base = fake_score(**SMALL)
    first, second = noisy(base, 0.5, 1), noisy(base, 0.6, 2)
    for a, b in zip(compare([first, second]), compare([second, first]), strict=True):
        assert a.difference == pytest.approx(-b.difference)
        assert a.ci95 == pytest.approx((-b.ci95[1], -b.ci95[0]))
        assert a.p == pytest.approx(b.p)


def test_a_model_is_no_better_than_itself() -> None:
    score = noisy(fake_score(**SMALL), 0.5, 1)
    pooled = compare([score, score])[0]
    assert (pooled.difference, pooled.ci95, pooled.p) == (0, (0, 0), 1)


def test_equally_good_models_rarely_differ() -> None:
    """Of sixty pairs of models with independent, equally large errors, about three may differ by chance."""
    rejected = 0
    for seed in range(60):
        base = fake_score(n_units=10, n_images=30, seed=seed)
        pair = [noisy(base, 0.8, 1000 + 2 * seed + k) for k in range(2)]
        rejected += compare(pair, n_resamples=200, seed=seed)[0].p < 0.05
    assert rejected <= 8  # more than 8 of 60 happens in 0.6 % of cases at a true rate of 5 %


def test_holm_correction_equals_the_textbook() -> None:
    pairs = [Difference(0, k, "pooled", 5, 0.1, (0.0, 0.2), p, p) for k, p in enumerate([0.04, 0.01, 0.03])]
    assert [pair.p_holm for pair in _holm(pairs)] == pytest.approx([0.06, 0.03, 0.06])


def test_the_headline_is_image_driven_so_a_time_course_loses() -> None:
    """The mean time course as a prediction beats a poor model in the plain score only."""
    base = fake_score(**SMALL)
    poor = noisy(base, 4.0, 1)
    course = np.broadcast_to(base.data["response"].values.mean(axis=0), base.data["response"].shape)
    wiggle = 1e-4 * np.random.default_rng(1).normal(size=course.shape)
    clock = with_prediction(base, course + wiggle, model="clock")
    first, *_, last = (pair for pair in compare([poor, clock]) if pair.window == "pooled")
    assert (first.measure, last.measure) == ("image_driven", "plain")
    assert first.difference > 0
    assert first.p < 0.05
    assert last.difference < 0


def test_a_comparison_has_a_table_a_repr_and_a_file(tmp_path) -> None:
    base = fake_score(**SMALL)
    found = compare([noisy(base, 0.5, 1), noisy(base, 0.6, 2)])
    frame = found.frame()
    assert list(frame.query("window == 'pooled'")["measure"]) == ["image_driven", "plain"]
    assert frame["difference"].tolist() == [pair.difference for pair in found]
    assert len(repr(found).splitlines()) < 8
    assert "<table" in found._repr_html_()
    found.to_netcdf(tmp_path / "comparison.nc")
    assert list(Comparison.from_netcdf(tmp_path / "comparison.nc")) == list(found)


def test_images_of_one_picture_count_as_one() -> None:
    """Forty images that show ten pictures say less than forty pictures do."""
    base = fake_score(**SMALL)
    models = [noisy(base, amount, k) for k, amount in enumerate([0.5, 0.8])]

    def compared(pictures: np.ndarray) -> Difference:
        coords = {"picture": ("image", pictures)}
        return compare([replace(one, data=one.data.assign_coords(coords)) for one in models])[0]

    each, few = compared(np.arange(40)), compared(np.arange(40) // 4)
    assert (
        each
        == compare([replace(one, data=one.data.drop_vars("picture", errors="ignore")) for one in models])[0]
    )
    assert each.difference == few.difference
    assert each.p != few.p


def test_undefined_units_are_left_out() -> None:
    score = noisy(fake_score(**SMALL), 0.5, 1)
    driven = score.data["window_image_driven"].copy()
    driven[:, :4] = np.nan
    gaps = replace(score, data=score.data.assign(window_image_driven=driven))
    assert compare([score, gaps])[0].n_units == 8
    one = driven.where(score.data["unit_id"] == score.data["unit_id"][5])
    single = replace(score, data=score.data.assign(window_image_driven=one))
    pooled = compare([score, single])[0]
    assert (pooled.n_units, pooled.difference) == (1, 0)
    assert np.isnan([pooled.p, *pooled.ci95]).all()
    nothing = replace(score, data=score.data.assign(window_image_driven=driven * np.nan))
    pooled = compare([score, nothing])[0]
    assert pooled.n_units == 0
    assert np.isnan([pooled.difference, pooled.p, *pooled.ci95]).all()
    assert pooled.to_dict()["p"] is None


def test_scores_of_different_data_are_refused() -> None:
    score = fake_score(**SMALL)
    renamed = score.data.assign_coords(image_id=("image", [f"x{k}" for k in range(40)]))
    provenance = {**score.info["provenance"], "recording": {"sha256": "0" * 64}}
    other_pictures = replace(score, info={**score.info, "provenance": provenance})
    table = {
        "two scores or more, got 1": [score],
        "score 2 is a str": [score, "runs/mine"],
        "different region: 'pIT' and 'V4'": [score, replace(score, info={**score.info, "region": "V4"})],
        "different held-out images": [score, replace(score, data=renamed)],
        "different units": [score, fake_score(n_units=13, n_images=40)],
        "different responses": [score, fake_score(**SMALL, seed=1)],
        "other pictures or other responses to training images": [score, other_pictures],
    }
    for message, scores in table.items():
        with pytest.raises(ContractError, match=message):
            brainfit.compare(scores)


def test_the_command_prints_a_comparison(tmp_path) -> None:
    base = fake_score(**SMALL)
    folders = []
    for name, amount in (("good", 0.4), ("bad", 1.2), ("worse", 2.0)):
        folders.append(tmp_path / name)
        run_folder.write_run(
            with_prediction(base, noisy(base, amount, 3).data["predicted"].values, model=name), folders[-1]
        )
    result = CliRunner().invoke(app, ["compare", *map(str, folders)])
    assert result.exit_code == 0, result.output
    assert "1 - 3" in result.stdout
    result = CliRunner().invoke(app, ["compare", *map(str, folders), "--json"])
    printed = json.loads(result.stdout)
    assert [run["model"] for run in printed["runs"]] == ["good", "bad", "worse"]
    assert len(printed["differences"]) == 18
    assert printed["differences"][0]["difference"] > 0
    one = CliRunner().invoke(app, ["compare", str(folders[0])])
    assert one.exit_code == 1
