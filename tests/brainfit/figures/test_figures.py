import itertools

import numpy as np
import pytest
import xarray as xr
from fake_scores import CATEGORIES, fake_score
from matplotlib import pyplot as plt
from matplotlib.collections import QuadMesh
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from brainfit import list_models, plot
from brainfit.analyses.temporal_generalization import TemporalGeneralization
from brainfit.errors import ContractError, UnknownNameError
from brainfit.figures import (
    accuracy_against_parameters,
    early_against_late,
    example_trajectories,
    generalization_matrix,
    models_over_time,
    normalized_over_time,
    pooled_scores,
    predictivity_over_time,
    ranked_units,
    residuals_by_category,
    scores_against_ceiling,
    temporal_correlations,
)
from brainfit.figures.display import marks
from brainfit.figures.labels import labels
from brainfit.figures.style import SERIES


def models_of_one(score):
    return models_over_time([score])


def temporal_of_one(score):
    return temporal_correlations([score])


def pooled_of_one(score):
    return pooled_scores([score])


FIGURES = [
    normalized_over_time,
    predictivity_over_time,
    scores_against_ceiling,
    example_trajectories,
    early_against_late,
    residuals_by_category,
    ranked_units,
    models_of_one,
    temporal_of_one,
    pooled_of_one,
]
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
def test_every_figure_draws_any_score_and_restores_matplotlib(show, options):
    display = show(fake_score(**options))
    settings = dict(plt.rcParams)
    display.figure().draw_without_rendering()
    assert plt.get_fignums() == []
    assert dict(plt.rcParams) == settings
    assert "nan" not in f"{display.caption} {display.alt}".lower().split()


@pytest.mark.parametrize("show", FIGURES)
def test_changing_a_frame_does_not_change_the_figure(show, score):
    display = show(score)
    frame = display.frame()
    frame.iloc[:, 0] = frame.iloc[:, 0].iloc[::-1].to_list()
    frame["more"] = 1
    assert display.frame().equals(show(score).frame())


@pytest.mark.parametrize("show", FIGURES)
@pytest.mark.parametrize("simulated", [True, False])
@pytest.mark.parametrize("weights", ["random:0", "unknown, sha256:9f86d081", "9f86d081"])
def test_figures_mark_simulated_data_and_unsure_weights(show, simulated, weights):
    figure = show(fake_score(n_units=5, n_images=8, simulated=simulated, weights=weights)).figure()
    title = figure.get_suptitle().replace("\n", " ")
    assert ("SIMULATED RECORDING" in title) == simulated
    assert ("RANDOM WEIGHTS" in title) == (weights == "random:0")
    assert ("UNKNOWN WEIGHTS" in title) == weights.startswith("unknown")


def test_marks_count_the_results_that_they_are_for():
    names = ["random:0", "random:1", "unknown", "9f86d081"]
    infos = [{"simulated": name == "unknown", "weights": name} for name in names]
    random, unknown = "RANDOM WEIGHTS IN 2 OF 4", "UNKNOWN WEIGHTS IN 1 OF 4"
    assert marks(*infos) == ["SIMULATED RECORDING", random, unknown]
    assert marks(infos[0]) == ["RANDOM WEIGHTS"]
    assert marks(infos[2]) == ["SIMULATED RECORDING", "UNKNOWN WEIGHTS"]
    assert marks(infos[3]) == []


def pieces(figure):
    """Return all visible texts of a figure with their boxes, without ticks beyond the ends of an axis."""
    figure.draw_without_rendering()
    beyond = set()
    for axis in (axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)):
        low, high = sorted(axis.get_view_interval())
        ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        beyond |= {label for t in ticks if not low <= t.get_loc() <= high for label in (t.label1, t.label2)}
    for text in figure.findobj(Text):
        if text in beyond:
            continue
        if text.get_visible() and text.get_text().strip() and text.get_window_extent().width > 1:
            yield text.get_text(), text.get_window_extent()


def overlap(one, two):
    """Return the overlap of two boxes in pixels, the smaller of both directions."""
    both = Bbox.intersection(one, two)
    return 0 if both is None else min(both.width, both.height)


