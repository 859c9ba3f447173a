"""Random projections preserve distances, and depend on the seed and the number of features only."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from brainfit.contracts.response_mapping import ResponseMapping
from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ContractError
from brainfit.mappings.per_bin import PerBin
from brainfit.mappings.projection import Projection, draw_projection
from brainfit.mappings.ridge import Ridge


def trajectory(features: np.ndarray) -> Trajectory:
    return Trajectory.from_steps(list(torch.as_tensor(features, dtype=torch.float32).unbind(1)))


def matrix_of(projection: Projection) -> np.ndarray:
    """Return the matrix, found by projecting unit vectors."""
    basis = torch.eye(projection.matrix.shape[1])
    return projection(Trajectory((basis,), (0,))).blocks[0].numpy()


def draw(n_features: int, n_components: int, seed: int = 0) -> Projection:
    return draw_projection(trajectory(np.zeros((1, 1, n_features))), n_components, seed)


def test_projections_keep_distances(rng) -> None:
    features, matrix = rng.normal(size=(20, 3000)), matrix_of(draw(3000, 600))
    assert matrix.shape == (3000, 600)
    pairs = np.triu_indices(20, 1)
    before, after = (((x[pairs[0]] - x[pairs[1]]) ** 2).sum(1) for x in (features, features @ matrix))
    ratio = after / before
    assert abs(ratio.mean() - 1) < 0.05
    assert ratio.std() < 2 * np.sqrt(2 / 600)
    assert 0.5 < (matrix != 0).mean() * np.sqrt(3000) < 2


@pytest.mark.parametrize("make", [Ridge, lambda: PerBin(Ridge)], ids=["shared", "per bin"])
def test_predictions_are_close_where_features_have_low_rank(make: Callable[[], ResponseMapping], rng) -> None:
    latent = rng.normal(size=(60, 5, 8))
    features = latent @ rng.normal(size=(8, 2000))
    responses = (latent @ rng.normal(size=(8, 4))).swapaxes(1, 2) + 2
    project, folds = draw(2000, 150), np.arange(45) % 5
    train, test = trajectory(features[:45]), trajectory(features[45:])
    projected = make().partial_fit(project(train), responses[:45], folds).solve().predict(project(test))
    whole = make().partial_fit(train, responses[:45], folds).solve().predict(test)
    np.testing.assert_allclose(projected, whole, atol=0.05 * responses.std())
    np.testing.assert_allclose(projected, responses[45:], atol=0.1 * responses.std())


def test_a_projection_depends_on_seed_and_number_of_features_only(rng) -> None:
    first = draw(400, 150)
    again = draw_projection(
        Trajectory((torch.from_numpy(rng.normal(size=(9, 4, 10, 10))).float(),), (0,)), 150
    )
    np.testing.assert_array_equal(matrix_of(first), matrix_of(again))
    assert (matrix_of(first) != matrix_of(draw(400, 150, seed=1))).any()


def test_projected_blocks_stay_distinct_or_shared() -> None:
    projected = draw(2000, 50)(Trajectory((torch.zeros(1, 2000), torch.ones(60, 2000)), (0, 1, 1, 0)))
    assert [tuple(block.shape) for block in projected.blocks] == [(1, 50), (60, 50)]
    assert projected.index == (0, 1, 1, 0)


@pytest.mark.parametrize("n_components", [30, 31])
def test_a_projection_to_more_features_is_refused(n_components: int) -> None:
    with pytest.raises(ContractError, match="would not make the layer's 30 features fewer"):
        draw(30, n_components)


def test_the_summary_names_the_settings() -> None:
    assert draw(400, 150, seed=3).summary() == {
        "kind": "sparse random",
        "n_components": 150,
        "n_layer_features": 400,
        "density": 0.05,
        "seed": 3,
    }
