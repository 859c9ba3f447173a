"""Random projections to fewer features, for layers that memory cannot hold whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from sklearn.random_projection import SparseRandomProjection

from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ContractError
from brainfit.support.arguments import whole_number
from brainfit.support.seeds import generator


@dataclass(frozen=True)
class Projection:
    r"""A function from a trajectory with features :math:`x` to one with features :math:`Rx`.

    Most entries of :math:`R` are zero and the others :math:`\pm` one number, such that squared distances are
    kept on average. A projection saves memory and time and costs score, the more the fewer the components.
    Each distinct block of a trajectory is projected by itself.

    Attributes
    ----------
    matrix
        Sparse :math:`R`, shape (component, feature).
    seed
        Seed that it was drawn with.

    References
    ----------
    Li, Hastie & Church (2006), Very sparse random projections. KDD. Entries are zero but for a share of
    1 / sqrt(number of features).
    """

    matrix: torch.Tensor
    seed: int

    def __call__(self, trajectory: Trajectory) -> Trajectory:
        """Project every distinct block."""
        # Contiguous: a sparse product of a transposed view takes ten times as long.
        blocks = (block.flatten(1).T.contiguous() for block in trajectory.blocks)
        return Trajectory(tuple(torch.sparse.mm(self.matrix, block).T for block in blocks), trajectory.index)

    def summary(self) -> dict[str, Any]:
        """Return the settings of the projection as plain values."""
        n_components, n_features = self.matrix.shape
        return {
            "kind": "sparse random",
            "n_components": n_components,
            "n_layer_features": n_features,
            "density": float(f"{n_features**-0.5:.3g}"),
            "seed": self.seed,
        }


def draw_projection(example: Trajectory, n_components: int, seed: int = 0) -> Projection:
    """Draw a projection for the features of a layer; it depends on their number and the seed alone.

    Parameters
    ----------
    example
        Features of the layer for any image: their number, device and kind of number are those of the
        projection.
    n_components
        Number of projected features, smaller than the layer's.
    seed
        Seed of the draw.

    Raises
    ------
    ContractError
        If the layer has no more features than there would be components.
    """
    n_components, one = whole_number("projection", n_components, least=1), example.blocks[0][0]
    n_features = one.numel()
    if n_components >= n_features:
        raise ContractError(
            f"a projection to {n_components} components would not make the layer's {n_features} "
            "features fewer; ask for fewer components, or leave the projection out"
        )
    state = int(generator(seed, "random projection").integers(2**32))
    drawn = SparseRandomProjection().set_params(n_components=n_components, random_state=state)
    drawn.fit(
        csr_matrix((1, n_features), dtype=np.float32)
    )  # which reads the shape and type of the data alone
    found = drawn.components_.tocoo()
    places = torch.from_numpy(np.stack([found.row, found.col]).astype(np.int64))
    values = torch.from_numpy(found.data.astype(np.float32))
    matrix = torch.sparse_coo_tensor(places, values, found.shape, check_invariants=False).coalesce()
    return Projection(matrix.to(one.device, one.dtype), seed)
