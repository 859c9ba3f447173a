"""Controls remove the dynamics of a model, and nothing else."""

import numpy as np
import pytest
import torch
from tiny import TinyModel, tiny_recording

import brainfit
from brainfit.contracts.trajectory import Trajectory
from brainfit.contracts.vocabulary import CONTROLS
from brainfit.errors import ContractError, UnknownNameError
from brainfit.mappings.controls import make_control, reorder_bins, scale_last_bin, shared_time_course
from brainfit.mappings.ridge import Ridge


def steps_of(features: np.ndarray) -> Trajectory:
    return Trajectory.from_steps(list(torch.from_numpy(features).unbind(1)))


def test_bins_are_shuffled_equally_for_all_images(rng) -> None:
    features = rng.normal(size=(40, 6, 8)).astype(np.float32)
    order = [3, 0, 5, 1, 4, 2]
    np.testing.assert_array_equal(reorder_bins(steps_of(features), order).dense(), features[:, order])
    still = Trajectory((torch.zeros(1, 8), torch.ones(40, 8)), (0, 0, 1, 1))
    assert [len(block) for block in reorder_bins(still, [2, 0, 3, 1]).blocks] == [
        40,
        1,
    ]  # shared ones stay so


def test_the_order_of_bins_depends_on_the_seed_only(rng) -> None:
    bins = Trajectory.from_steps([torch.full((1, 1), float(k)) for k in range(25)])
    orders = []
    for seed in (0, 0, 1):
        shuffled = make_control("time-shuffled", rng.normal(size=(5, 2, 25)), seed)(bins)
        orders.append(shuffled.dense().ravel().tolist())
    first, again, other = orders
    assert sorted(first) == list(range(25))
    assert first == again != other


def test_graded_is_the_last_bin_at_several_scales(rng) -> None:
    last = rng.normal(size=(10, 4)).astype(np.float32)
    steps = steps_of(np.stack([0 * last, 5 * last, last], axis=1))
    seen = scale_last_bin(steps, [0.5, 1, -2]).dense().numpy().reshape(10, 3, 4)
    np.testing.assert_allclose(seen, np.stack([0.5 * last, last, -2 * last], axis=1))


def test_a_shared_time_course_is_recovered(rng) -> None:
    course = np.exp(-((np.arange(25) - 9) ** 2) / 20)
    size = rng.lognormal(size=(60, 8, 1)) * np.array([1, 10, 100, 1, 1, 0.1, 1, 1])[:, None]
    found = shared_time_course(size * course + 0.01 * size * rng.normal(size=(60, 8, 25)))
    np.testing.assert_allclose(found, course / course.max(), atol=0.01)
    offset = 10 * rng.normal(size=(1, 8, 1))
    shifted = shared_time_course(size * course + offset)
    np.testing.assert_allclose(shifted, course / course.max(), atol=0.01)
    assert shared_time_course(np.zeros((4, 2, 5))).shape == (5,)


def test_the_graded_control_explains_exactly_one_time_course(rng) -> None:
    """Units with a common time course are fitted exactly; a shift in time is not."""
    features = rng.normal(size=(80, 6))
    course = np.array([0.0, 0.3, 1.0, 0.6, 0.2])
    held = steps_of(np.repeat(features[:, None], 5, axis=1).astype(np.float32))
    weights = rng.normal(size=(6, 3))
    alike = np.einsum("if,fu,t->iut", features, weights, course)
    moved = alike.copy()
    moved[:, 2] = np.roll(alike[:, 2], 2, axis=1)
    folds = np.arange(80) % 5
    errors = {}
    for name, responses in (("alike", alike), ("moved", moved)):
        shown = make_control("graded", responses, 0)(held)
        predicted = Ridge().partial_fit(shown, responses, folds).solve().predict(shown)
        errors[name] = ((predicted - responses) ** 2).mean(axis=(0, 2)) / responses.var(axis=(0, 2))
    assert errors["alike"].max() < 1e-4
    assert errors["moved"][2] > 0.5


@pytest.mark.parametrize("control", [None, "per-bin"])
def test_other_controls_do_not_change_trajectories(control: str | None, rng) -> None:
    steps = steps_of(rng.normal(size=(3, 5, 2)))
    assert make_control(control, np.ones((3, 2, 5)), 0)(steps) is steps


@pytest.mark.parametrize("control", CONTROLS)
def test_a_score_names_its_control(control: str) -> None:
    score = brainfit.score(TinyModel(), tiny_recording(n_images=40), region="pIT", control=control)
    assert score.info["control"] == control
    shown = score.info["provenance"]["presentation"]
    assert (shown["on_ms"], shown["off_ms"]) == ((250, 0) if control == "graded" else (100, 150))


def test_controls_in_time_are_refused_for_one_bin() -> None:
    with pytest.raises(ContractError, match="the recording has one time bin"):
        brainfit.score(TinyModel(), tiny_recording(n_images=40, n_bins=1), region="pIT", control="per-bin")


def test_unknown_controls_are_refused_and_known_ones_reported(tmp_path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'per-bin'"):
        brainfit.score(TinyModel(), tiny_recording(), region="pIT", control="perbin")
    score = brainfit.score(TinyModel(), tiny_recording(n_images=40), region="pIT", control="time-shuffled")
    page = brainfit.write_report(score, tmp_path).read_text(encoding="utf-8")
    assert "Control: time-shuffled" in page
    assert "in another order" in page
