"""Fewer features by a random projection, in front of any map: for layers that memory cannot hold whole."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from scipy.sparse import csr_matrix
from sklearn.random_projection import SparseRandomProjection

from brainfit.contracts.response_mapping import ResponseMapping
from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ContractError
from brainfit.mappings.transformed import Transformed
from brainfit.support.arguments import whole_number
from brainfit.support.seeds import generator


class Projected(Transformed):
    r"""A map of :math:`Rx` rather than of a layer's features :math:`x`.

    :math:`R` is drawn once, of the number of features alone: most of its entries are zero, the others
    :math:`\pm` one number, such that squared distances are kept on average. What it saves is memory and
    time; what it costs is score, the more the fewer the components. Each distinct block of a trajectory is
    projected by itself, and nothing of the features is kept but the projections.

    Parameters
    ----------
    mapping
        The map of the projected features; any but one that needs to know their places.
    n_components
        Features that it gets, fewer than the layer has.
    seed
        Of :math:`R`: the same seed and number of features, the same projection.

    References
    ----------
    Li, Hastie & Church (2006), Very sparse random projections. KDD. Entries are zero but for a share of
    1 / sqrt(number of features).
    """

    def __init__(self, mapping: ResponseMapping, n_components: int, seed: int = 0) -> None:
        super().__init__(mapping)
        self.n_components = whole_number("projection", n_components, least=1)
        self.seed = seed

    def partial_fit(self, trajectory: Trajectory, responses: np.ndarray, folds: np.ndarray) -> Self:
        """Take in a batch of training images; see `brainfit.contracts.response_mapping.ResponseMapping`.

        Raises
        ------
        ContractError
            If the layer has no more features than there would be components.
        """
        if not hasattr(self, "_matrix"):
            some = trajectory.blocks[0]
            self._matrix = self._draw(some[0].numel()).to(some.device, some.dtype)
        return super().partial_fit(trajectory, responses, folds)

    @property
    def n_features(self) -> int:
        """Features of the layer, before the projection."""
        return self._matrix.shape[1]

    def working_bytes(self, n_rows: float, n_features: int, n_units: int, n_folds: int) -> float:
        """Bytes that `solve` takes beside that, whatever the layer's number of features."""
        return self.mapping.working_bytes(n_rows, self.n_components, n_units, n_folds)

    def summary(self) -> dict[str, Any]:
        """Return what a reviewer would ask of the fit, and of the projection."""
        projection = {
            "kind": "sparse random",
            "n_components": self.n_components,
            "n_layer_features": self.n_features,
            "density": float(f"{self.n_features**-0.5:.3g}"),
            "seed": self.seed,
        }
        return {**self.mapping.summary(), "projection": projection}

    def _draw(self, n_features: int) -> torch.Tensor:
        """Return the projection, sparse, shape (component, feature)."""
        if self.n_components >= n_features:
            raise ContractError(
                f"a projection to {self.n_components} components would not make the layer's {n_features} "
                "features fewer; ask for fewer components, or leave the projection out"
            )
        state = int(generator(self.seed, "random projection").integers(2**32))
        drawn = SparseRandomProjection().set_params(n_components=self.n_components, random_state=state)
        # It reads nothing of the data but their shape and type.
        drawn.fit(csr_matrix((1, n_features), dtype=np.float32))
        matrix = drawn.components_.tocoo()
        places = torch.from_numpy(np.stack([matrix.row, matrix.col]).astype(np.int64))
        values = torch.from_numpy(matrix.data.astype(np.float32))
        return torch.sparse_coo_tensor(places, values, matrix.shape, check_invariants=False).coalesce()

    def transform(self, trajectory: Trajectory) -> Trajectory:
        """Project every distinct block."""
        # Contiguous: a sparse product of a transposed view takes ten times as long.
        blocks = (block.flatten(1).T.contiguous() for block in trajectory.blocks)
        return Trajectory(tuple(torch.sparse.mm(self._matrix, block).T for block in blocks), trajectory.index)
