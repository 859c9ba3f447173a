"""Products computed by convolutions, compared with plain ones in float64."""

import numpy as np
import pytest
import torch

from brainfit.mappings.solvers import matmul
from brainfit.mappings.solvers.matmul import add_transposed, times

SHAPES = [
    (1, 1, 1),
    (5, 1, 3),
    (1, 7, 2),
    (33, 65, 17),
    (300, 40, 64),
    (9, 130, 1),
    (600, 600, 64),
    (4, 6, 0),
    (0, 6, 4),
]
KINDS = {torch.float64: 1e-14, torch.float32: 2e-6, torch.bfloat16: 2e-2}


def draw(rng, *shape, dtype):
    return torch.from_numpy(rng.normal(size=shape)).to(dtype)


def near(found, wanted, limit):
    assert found.shape == wanted.shape
    scale = max(float(wanted.abs().max()), 1e-300) if wanted.numel() else 1.0
    np.testing.assert_allclose(found.double(), wanted, atol=limit * scale, rtol=0)


@pytest.fixture(params=[8192, 32, 400], ids=["one part", "parts", "two parts"])
def columns(request, monkeypatch):
    monkeypatch.setattr(matmul, "COLUMNS", request.param)


@pytest.fixture(params=[True, False], ids=["oneDNN", "plain"])
def convolved(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(matmul, "_convolves", lambda *_: False)


@pytest.mark.usefixtures("columns", "convolved")
@pytest.mark.parametrize("dtype", KINDS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products_equal_those_in_float64(shape, dtype, rng):
    n, n_features, width = shape
    x, directions = draw(rng, n, n_features, dtype=dtype), draw(rng, width, n_features, dtype=dtype)
    near(times(x, directions), x.double() @ directions.double().T, KINDS[dtype])
    y = draw(rng, n, width, dtype=dtype)
    wide = torch.float32 if dtype == torch.bfloat16 else dtype
    total = draw(rng, width, n_features, dtype=wide)
    wanted = total.double() + y.double().T @ x.double()
    add_transposed(total, x, y)
    near(total, wanted, KINDS[dtype])


@pytest.mark.usefixtures("columns")
def test_16_bit_factors_are_widened_without_further_rounding(rng):
    x, directions = draw(rng, 60, 70, dtype=torch.bfloat16), draw(rng, 20, 70, dtype=torch.float32)
    near(times(x, directions), x.double() @ directions.double().T, 2e-6)
    y, total = draw(rng, 60, 20, dtype=torch.float32), torch.zeros(20, 70)
    add_transposed(total, x, y)
    near(total, y.double().T @ x.double(), 2e-6)


@pytest.mark.usefixtures("columns")
def test_matrices_may_be_views(rng):
    x, directions = draw(rng, 70, 60, dtype=torch.float32).T, draw(rng, 140, 20, dtype=torch.float32)[::2].T
    near(times(x, directions), x.double() @ directions.double().T, 2e-6)
    y, total = draw(rng, 20, 60, dtype=torch.float32).T, torch.zeros(20, 70)
    add_transposed(total, x, y)
    near(total, y.double().T @ x.double(), 2e-6)