@pytest.mark.parametrize("show", FIGURES)
def test_texts_are_neither_cut_off_nor_overlapping(show, score):
    figure = show(score).figure()
    texts = dict.fromkeys(pieces(figure))
    page = figure.bbox
    for words, box in texts:
        inside = Bbox.intersection(page, box)
        assert inside is not None, words
        np.testing.assert_allclose(inside.bounds, box.bounds, atol=1.5, err_msg=words)
    for (words, box), (others, other) in itertools.combinations(texts, 2):
        assert overlap(box, other) < 3, (words, others)


@pytest.mark.parametrize("show", [show for show in FIGURES if show is not residuals_by_category])
def test_legends_do_not_cover_data(show, score):
    figure = show(score).figure()
    figure.draw_without_rendering()
    legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]
    assert legends
    for legend, ax in itertools.product(legends, figure.axes):
        assert overlap(legend.get_window_extent(), ax.get_window_extent()) < 1


@pytest.mark.parametrize("show", FIGURES)
def test_axes_are_labelled_with_quantity_and_unit(show, score):
    figure = show(score).figure()
    around = figure.get_supxlabel() + figure.get_supylabel()
    assert all(ax.get_xlabel() or around for ax in figure.axes)


def test_predictivity_over_time_is_the_score_per_bin(score):
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


def test_the_image_bar_has_the_length_of_the_presentation():
    score = fake_score(n_units=4, n_images=8, provenance={"presentation": {"on_ms": 60}})
    axes = predictivity_over_time(score).figure().axes[0]
    assert any(np.array_equal(line.get_xdata(), [0, 60]) for line in axes.lines)


def test_points_of_units_are_the_window_values_of_the_score(score):
    frame, pooled = scores_against_ceiling(score).frame(), score.data.sel(window="pooled")
    np.testing.assert_array_equal(frame["r"], pooled["window_image_driven_r"])
    np.testing.assert_array_equal(frame["normalized"], pooled["window_image_driven"])
    np.testing.assert_array_equal(frame["plain"], pooled["window_normalized"])
    np.testing.assert_array_equal(frame["ceiling"], np.sqrt(pooled["window_image_driven_reliability"]))
    for name in ("unit_id", "temporal_correlation", "alpha"):
        np.testing.assert_array_equal(frame[name], score.data[name])
    np.testing.assert_array_equal(frame["late"], score.data["window_image_driven"].sel(window="late"))


def test_undefined_units_are_counted_and_not_drawn(score):
    hidden = xr.DataArray(np.arange(score.data.sizes["unit"]) < 3, dims="unit")
    data = score.data.copy()
    for name in ("window_image_driven", "window_image_driven_reliability"):
        data[name] = data[name].where(~hidden)
    display = scores_against_ceiling(type(score)(data, score.info))
    assert "3 units without a reliable response are left out" in display.caption
    (points,) = [c for c in display.figure().axes[0].collections if c.get_gid() == "units"]
    assert np.shape(points.get_offsets()) == (73, 2)


def test_example_units_follow_the_documented_rule(score):
    frame = example_trajectories(score).frame()
    normalized = score.data["window_image_driven"].sel(window="pooled").values
    shown = frame.groupby("unit", sort=False)["normalized"].first()
    assert list(shown.index) == ["best", "median", "lower quartile"]
    assert shown["best"] == normalized.max()
    assert abs(shown["median"] - np.median(normalized)) < 0.02
    assert abs(shown["lower quartile"] - np.quantile(normalized, 0.25)) < 0.02
    trajectories = frame.loc[frame["unit"] == "best", "response"].to_numpy().reshape(4, -1)
    assert (np.diff(trajectories.mean(axis=1)) < 0).all()


def test_example_curves_are_the_trajectories_of_the_score(score):
    frame = example_trajectories(score).frame()
    data = score.data.set_index(unit="unit_id", image="image_id")
    for _, panel in frame.groupby(["unit_id", "image_id"]):
        here = data.sel(unit=panel["unit_id"].iloc[0], image=panel["image_id"].iloc[0])
        np.testing.assert_array_equal(panel["response"], here["response"])
        np.testing.assert_array_equal(panel["predicted"], here["predicted"])


def test_the_response_axis_names_its_unit(score):
    assert example_trajectories(score).figure().get_supylabel() == "Response (relative to blank)"


