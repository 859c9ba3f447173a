"""Notices that must accompany a score."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fake_scores import fake_score

SMALL: dict[str, Any] = {"n_units": 20, "n_images": 40}


def titles(score):
    return [notice.title for notice in score.notices]


def with_values(score, **values):
    """Set these values for all units and windows."""
    return replace(
        score,
        data=score.data.assign(
            {name: (score.data[name].dims, np.full(score.data[name].shape, v)) for name, v in values.items()}
        ),
    )


def with_provenance(score, **provenance):
    return replace(score, info={**score.info, "provenance": {**score.info["provenance"], **provenance}})


def test_a_sound_score_has_no_notice():
    assert titles(fake_score(**SMALL, weights="sha256:0")) == []


@pytest.mark.parametrize(("n_defined", "read"), [(4, True), (3, False), (0, False)])
def test_with_under_a_fifth_of_units_defined_a_score_is_marked_unusable(n_defined, read):
    score = with_values(fake_score(**SMALL, weights="sha256:0"), window_defined=False)
    score.data["window_defined"][:, :n_defined] = True
    assert ("Do not read this score" not in titles(score)) == read


def test_a_plain_score_explained_by_the_time_course_is_marked():
    score = fake_score(**SMALL, weights="sha256:0")
    opposite = with_values(score, window_image_driven=-0.2, window_normalized=0.6, window_time_course=0.5)
    assert titles(with_values(opposite, window_ci95=0.5)) == ["Only the time course is predicted"]
    assert titles(with_values(opposite, window_ci95=-0.1)) == []
    below = with_values(score, window_image_driven=0.2, window_normalized=0.4, window_time_course=0.5)
    assert titles(below) == ["Below the mean time course"]
    assert "0.40" in below.notices[0].text


def test_copied_trials_are_noticed():
    score = with_provenance(fake_score(**SMALL, weights="sha256:0"), images={"copied_trials": 7})
    assert titles(score) == ["Copied trials"]
    assert "7 images" in score.notices[0].text


@pytest.mark.parametrize(("units", "noticed"), [(2, False), (3, True)])
def test_drift_is_noticed_where_blocks_cannot_be_told(units, noticed):
    score = with_provenance(fake_score(**SMALL, weights="sha256:0"), drifting_units=units, n_units=20)
    assert titles(score) == (["Trials drift and blocks cannot be told"] if noticed else [])


@pytest.mark.parametrize(("units", "noticed"), [(2, False), (3, True)])
@pytest.mark.parametrize("edge", ["lowest", "highest"])
def test_a_tenth_of_units_at_an_edge_of_the_grid_is_reported(edge, units, noticed):
    fit = {"converged": True, f"units_at_{edge}_alpha": units}
    score = with_provenance(fake_score(**SMALL, weights="sha256:0"), fit=fit, n_units=20)
    assert titles(score) == (["Penalties at the edge of the grid"] if noticed else [])
    assert not noticed or f"3 of 20 units chose the {edge} penalty" in score.notices[0].text


def test_random_weights_bad_fits_and_shared_pictures_are_reported():
    score = fake_score(**SMALL, weights="random:7")
    score = with_provenance(
        score,
        fit={"converged": False},
        images={"same_picture": 5, "near_duplicates": 2, "near_duplicate_threshold": 0.01},
    )
    assert titles(score) == [
        "Fit not converged",
        "Random weights",
        "Images that show the same picture",
        "Near-duplicates in training and test",
    ]
    assert titles(fake_score(**SMALL, weights="unknown, sha256:0")) == ["Unknown weights"]
    assert score.to_dict()["notices"][1]["text"].startswith(
        "The weights were drawn and not trained (random:7)"
    )


def test_the_headline_is_image_driven():
    score = fake_score(**SMALL)
    pooled = score.data.sel(window="pooled")
    assert score.headline["normalized"] == pytest.approx(float(pooled["window_image_driven"].median()))
    assert score.headline["ci95"] == pooled["window_image_driven_ci95"].values.tolist()
    assert score.headline["window_ms"] == [70, 250]
    assert (score.headline["n_defined"], score.headline["n_units"]) == (20, 20)
    assert next(iter(score.to_dict())) == "headline"
