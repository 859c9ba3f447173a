"""Layers are assigned to the right regions, from training images only."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from lookup_model import Lookup, made_up
from matplotlib.patches import Rectangle
from sklearn.linear_model import Ridge as SklearnRidge
from typer.testing import CliRunner

import brainfit
from brainfit.cli.app import app
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ContractError, UnknownNameError
from brainfit.execution import Execution
from brainfit.figures import layer_votes
from brainfit.registry import lookup
from brainfit.scoring.layer_choice import vote
from brainfit.scoring.request import N_FOLDS
from brainfit.scoring.responses import prepare
from data_loaders.simulated.recording import simulated
from data_loaders.simulated.truth import mean_responses


@pytest.fixture(scope="module")
def simulation():
    """Return the simulated recording, and a model of which two layers are the true means of two regions."""
    recording = simulated(n_images=72)
    truth = mean_responses(recording)
    pixels = recording.stimuli.values[:, ::16, ::16, 0].reshape(72, 1, -1) / 255.0
    course = np.ones((1, 25, 1))
    noise = np.random.default_rng(0).normal(size=(72, 25, 60))
    means = {
        region: truth.isel(unit=truth["region"].values == region)
        .transpose("image", "time_bin", "unit")
        .values
        for region in ("V4", "pIT")
    }
    return recording, Lookup(recording, {}, noise=noise, pixels=pixels * course, **means)


def test_each_region_gets_its_true_layer(simulation):
    recording, model = simulation
    found = brainfit.assign_layers(
        model, recording, regions=["pIT", "V4"], execution=Execution(batch_size=48)
    )
    assert found["chosen"].to_series().to_dict() == {"pIT": "pIT", "V4": "V4"}
    for region in ("V4", "pIT"):  # some units hardly depend on the image
        assert float(found["plain_share"].sel(region=region, layer=region)) > 0.9
        assert float(found["share"].sel(region=region, layer=region)) > 0.85
    assert found["committed"].values.tolist() == ["", ""]
    assert found.info["n_train_images"] == 54
    assert found.info["simulated"] is True


@pytest.mark.parametrize("kind", ["loss", "plain_loss"])
def test_the_loss_equals_ridge_on_inner_folds_of_training_images(kind):
    """The loss covers all bins on one scale, however few rows a trajectory is compressed to."""
    recording, made = made_up()
    second = made.features["second"].numpy()
    layers = {
        "noise": made.features["noise"].numpy(),
        "second": second,
        "held": np.repeat(second[:, [0, 12]], [10, 15], axis=1),  # two blocks, as of a feedforward net
        "late": np.repeat([0.0, 1.0], [20, 5])[:, None] * second,
    }
    model = Lookup(recording, {}, **layers)
    found = brainfit.assign_layers(model, recording, regions=["pIT"])
    order = np.argsort(recording.responses["image_id"].values.astype(str), kind="stable")
    named = recording.select_region("pIT").select_images(order)
    ready = prepare(named, Presentation(), test_fraction=0.25, n_folds=N_FOLDS, seed=0)
    y = ready.mean[ready.train].swapaxes(1, 2)
    y = y - y.mean(0) * (kind == "loss")
    variance = ((y - y.mean((0, 1))) ** 2).sum((0, 1))
    for layer in layers:
        x = model.features[layer].numpy()[order][ready.train].astype(float)
        x = x - x.mean(0) * (kind == "loss")
        centered = x - x.mean((0, 1))
        alphas = np.logspace(-9, 5, 29) * (centered**2).sum() / x.shape[2]
        losses = []
        for alpha in alphas:
            total = 0
            for fold in range(N_FOLDS):
                out = ready.folds == fold
                ridge = SklearnRidge(alpha=alpha).fit(x[~out].reshape(-1, x.shape[2]), y[~out].reshape(-1, 4))
                error = ridge.predict(x[out].reshape(-1, x.shape[2])) - y[out].reshape(-1, 4)
                total = total + (error**2).sum(0)
            losses.append(total / variance)
        np.testing.assert_allclose(
            found[kind].sel(layer=layer).values, np.min(losses, axis=0), rtol=0, atol=1e-3
        )


@pytest.mark.parametrize(
    ("loss", "units", "layer", "tied"),
    [
        ([[0.5, 0.9, 1.3], [0.4, 0.8, 1.2]], [1, 1, -1], "b", False),
        ([[0.1, 0.5, 0.9], [0.6, 0.49, 0.8]], [0, 1, 1], "b", False),  # most votes, not the least loss
        ([[0.1, 0.7], [0.9, 0.6]], [0, 1], "a", True),
        ([[0.7, 0.1], [0.3, 0.3]], [1, 0], "b", True),  # median 0.4, 0.3
        ([[1.3, 1.2], [1.2, 1.1]], [-1, -1], "b", True),  # no unit votes
        ([[0.5], [0.5]], [0], "a", False),
        ([[1.0], [1.0]], [-1], "a", True),
    ],
)
def test_the_layer_with_most_votes_is_chosen(loss, units, layer, tied):
    choice = vote(["a", "b"], np.array(loss))
    assert choice.units.tolist() == units
    assert (choice.layer, choice.tied) == (layer, tied)
    summary = choice.summary()
    assert summary["n_undecided"] == units.count(-1)
    shares = [row["share"] for row in summary["candidates"].values()]
    assert sum(shares) == pytest.approx(1 - units.count(-1) / len(units))


def test_unpredictable_units_do_not_vote():
    recording, model = made_up()
    responses = recording.responses.copy(deep=True)
    responses[:, :, 1] = np.random.default_rng(9).normal(size=responses[:, :, 1].shape)  # a unit of pIT
    silent = replace(recording, responses=responses)
    found = brainfit.assign_layers(model, silent, layers=["second", "first"])
    assert found["unit_layer"].values.tolist() == ["first"] * 4 + ["", "second", "second", "second"]
    assert found["votes"].sel(region="pIT").values.tolist() == [3, 0]
    assert float(found["share"].sel(region="pIT").sum()) == 0.75
    assert "1 unit that no layer predicts did not vote" in layer_votes(found).caption


def test_auto_scores_the_assigned_layer():
    recording, model = made_up()
    assigned = brainfit.assign_layers(model, recording)
    for region, layer in (("V4", "first"), ("pIT", "second")):
        result = brainfit.score(model, recording, region=region, layer="auto")
        assert result.info["layer"] == str(assigned["chosen"].sel(region=region).values) == layer
        choice = result.info["provenance"]["layer_choice"]
        assert (choice["how"], choice["n_units"], choice["tied"]) == ("auto", 4, False)
        here = assigned.data.sel(region=region)
        for name in model.layers:
            candidate = choice["candidates"][name]
            assert candidate["share"] == float(here["share"].sel(layer=name))
            assert candidate["median_loss"] == pytest.approx(
                float(here["median_loss"].sel(layer=name)), abs=1e-3
            )
        named = brainfit.score(model, recording, region=region, layer=layer)
        xr.testing.assert_identical(named.data, result.data)
        assert named.info["provenance"]["layer_choice"] == {"how": "named"}
    committed = brainfit.score(model, recording, region="V4")
    assert committed.info["layer"] == "noise"
    assert committed.info["provenance"]["layer_choice"] == {"how": "committed"}


def test_auto_chooses_by_ridge_for_every_mapping():
    recording, model = made_up()
    result = brainfit.score(
        model, recording, region="pIT", layer="auto", mapping="pls", control="per-bin", projection=4
    )
    assert result.info["layer"] == "second"


def test_test_responses_change_neither_the_choice_nor_the_map():
    recording, model = made_up()
    first = brainfit.score(model, recording, region="pIT", layer="auto")
    assigned = brainfit.assign_layers(model, recording)
    test = recording.responses["image_id"].isin(first.data["image_id"]).values
    other = model.features["first"].numpy() @ np.random.default_rng(3).normal(size=(6, 8))
    swapped = recording.responses.copy(deep=True)  # alone, they would choose another layer
    swapped[test] = 50 * other.swapaxes(1, 2)[test][:, None] + recording.responses.values[test]
    second = brainfit.score(model, replace(recording, responses=swapped), region="pIT", layer="auto")
    choices = [result.info["provenance"]["layer_choice"] for result in (first, second)]
    assert choices[0] == choices[1]
    for name in ("predicted", "alpha"):
        np.testing.assert_array_equal(first.data[name].values, second.data[name].values)
    assert (first.data["r"].values != second.data["r"].values).any()
    again = brainfit.assign_layers(model, replace(recording, responses=swapped))
    np.testing.assert_array_equal(again["loss"].values, assigned["loss"].values)

    swapped = recording.responses.copy(deep=True)  # responses to training images do change the choice
    swapped[~test] = 50 * other.swapaxes(1, 2)[~test][:, None] + recording.responses.values[~test]
    third = brainfit.score(model, replace(recording, responses=swapped), region="pIT", layer="auto")
    assert third.info["layer"] == "first"


def test_shuffled_responses_score_zero_under_auto():
    """The best of many uninformative layers must not score above noise."""
    recording, _ = made_up(n_images=200)
    rng = np.random.default_rng(1)
    layers = {f"noise{k}": rng.normal(size=(200, 25, 12)) for k in range(6)}
    result = brainfit.score(Lookup(recording, {}, **layers), recording, region="pIT", layer="auto")
    assert abs(float(np.median(result.data["window_r"].sel(window="pooled")))) < 0.06


def test_each_region_keeps_the_split_of_its_own_score():
    """Images missing in one region change its split, but not the other region's."""
    recording, model = made_up()
    responses = recording.responses.copy(deep=True)
    responses[:7, :, ::2] = np.nan  # missing in V4
    gaps = replace(recording, responses=responses)
    both = brainfit.assign_layers(model, gaps)
    for region in ("V4", "pIT"):
        alone = brainfit.assign_layers(model, gaps, regions=[region])
        of_region = both["unit_region"].values == region
        np.testing.assert_array_equal(both["loss"].values[:, of_region], alone["loss"].values)
    whole = brainfit.assign_layers(model, recording, regions=["pIT"])
    np.testing.assert_array_equal(
        both["loss"].values[:, both["unit_region"].values == "pIT"], whole["loss"].values
    )
    assert any(line.startswith("V4: 7 images") for line in both.info["dropped"])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"regions": ["V5"]}, UnknownNameError, "unknown region 'V5'"),
        ({"regions": ["aIT"]}, ContractError, "no units in region 'aIT'"),
        ({"regions": []}, ContractError, "regions is empty"),
        ({"layers": ["secnd"]}, UnknownNameError, "did you mean 'second'"),
        ({"layers": []}, ContractError, "layers is empty"),
    ],
)
def test_impossible_assignments_are_refused(options, error, message):
    recording, model = made_up(n_images=16)
    with pytest.raises(error, match=message):
        brainfit.assign_layers(model, recording, **options)