@pytest.mark.parametrize("show", FIGURES)
def test_dollar_signs_in_names_are_not_read_as_formulas(show):
    score = fake_score(n_units=3, n_images=8, model=r"$\frac{$", layer="a" * 300)
    names = ("unit", [r"$\alpha^{$"] * 3)
    show(type(score)(score.data.assign_coords(unit_id=names), score.info)).figure().savefig(
        "/dev/null", format="svg"
    )


def test_several_models_have_one_curve_each_and_a_shared_ceiling(score):
    scores = [score, fake_score(seed=1, model="ff"), fake_score(seed=2, model="gru_shallow")]
    display = models_over_time(scores)
    frame = display.frame()
    for name, one in zip(["median_convrnn", "ff", "gru_shallow"], scores, strict=True):
        of_model = frame.loc[frame["model"] == name]
        np.testing.assert_array_equal(of_model["r"], one.per_bin["r"])
        np.testing.assert_array_equal(of_model["ceiling"], one.per_bin["ceiling"])
    axes = display.figure().axes[0]
    assert len(lines(axes, "r")) == 3
    (ceiling,) = lines(axes, "ceiling")
    np.testing.assert_array_equal(ceiling.get_ydata(), score.per_bin["ceiling"])
    assert len({line.get_color() for line in lines(axes, "r")}) == 3


def test_three_or_more_models_are_drawn_without_bands(score):
    for n, bands in ((1, 2), (2, 3), (3, 1)):
        display = models_over_time([score] * n)
        (axes,) = display.figure().axes
        assert sum(type(c).__name__ == "FillBetweenPolyCollection" for c in axes.collections) == bands
        assert ("the range of the middle half of them." in display.caption) == (n < 3)


def test_eight_models_have_distinct_styles():
    assert len({color for color, _ in SERIES}) == len({marker for _, marker in SERIES}) == 8


def test_under_a_control_the_image_bar_is_labelled_as_the_models():
    # The control "graded" shows the image to the model all the time; the animal saw it briefly.
    for show in (predictivity_over_time, models_of_one, example_trajectories):
        assert "model was shown the image." in show(fake_score(6, 12)).caption


def test_a_caption_states_over_which_units_a_median_is(score):
    assert (
        "median over those of 76 units that are defined in the bin" in predictivity_over_time(score).caption
    )
    assert "median over those of" in generalization_matrix(generalization()).caption


def test_an_undefined_time_course_is_a_dash_without_a_warning(score):
    data = score.data.assign(temporal_correlation_time_course=score.data["temporal_correlation"] * np.nan)
    display = temporal_correlations([type(score)(data, score.info)])
    assert "time course alone –." in display.caption
    display.figure()


def test_windows_are_named_above_the_axes(score):
    (axes,) = predictivity_over_time(score).figure().axes
    heights = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert {heights[name] for name in ("early", "late", "image on")} == {1.02}


def test_many_models_still_have_one_curve_each(score):
    scores = [fake_score(4, 8, seed=k, model=f"m{k}") for k in range(len(SERIES) + 2)]
    assert len(lines(models_over_time(scores).figure().axes[0], "r")) == len(scores)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"region": "V4"}, "scores 1 and 2 are of different region: 'pIT' and 'V4'"),
        ({"recording": "mine"}, "scores 1 and 2 are of different recording"),
        ({"n_bins": 12}, "scores 1 and 2 have different time bins"),
    ],
)
def test_models_of_different_responses_are_not_drawn_together(other, message):
    with pytest.raises(ContractError, match=message):
        models_over_time([fake_score(4, 8), fake_score(4, 8, **other)])


@pytest.mark.parametrize("show", [models_over_time, temporal_correlations, pooled_scores])
def test_an_empty_list_of_scores_is_refused(show):
    with pytest.raises(ContractError, match="there is no score to draw"):
        show([])


def test_early_and_late_values_are_the_windows_of_the_score(score):
    display = early_against_late(score)
    frame, windows = display.frame(), score.data["window_image_driven"]
    for name in ("early", "late"):
        np.testing.assert_array_equal(frame[name], windows.sel(window=name))
    shown = frame[["early", "late"]].dropna()
    better = np.count_nonzero(shown["early"] > shown["late"])
    assert f"{better} of {len(shown)} units are predicted better early" in display.caption
    assert "1 unit not defined in one of the windows is left out" in display.caption
    axes = display.figure().axes[0]
    (points,) = [c for c in axes.collections if c.get_gid() == "units"]
    np.testing.assert_array_equal(points.get_offsets(), shown)
    assert axes.get_xlim() == axes.get_ylim()


