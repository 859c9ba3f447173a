"""Ridge at default settings against dense float64 ridge, over the spectra on which iterative solvers fail."""

import logging
from functools import cache

import numpy as np
import pytest
import torch
from ridge_oracle import (
    CLOCKS,
    DOMINATED,
    N_FOLDS,
    SPECTRA,
    Dense,
    Problem,
    correlations,
    make_problem,
    solve_dense,
)

from brainfit.contracts.trajectory import Trajectory
from brainfit.mappings import ridge as ridge_module
from brainfit.mappings.per_bin import PerBin
from brainfit.mappings.ridge import Ridge
from brainfit.mappings.solvers.krylov import WIDTH
from brainfit.mappings.solvers.penalties import STEPS_PER_DECADE

LARGEST_DIFFERENCE = 0.005
SHAPES = {  # training images, time bins, features, units
    "static, few features": (200, 1, 90, 20),
    "static, one unit": (100, 1, 700, 1),
    "static, many units": (150, 1, 600, 600),
    "bins, few features": (60, 8, 120, 70),
    "bins, many features": (40, 8, 700, 5),
}
SEARCHED = {"static": (120, 1, 300, 100), "bins": (40, 8, 700, 5)}
FOLDS = {n: np.arange(n) % N_FOLDS for n in (40, 60, 100, 120, 150, 200)}


def trajectory(features: np.ndarray) -> Trajectory:
    return Trajectory.from_steps(list(torch.from_numpy(features).unbind(1)))


@cache
def solved(spectrum: str, shape: str) -> tuple[Problem, Dense]:
    problem = make_problem(spectrum, *(SHAPES | SEARCHED)[shape])
    return problem, solve_dense(problem)


def differences(ridge: Ridge, problem: Problem, dense: Dense) -> tuple[float, float]:
    """Return the worst difference of r and the share of units with the penalty of the dense solution."""
    predicted = ridge.predict(trajectory(problem.features[problem.n_train :]))
    r = correlations(predicted.swapaxes(1, 2).reshape(-1, predicted.shape[1]), problem)
    solution = ridge.solution_
    worst = np.abs(r - correlations(dense.predicted, problem)).max()
    return float(worst), float(dense.agrees(solution.relative_alphas, solution.chosen).mean())


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("shape", SHAPES)
def test_default_ridge_equals_the_dense_solution(shape: str, spectrum: str) -> None:
    problem, dense = solved(spectrum, shape)
    n = problem.n_train
    ridge = Ridge().partial_fit(trajectory(problem.features[:n]), problem.responses[:n], FOLDS[n]).solve()
    worst, equal = differences(ridge, problem, dense)
    assert ridge.summary()["converged"]
    # Predictions in float32 keep two digits of what is 1e-5 or 1e-6 of a feature, in the worst of 600 units.
    rounded = shape == "static, many units" and spectrum in DOMINATED[-2:]
    assert worst < (0.05 if rounded else LARGEST_DIFFERENCE)
    assert equal >= 0.99


@pytest.mark.parametrize("spectrum", ["1/k2", *SPECTRA[5:7]])
def test_a_map_per_bin_equals_the_dense_solution_of_its_bin(spectrum: str) -> None:
    problem, _ = solved(spectrum, "bins, few features")
    n = problem.n_train
    maps = PerBin(Ridge).partial_fit(trajectory(problem.features[:n]), problem.responses[:n], FOLDS[n])
    predicted = maps.solve().predict(trajectory(problem.features[n:]))
    for k in (0, 5):
        one = Problem(problem.features[:, k : k + 1], problem.responses[..., k : k + 1], n)
        exact = correlations(solve_dense(one).predicted, one)
        assert np.abs(correlations(predicted[..., k], one) - exact).max() < LARGEST_DIFFERENCE


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("shape", SEARCHED)
def test_a_search_is_the_dense_solution_or_admits_it_is_not(shape: str, spectrum: str, monkeypatch) -> None:
    """The solver of layers too large for a direct solution, in float32, on the same problems."""
    monkeypatch.setattr(ridge_module, "choose_solver", lambda n_rows, n_features: "krylov")
    problem, dense = solved(spectrum, shape)
    n = problem.n_train
    ridge = Ridge().partial_fit(trajectory(problem.features[:n]), problem.responses[:n], FOLDS[n]).solve()
    worst, _ = differences(ridge, problem, dense)
    summary = ridge.summary()
    assert worst < LARGEST_DIFFERENCE or not summary["converged"]
    if spectrum not in DOMINATED + CLOCKS + SPECTRA[5:7]:
        assert worst < LARGEST_DIFFERENCE
        # Rounding to float32 ends the grid, so these units are open although they are solved.
        assert summary["units_not_converged"] <= summary["units_at_lowest_alpha"]


def test_an_iteration_that_stops_early_is_reported(monkeypatch, caplog) -> None:
    monkeypatch.setattr(ridge_module, "choose_solver", lambda n_rows, n_features: "krylov")
    problem, dense = solved(SPECTRA[5], "bins")
    n, ridge = problem.n_train, Ridge(max_blocks=1)
    ridge.partial_fit(trajectory(problem.features[:n]), problem.responses[:n], FOLDS[n])
    with caplog.at_level(logging.WARNING, "brainfit"):
        ridge.solve()
    assert differences(ridge, problem, dense)[0] > LARGEST_DIFFERENCE
    summary = ridge.summary()
    assert not summary["converged"]
    assert summary["residual_at_lowest_alpha"] > 1e-3
    assert "did not converge" in caplog.text


def test_an_iteration_stops_once_the_chosen_penalties_and_those_below_are_solved(monkeypatch) -> None:
    monkeypatch.setattr(ridge_module, "choose_solver", lambda n_rows, n_features: "krylov")
    problem = make_problem("1/k", 300, 4, 1100, 3, noise=3)
    n, ridge = problem.n_train, Ridge(max_blocks=8)
    steps, folds = trajectory(problem.features[:n]), np.arange(n) % N_FOLDS
    ridge.partial_fit(steps, problem.responses[:n], folds).solve()
    solution = ridge.solution_
    assert solution.converged
    assert solution.n_directions < 8 * WIDTH
    assert solution.residuals is not None
    assert max(solution.residuals.at_chosen, solution.residuals.at_lowest) < 0.01
    assert solution.chosen.min() >= STEPS_PER_DECADE
