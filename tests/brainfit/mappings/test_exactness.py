"""Ridge at default settings against dense float64 ridge, over the spectra on which iterative solvers fail."""

import logging
from functools import cache

import numpy as np
import pytest
import torch
from ridge_oracle import N_FOLDS, SPECTRA, Dense, Problem, correlations, make_problem, solve_dense

from brainfit.contracts.trajectory import Trajectory
from brainfit.mappings import ridge as ridge_module
from brainfit.mappings.per_bin import PerBin
from brainfit.mappings.ridge import RELATIVE_ALPHAS, Ridge
from brainfit.mappings.solvers.krylov import WIDTH

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
    return problem, solve_dense(problem, RELATIVE_ALPHAS)


def differences(ridge: Ridge, problem: Problem, dense: Dense) -> tuple[float, float]:
    """Return the worst difference of r and the share of units with the penalty of the dense solution."""
    predicted = ridge.predict(trajectory(problem.features[problem.n_train :]))
    r = correlations(predicted.swapaxes(1, 2).reshape(-1, predicted.shape[1]), problem)
    chosen = ridge.solution_.validation_loss.argmin(axis=0)
    worst = np.abs(r - correlations(dense.predicted, problem)).max()
    return float(worst), float((chosen == dense.chosen).mean())


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("shape", SHAPES)
def test_default_ridge_equals_the_dense_solution(shape: str, spectrum: str) -> None:
    problem, dense = solved(spectrum, shape)
    n = problem.n_train
    ridge = Ridge().partial_fit(trajectory(problem.features[:n]), problem.responses[:n], FOLDS[n]).solve()
    worst, equal = differences(ridge, problem, dense)
    assert ridge.summary()["converged"]
    assert worst < LARGEST_DIFFERENCE
    assert equal >= 0.99


@pytest.mark.parametrize("spectrum", ["1/k2", *SPECTRA[-2:]])
def test_a_map_per_bin_equals_the_dense_solution_of_its_bin(spectrum: str) -> None:
    problem, _ = solved(spectrum, "bins, few features")
    n = problem.n_train
    maps = PerBin(Ridge).partial_fit(trajectory(problem.features[:n]), problem.responses[:n], FOLDS[n])
    predicted = maps.solve().predict(trajectory(problem.features[n:]))
    for k in (0, 5):
        one = Problem(problem.features[:, k : k + 1], problem.responses[..., k : k + 1], n)
        exact = correlations(solve_dense(one, RELATIVE_ALPHAS).predicted, one)
        assert np.abs(correlations(predicted[..., k], one) - exact).max() < LARGEST_DIFFERENCE


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("shape", SEARCHED)
def test_a_converged_iteration_equals_the_dense_solution(shape: str, spectrum: str, monkeypatch) -> None:
    """The solver of layers too large for a direct solution, on the same problems."""
    monkeypatch.setattr(ridge_module, "choose_solver", lambda n_rows, n_features: "krylov")
    problem, dense = solved(spectrum, shape)
    n = problem.n_train
    ridge = Ridge().partial_fit(trajectory(problem.features[:n]), problem.responses[:n], FOLDS[n]).solve()
    worst, _ = differences(ridge, problem, dense)
    assert ridge.summary()["converged"]
    assert worst < LARGEST_DIFFERENCE
    chosen = ridge.solution_.validation_loss.argmin(axis=0)
    regret = np.take_along_axis(dense.losses, chosen[None], axis=0)[0] - dense.losses.min(0)
    assert regret.max() < 1e-3  # float32 may swap equally good penalties


def test_an_iteration_that_stops_early_is_reported(monkeypatch, caplog) -> None:
    monkeypatch.setattr(ridge_module, "choose_solver", lambda n_rows, n_features: "krylov")
    problem, dense = solved(SPECTRA[-2], "bins")
    n, ridge = problem.n_train, Ridge(max_blocks=1)
    ridge.partial_fit(trajectory(problem.features[:n]), problem.responses[:n], FOLDS[n])
    with caplog.at_level(logging.WARNING, "brainfit"):
        ridge.solve()
    assert differences(ridge, problem, dense)[0] > LARGEST_DIFFERENCE
    summary = ridge.summary()
    assert not summary["converged"]
    assert summary["residual_at_lowest_alpha"] > 1e-3
    assert "did not converge" in caplog.text


def test_a_hopeless_iteration_stops_once_the_chosen_penalties_are_solved(
    monkeypatch,
) -> None:
    monkeypatch.setattr(ridge_module, "choose_solver", lambda n_rows, n_features: "krylov")
    problem = make_problem("1/k", 300, 4, 1100, 3, noise=3)
    n, ridge = problem.n_train, Ridge(max_blocks=8)
    steps, folds = trajectory(problem.features[:n]), np.arange(n) % N_FOLDS
    ridge.partial_fit(steps, problem.responses[:n], folds).solve()
    solution = ridge.solution_
    assert not solution.converged
    assert solution.n_directions < 8 * WIDTH
    assert solution.residuals is not None
    assert solution.residuals.at_chosen < 0.01 < solution.residuals.at_lowest