def test_temporal_correlations_equal_those_of_the_score(score):
    other = fake_score(20, 40, seed=3, model="ff", region="V4")
    frame = temporal_correlations([score, other]).frame()
    for region, one in (("pIT", score), ("V4", other)):
        of_region = frame.loc[frame["region"] == region]
        for name in ("temporal_correlation", "temporal_correlation_time_course"):
            defined = one.data["window_image_driven"].sel(window="pooled").notnull()
            np.testing.assert_array_equal(of_region[name], one.data[name].where(defined))
            assert of_region[name].median() == getattr(one, name)
    axes = temporal_correlations([score, other]).figure().axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["median_convrnn, pIT", "ff, V4"]
    medians = [np.asarray(line.get_xdata())[0] for line in lines(axes, "median")]
    assert medians == [score.temporal_correlation, other.temporal_correlation]


def test_undefined_units_have_no_temporal_correlation(score):
    data = score.data.copy()
    data["window_image_driven"] = data["window_image_driven"].where(
        xr.DataArray(np.arange(data.sizes["unit"]) > 2, dims="unit")
    )
    numbers = temporal_correlations([type(score)(data, score.info)]).frame()
    assert np.isnan(numbers["temporal_correlation"].to_numpy()).sum() == 3


def test_regions_of_one_score_are_drawn_apart():
    score = fake_score(12, 20, region="IT")
    data = score.data.assign_coords(region=("unit", ["pIT"] * 5 + ["aIT"] * 7))
    axes = temporal_correlations([type(score)(data, score.info)]).figure().axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["pIT", "aIT"]


def test_residuals_equal_those_of_the_score(score):
    frame = residuals_by_category(score).frame().set_index("category")
    data = score.data.isel(time_bin=score.data["window_bins"].sel(window="pooled").values)
    residual = data["response"] - data["predicted"]
    assert set(frame.index) == set(CATEGORIES)
    for category in CATEGORIES:
        here = residual.isel(image=data["category_name"].values == category)
        error = (here**2).mean(("image", "time_bin")) / data["response"].var(("image", "time_bin"))
        bias = here.mean(("image", "time_bin")) / data["response"].std(("image", "time_bin"))
        np.testing.assert_allclose(frame.loc[category, "error"], error.median())
        np.testing.assert_allclose(frame.loc[category, "bias_high"], bias.quantile(0.75))
        assert frame.loc[category, "n_images"] == here.sizes["image"]
    assert frame["error"].is_monotonic_decreasing


def test_residuals_are_positive_where_the_prediction_is_too_low(score):
    cars = score.data["category_name"] == "Cars"
    data = score.data.assign(predicted=score.data["predicted"] - 2.0 * cars)
    frame = residuals_by_category(type(score)(data, score.info)).frame()
    assert frame.loc[0, "category"] == "Cars"
    assert frame.loc[0, "bias"] > 1


def test_residuals_of_a_score_without_categories_are_refused(score):
    with pytest.raises(ContractError, match="has no category_name of its images"):
        residuals_by_category(type(score)(score.data.drop_vars("category_name"), score.info))


def test_ranked_units_are_sorted_and_keep_their_own_ceilings(score):
    frame = ranked_units(score).frame()
    assert frame["r"].is_monotonic_decreasing
    of_unit = scores_against_ceiling(score).frame().set_index("unit_id")
    np.testing.assert_array_equal(frame["ceiling"], of_unit.loc[frame["unit_id"], "ceiling"])


def test_pooled_scores_have_their_intervals():
    scores = [fake_score(8, 20, model=name, seed=k) for k, name in enumerate(("a", "b"))]
    frame = pooled_scores(scores).frame()
    for row, score in zip(frame.to_dict("records"), scores, strict=True):
        here = score.data.sel(window="pooled")
        assert [row["low"], row["high"]] == here["window_image_driven_ci95"].values.tolist()
        for name in ("normalized", "time_course", "image_driven"):
            assert row[name] == here[f"window_{name}"].median()
    shown = lines(pooled_scores(scores).figure().axes[0], "image_driven")
    assert [np.asarray(line.get_xdata())[0] for line in shown] == frame["image_driven"].to_list()


