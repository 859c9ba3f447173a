"""Turn trajectories into as few least-squares rows as say the same thing.

An image's 25 time bins are 25 rows of a regression, but they repeat or nearly repeat each other.
Two steps make them fewer without changing the problem:

1. *Runs.* Bins in which the layer shows the same block become one row, weighted by the square
   root of the run's length, with the run's mean response as target.
2. *Rotation.* An orthogonal rotation of an image's rows (features, targets and the column of
   ones alike) leaves every inner product of a least-squares problem as it was. Rotating by the
   eigenvectors of the image's own Gram matrix puts all of its energy in the first rows; those
   that hold less than ``TOLERANCE ** 2`` of it are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from brainfit.trajectory import Trajectory

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Rows:
    """Rows of a least-squares problem.

    Attributes
    ----------
    features
        Shape (row, feature), less a constant `shift` and divided by a `scale` that the caller chose.
    ones
        The intercept's column in these rows, shape (row,): no longer all ones.
    targets
        Shape (row, unit).
    image
        Which image of the batch the row belongs to, shape (row,).
    """

    features: torch.Tensor
    ones: torch.Tensor
    targets: torch.Tensor
    image: torch.Tensor

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(part.nbytes for part in (self.features, self.ones, self.targets, self.image))


def compress(trajectory: Trajectory, responses: np.ndarray, shift: torch.Tensor, scale: float = 1.0) -> Rows:
    """Rows equivalent to ``(trajectory.dense() - shift) / scale`` regressed on `responses`.

    Parameters
    ----------
    trajectory
        A layer's activations for a batch of images.
    responses
        Targets, shape (image, unit, step), finite.
    shift
        Any constant near the mean feature, shape (feature,): taking it off first lets the
        rotation see what differs between bins rather than their common mean.
    scale
        Any constant near the spread of the features.
    """
    blocks = (trajectory.stacked(len(responses)) - shift) / scale
    n, n_blocks, _ = blocks.shape
    runs = torch.zeros(n_blocks, trajectory.n_steps)
    runs[list(trajectory.index), torch.arange(trajectory.n_steps)] = 1.0
    weight = runs.sum(1).sqrt()
    runs, weight = runs.to(blocks), weight.to(blocks)
    targets = torch.from_numpy(np.ascontiguousarray(responses)).to(blocks)
    targets = torch.einsum("bs,ius->ibu", runs / weight[:, None], targets)
    return _rotate(blocks * weight[:, None], weight.expand(n, -1), targets)


def _rotate(features: torch.Tensor, ones: torch.Tensor, targets: torch.Tensor) -> Rows:
    """Rotate each image's rows onto their principal directions, and drop those without energy."""
    gram = torch.bmm(features, features.transpose(1, 2)).double()
    energy = gram.diagonal(dim1=1, dim2=2).sum(1)
    # The column of ones is kept as faithfully as a feature that holds all the energy would be.
    scale = energy.clamp_min(torch.finfo(torch.float32).tiny) / ones.double().square().sum(1)
    gram = gram + scale[:, None, None] * ones.double()[:, :, None] * ones.double()[:, None, :]
    values, vectors = torch.linalg.eigh(gram)  # ascending
    dropped = values.clamp_min(0).cumsum(1) <= TOLERANCE**2 * energy[:, None]
    rotation = vectors.transpose(1, 2).to(features.dtype)
    keep = ~dropped
    image = torch.arange(len(features), device=features.device)[:, None].expand(keep.shape)
    return Rows(
        features=torch.bmm(rotation, features)[keep],
        ones=torch.bmm(rotation, ones[:, :, None])[..., 0][keep],
        targets=torch.bmm(rotation, targets)[keep],
        image=image[keep],
    )
