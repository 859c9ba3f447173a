import numpy as np
import pytest
from matplotlib import pyplot as plt

from brainfit.figures import example_trajectories, predictivity_over_time, scores_against_ceiling

from .fake_scores import fake_score

FIGURES = [predictivity_over_time, scores_against_ceiling, example_trajectories]
SCORES = {
    "realistic": {},
    "one unit": {"n_units": 1},
    "two images": {"n_images": 2},
    "one bin": {"n_bins": 1},
    "nothing reliable": {"reliable": False},
}


@pytest.fixture(scope="module")
def score():
    return fake_score()


def lines(axes, gid):
    return [line for line in axes.lines if line.get_gid() == gid]


@pytest.mark.parametrize("show", FIGURES)
@pytest.mark.parametrize("options", SCORES.values(), ids=SCORES)
def test_every_figure_draws_any_score_and_leaves_nothing_behind(show, options):
    display = show(fake_score(**options))
    settings = dict(plt.rcParams)
    display.figure().draw_without_rendering()
    assert plt.get_fignums() == []
    assert dict(plt.rcParams) == settings
    assert "nan" not in f"{display.caption} {display.alt}".lower().split()


@pytest.mark.parametrize("show", FIGURES)
def test_frames_are_copies(show, score):
    display = show(score)
    frame = display.frame()
    frame.iloc[:, 0] = frame.iloc[:, 1]
    assert display.frame().equals(show(score).frame())


@pytest.mark.parametrize("show", FIGURES)
@pytest.mark.parametrize("simulated", [True, False])
@pytest.mark.parametrize("weights", ["random:0", "9f86d081"])
def test_a_figure_says_by_itself_what_is_not_real(show, simulated, weights):
    figure = show(fake_score(n_units=5, n_images=8, simulated=simulated, weights=weights)).figure()
    title = figure.get_suptitle().replace("\n", " ")
    assert ("SIMULATED RECORDING" in title) == simulated
    assert ("RANDOM WEIGHTS" in title) == (weights == "random:0")


def test_predictivity_is_the_score_per_bin(score):
    frame, bins = predictivity_over_time(score).frame(), score.per_bin
    for name in ("time_bin_start", "time_bin_end", "n_defined", "r", "ceiling", "normalized"):
        np.testing.assert_array_equal(frame[name], bins[name])
    shown = frame.dropna()
    assert (np.diff(shown[["r_low", "r", "r_high"]].to_numpy()) >= 0).all()
    expected = score.data["r"].where(score.data["defined"]).isel(time_bin=10).quantile([0.25, 0.75], "unit")
    np.testing.assert_allclose(frame.loc[10, ["r_low", "r_high"]].astype(float), expected)


def test_undefined_bins_are_gaps_in_the_curves(score):
    undefined = score.per_bin["r"].isnull().values
    assert 3 < undefined.sum() < 10
    axes = predictivity_over_time(score).figure().axes[0]
    for name in ("r", "ceiling"):
        (line,) = lines(axes, name)
        np.testing.assert_array_equal(np.isnan(line.get_ydata()), undefined)


def test_the_image_bar_is_as_long_as_the_presentation():
    score = fake_score(n_units=4, n_images=8, provenance={"presentation": {"on_ms": 60}})
    axes = predictivity_over_time(score).figure().axes[0]
    assert any(np.array_equal(line.get_xdata(), [0, 60]) for line in axes.lines)


def test_units_are_the_window_values_of_the_score(score):
    frame, pooled = scores_against_ceiling(score).frame(), score.data.sel(window="pooled")
    for name in ("r", "ceiling", "reliability", "normalized"):
        np.testing.assert_array_equal(frame[name], pooled[f"window_{name}"])
    for name in ("unit_id", "temporal_correlation", "alpha"):
        np.testing.assert_array_equal(frame[name], score.data[name])
    np.testing.assert_array_equal(frame["late"], score.data["window_normalized"].sel(window="late"))


def test_undefined_units_are_counted_and_not_drawn(score):
    hidden = score.data["unit"] < 3
    data = score.data.copy()
    for name in ("ceiling", "normalized"):
        data[f"window_{name}"] = data[f"window_{name}"].where(~hidden)
    display = scores_against_ceiling(type(score)(data, score.info))
    assert "3 units without a reliable response are left out" in display.caption
    (points,) = [c for c in display.figure().axes[0].collections if c.get_gid() == "units"]
    assert np.shape(points.get_offsets()) == (73, 2)


def test_examples_follow_their_rule(score):
    frame = example_trajectories(score).frame()
    normalized = score.data["window_normalized"].sel(window="pooled").values
    shown = frame.groupby("unit", sort=False)["normalized"].first()
    assert list(shown.index) == ["best", "median", "lower quartile"]
    assert shown["best"] == normalized.max()
    assert abs(shown["median"] - np.median(normalized)) < 0.02
    assert abs(shown["lower quartile"] - np.quantile(normalized, 0.25)) < 0.02
    trajectories = frame.loc[frame["unit"] == "best", "response"].to_numpy().reshape(4, -1)
    assert (np.diff(trajectories.mean(axis=1)) < 0).all()


def test_examples_are_the_trajectories_of_the_score(score):
    frame = example_trajectories(score).frame()
    data = score.data.set_index(unit="unit_id", image="image_id")
    for _, panel in frame.groupby(["unit_id", "image_id"]):
        here = data.sel(unit=panel["unit_id"].iloc[0], image=panel["image_id"].iloc[0])
        np.testing.assert_array_equal(panel["response"], here["response"])
        np.testing.assert_array_equal(panel["predicted"], here["predicted"])


def test_the_response_axis_says_its_units(score):
    assert example_trajectories(score).figure().get_supylabel() == "Response (relative to blank)"


@pytest.mark.parametrize("show", FIGURES)
def test_names_are_never_read_as_formulas(show):
    score = fake_score(n_units=3, n_images=8, model=r"$\frac{$", layer="a" * 300)
    names = ("unit", [r"$\alpha^{$"] * 3)
    show(type(score)(score.data.assign_coords(unit_id=names), score.info)).figure().savefig(
        "/dev/null", format="svg"
    )