def test_the_first_figure_is_the_headline_over_time(score):
    display, pooled = normalized_over_time(score), score.data.sel(window="pooled")
    frame = display.frame()
    np.testing.assert_array_equal(frame["normalized"], score.per_bin["normalized"])
    inside = pooled["window_bins"].values
    assert frame["headline"].notna().tolist() == inside.tolist()
    assert set(frame.loc[inside, "headline"]) == {float(pooled["window_image_driven"].median())}
    assert frame.loc[inside, ["low", "high"]].to_numpy()[0].tolist() == (
        pooled["window_image_driven_ci95"].values.tolist()
    )
    (line,) = lines(display.figure().axes[0], "headline")
    assert np.asarray(line.get_xdata()).tolist() == [70, 250]


def test_requested_units_are_drawn_in_the_given_order(score):
    asked = ["Tito_P_007", "Tito_P_001"]
    frame = example_trajectories(score, asked).frame()
    assert frame["unit_id"].unique().tolist() == asked
    with pytest.raises(UnknownNameError, match=r"unknown unit 'Tito_P_999'; did you mean"):
        example_trajectories(score, ["Tito_P_999"])


def generalization(n_bins=5, n_units=6, width=20, **attrs):
    start = 20.0 * np.arange(n_bins)
    r = np.random.default_rng(0).uniform(-0.2, 0.8, (n_units, n_bins, n_bins))
    r[:, 0] = np.nan
    r[:4, 1, 1] = np.nan
    coords = {
        f"{kind}_bin_{edge}": (f"{kind}_bin", start + (width if edge == "end" else 0))
        for kind in ("trained", "tested")
        for edge in ("start", "end")
    }
    about = {"model": "ff", "layer": "conv4", "region": "pIT", "recording": "simulated", "simulated": 1}
    about |= {"weights": "random:0", **attrs}
    data = xr.Dataset({"r": (("unit", "trained_bin", "tested_bin"), r)}, coords)
    return TemporalGeneralization(data, about)