def test_auto_is_accepted_only_where_a_layer_can_be_chosen():
    recording, model = made_up(n_images=40)
    with pytest.raises(UnknownNameError, match="unknown layer 'auto'"):
        brainfit.mapping_consistency(model, recording, region="V4", layer="auto")


@pytest.fixture
def commanded(monkeypatch, tmp_path):
    recording, model = made_up(n_images=40)
    named = {"model": {"lookup": lambda: model}, "recording": {"made": lambda: recording}, "benchmark": {}}
    monkeypatch.setattr(lookup, "_REGISTERED", named)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments):
        return CliRunner().invoke(app, [*arguments, "--model", "lookup", "--recording", "made"])

    return run


def test_command_prints_a_table_or_json_and_draws(commanded, tmp_path):
    table = commanded("layers", "--figure", "votes.png")
    assert table.exit_code == 0, table.output
    rows = {line.split()[0]: line.split()[1:] for line in table.stdout.splitlines() if line.strip()}
    assert rows["chosen"] == ["first", "second"]
    assert rows["committed"] == ["noise", "–"]
    assert rows["first"][0] == "100%,"
    assert table.stdout.splitlines()[-1] == "votes.png"
    assert (tmp_path / "votes.png").read_bytes().startswith(b"\x89PNG")
    assert [item.name for item in tmp_path.iterdir()] == ["votes.png"]
    assert "simulated" in table.stderr

    printed = json.loads(commanded("layers", "--region", "pIT", "--json").stdout)
    assert list(printed["regions"]) == ["pIT"]
    found = printed["regions"]["pIT"]
    assert (found["chosen"], found["committed"], found["n_units"]) == ("second", None, 4)
    assert found["layers"]["second"]["share"] == 1

    refused = commanded("layers", "--figure", "votes.doc")
    assert refused.exit_code == 1
    assert "wanted a file that ends in" in refused.stderr


def test_score_command_takes_auto_and_projections(commanded, tmp_path):
    options = ["score", "--region", "pIT", "--json"]
    result = commanded(*options, "--layer", "auto", "--project", "5")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert printed["layer"] == "second"
    assert printed["provenance"]["layer_choice"]["how"] == "auto"
    assert printed["provenance"]["fit"]["projection"]["n_components"] == 5
    assert printed["run"].endswith("pIT-auto-ridge-5projections-seed0")
    refused = commanded(*options, "--layer", "second", "--project", "6")
    assert refused.exit_code == 1
    assert "would not make the layer's 6 features fewer" in refused.stderr


def test_the_figure_shows_the_votes_and_marks_simulated_data():
    recording, model = made_up(n_images=40)
    found = brainfit.assign_layers(model, recording)
    display = layer_votes(found)
    frame = display.frame().set_index(["region", "layer"])
    assert frame["share"].to_dict() == found["share"].to_series().to_dict()
    assert where(frame, "chosen") == [("V4", "first"), ("pIT", "second")]
    assert where(frame, "committed") == [("V4", "noise")]
    figure = display.figure()
    figure.draw_without_rendering()
    heights = [[bar.get_height() for bar in ax.patches if isinstance(bar, Rectangle)] for ax in figure.axes]
    np.testing.assert_array_equal(heights, found["share"].values)
    assert "SIMULATED RECORDING" in figure.get_suptitle()
    assert "RANDOM WEIGHTS" in figure.get_suptitle()