def test_the_matrix_is_the_median_over_units_of_its_bins():
    found = generalization()
    display = generalization_matrix(found)
    for row in display.frame().to_dict("records"):
        here = found["r"].isel(trained_bin=int(row["trained_bin_start"] // 20))
        here = here.isel(tested_bin=int(row["tested_bin_start"] // 20)).values
        assert row["n_units"] == np.isfinite(here).sum()
        if row["n_units"] < 3:
            assert np.isnan(row["r"])
        else:
            assert row["r"] == np.nanmedian(here)
    figure = display.figure()
    (mesh,) = [c for c in figure.axes[0].collections if c.get_gid() == "r"]
    r = display.frame()["r"].to_numpy().reshape(5, 5)
    np.testing.assert_array_equal(mesh.get_array(), np.ma.masked_invalid(r))
    assert (figure.axes[0].get_xlabel()[:6], figure.axes[0].get_ylabel()[:6]) == ("Tested", "Fitted")
    assert "SIMULATED RECORDING" in figure.get_suptitle()


def test_the_matrix_has_the_fit_on_the_vertical_axis():
    found = generalization()
    found["r"][:] = 0.0
    found["r"][:, 1, 3] = 0.9
    display = generalization_matrix(found)
    (mesh,) = [c for c in display.figure().axes[0].collections if isinstance(c, QuadMesh)]
    corners = np.asarray(mesh.get_coordinates())
    assert np.asarray(mesh.get_array())[1, 3] == 0.9
    assert corners[1, 3].tolist() == [60, 20]  # x: tested, y: fitted
    assert "fit 20–40 ms, test 60–80 ms" in display.caption


def test_cells_of_overlapping_bins_are_equal_and_centred():
    axes = generalization_matrix(generalization(width=30)).figure().axes[0]
    (mesh,) = [c for c in axes.collections if isinstance(c, QuadMesh)]
    np.testing.assert_array_equal(np.asarray(mesh.get_coordinates())[0, :, 0], [0, 25, 45, 65, 85, 110])


def test_an_entirely_undefined_matrix_is_drawn():
    found = generalization()
    found["r"][:] = np.nan
    display = generalization_matrix(found)
    display.figure().draw_without_rendering()
    assert "No pair of bins is defined" in display.caption


def test_published_models_have_the_parameters_of_the_catalogue():
    frame = accuracy_against_parameters().frame()
    catalogue = list_models()
    assert frame["parameters"].to_list() == [catalogue[name].parameters for name in frame["model"]]
    assert frame["top1"].between(1, 100).all()
    assert set(frame["source"]) == {"N22", "torchvision"}


def test_names_of_published_models_do_not_overlap():
    display = accuracy_against_parameters()
    figure = display.figure()
    texts = dict.fromkeys(pieces(figure))
    for (words, box), (others, other) in itertools.combinations(texts, 2):
        assert overlap(box, other) < 3, (words, others)
    points = [line.get_xydata() for line in figure.axes[0].lines]
    np.testing.assert_array_equal(
        np.sort(np.concatenate(points), axis=0),
        np.sort(display.frame()[["parameters", "top1"]].to_numpy() / [1e6, 1], axis=0),
    )


@pytest.mark.parametrize(
    ("infos", "names"),
    [
        ([{}, {"model": "ff"}], ["median_convrnn", "ff"]),
        ([{}, {"layer": "conv8"}], ["median_convrnn, conv7", "median_convrnn, conv8"]),
        ([{}, {"control": "graded"}], ["median_convrnn, ridge", "median_convrnn, ridge, graded"]),
        ([{}, {"weights": "9f" * 32}], ["median_convrnn, random:0", "median_convrnn, 9f9f9f9f9f…"]),
        ([{}, {}], ["median_convrnn (1)", "median_convrnn (2)"]),
        ([{}, {"seed": 1}, {"model": "ff"}], ["median_convrnn, seed 0", "median_convrnn, seed 1", "ff"]),
    ],
)
def test_labels_name_only_the_settings_that_differ(infos, names):
    made = fake_score(2, 4)
    assert labels([type(made)(made.data, {**made.info, **info}) for info in infos]) == names


PLOTS = {
    "normalized": plot.normalized,
    "over_time": plot.over_time,
    "models": lambda score, ax=None: plot.models([score], ax),
    "pooled": lambda score, ax=None: plot.pooled([score], ax),
    "across_units": plot.across_units,
    "ranked": plot.ranked,
    "early_late": plot.early_late,
    "temporal": plot.temporal,
    "accuracy": lambda score, ax=None: plot.accuracy(ax),
    "generalization": lambda score, ax=None: plot.generalization(generalization(), ax),
}


@pytest.mark.parametrize("draw", PLOTS.values(), ids=PLOTS)
def test_plots_draw_into_the_given_axes_and_return_them(draw, score):
    figure, axes = plt.subplots(1, 2)
    settings = dict(plt.rcParams)
    try:
        assert draw(score, axes[1]) is axes[1]
        assert not axes[0].has_data()
        assert axes[1].get_title(loc="left")
        assert dict(plt.rcParams) == settings
        figure.draw_without_rendering()
    finally:
        plt.close("all")


@pytest.mark.parametrize("draw", PLOTS.values(), ids=PLOTS)
def test_plots_without_axes_make_a_figure_for_notebooks(draw, score):
    try:
        axes = draw(score)
        assert plt.gcf() is axes.figure
        assert len(plt.get_fignums()) == 1
        if draw not in (PLOTS["accuracy"], PLOTS["generalization"]):
            assert "SIMULATED RECORDING" in axes.get_title(loc="left").replace("\n", " ")
    finally:
        plt.close("all")


@pytest.mark.parametrize("draw", [plot.examples, plot.residuals])
def test_plots_of_several_axes_return_all_of_them(draw, score):
    try:
        axes = draw(score)
        assert set(axes.ravel()) == set(plt.gcf().axes)
        whole = plt.figure(layout="constrained")
        left = whole.add_subfigure(whole.add_gridspec(1, 2)[0])
        assert {ax.figure for ax in draw(score, figure=left).ravel()} == {left}
    finally:
        plt.close("all")


def test_plots_refuse_other_types_of_axes(score):
    with pytest.raises(ContractError, match="ax is a matplotlib Axes, got list"):
        plot.over_time(score, [1])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ContractError, match="figure is a matplotlib Figure or SubFigure, got int"):
        plot.residuals(score, 3)  # pyright: ignore[reportArgumentType]


def test_a_display_renders_in_a_notebook(score):
    assert early_against_late(score)._repr_png_().startswith(b"\x89PNG")