def where(frame: pd.DataFrame, name: str) -> list[tuple[str, str]]:
    return frame.query(name).index.to_list()


def shown(features):
    return Trajectory.from_steps(list(torch.as_tensor(features, dtype=torch.float32).unbind(1)))


def test_invalid_projections_are_refused():
    recording, model = made_up(n_images=40)
    refused: list[tuple[dict[str, Any], str]] = [
        ({"projection": 6}, "would not make the layer's 6 features fewer"),
        ({"projection": 0}, "projection is a whole number from 1 up, got 0"),
        ({"projection": 3, "mapping": "factorized"}, "a factorized map needs each feature's channel"),
    ]
    for options, message in refused:
        with pytest.raises(ContractError, match=message) as caught:
            brainfit.score(model, recording, region="V4", layer="first", **options)
        assert "\n" not in str(caught.value)
    plain = brainfit.score(model, recording, region="V4", layer="first")
    assert "projection" not in plain.info["provenance"]["fit"]


def with_clock(n_images=80):
    """Make a recording with a strong time course, a layer that depends on images, and one on time only."""
    recording, model = made_up(n_images)
    course = 30 * np.exp(-np.arange(25) / 5)
    recording = replace(recording, responses=recording.responses + course)
    clock = np.broadcast_to(np.eye(25), (n_images, 25, 25)).copy()
    return recording, Lookup(recording, {}, second=model.features["second"].numpy(), clock=clock)


def test_the_vote_is_image_driven_and_the_plain_vote_is_reported():
    recording, model = with_clock()
    found = brainfit.assign_layers(model, recording, regions=["pIT"])
    assert found["chosen"].values.tolist() == ["second"]
    assert found["plain_chosen"].values.tolist() == ["clock"]
    assert (found["loss"].sel(layer="clock") >= 1).all()


def test_readouts_are_candidates_only_if_named():
    recording, model = with_clock()
    model.readout_layers = ("second",)
    assert brainfit.assign_layers(model, recording, regions=["pIT"])["layer"].values.tolist() == ["clock"]
    named = brainfit.assign_layers(model, recording, regions=["pIT"], layers=["second", "clock"])
    assert named["chosen"].values.tolist() == ["second"]
    result = brainfit.score(model, recording, region="pIT", layer="auto")
    assert list(result.info["provenance"]["layer_choice"]["candidates"]) == ["clock"]


def test_layers_in_a_set_are_refused():
    recording, model = with_clock(40)
    with pytest.raises(ContractError, match="a set, which has no order"):
        brainfit.assign_layers(model, recording, layers={"clock"})  # type: ignore[arg-type]
