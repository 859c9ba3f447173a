"""Turn trajectories into as few least-squares rows as say the same thing.

An image's 25 time bins are 25 rows of a regression, but they repeat or nearly repeat each other.
Two steps make them fewer without changing the problem:

1. *Runs.* Bins in which the layer shows the same block become one row, weighted by the square
   root of the run's length, with the run's mean response as target.
2. *Rotation.* An orthogonal rotation of an image's rows (features, targets and the column of
   ones alike) leaves every inner product of a least-squares problem as it was. Rotating by the
   eigenvectors of the Gram matrix of the image's rows about their mean puts all in which they
   differ in the first rows; those that hold less than ``TOLERANCE ** 2`` of it together are left
   out. (Of float64 features a hundredth of that: who gives them asks for digits.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from brainfit.trajectory import Trajectory

TOLERANCE = 2e-3
FEW_BLOCKS = 4
"""Of so few runs an image's rows are not rotated: merging them is exact, and leaves little to drop."""


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


def chunk_length(n_features: int) -> int:
    """Return how many rows to work on at once: products are fast, and what is made of them is small."""
    return max(256, min(2048, 2**22 // n_features))


def gathered(batches: Sequence[Rows], least: int) -> list[Rows]:
    """Join the batches at the end that are small, if they have at least so many rows together.

    Products of few rows are slow, and a copy of all rows at once would take their memory again.
    """
    length, small = chunk_length(batches[0].features.shape[1]), 0
    while small < len(batches) and len(batches[-1 - small].ones) < length:
        small += 1
    tail = batches[len(batches) - small :]
    if small < 2 or sum(len(rows.ones) for rows in tail) < least:
        return list(batches)
    return [*batches[: len(batches) - small], _joined(tail)]


def _joined(batches: Sequence[Rows]) -> Rows:
    """All rows of some batches, images counted through."""
    counts = [int(rows.image.max()) + 1 if len(rows.image) else 0 for rows in batches]
    starts = [sum(counts[:k]) for k in range(len(counts))]
    return Rows(
        features=torch.cat([rows.features for rows in batches]),
        ones=torch.cat([rows.ones for rows in batches]),
        targets=torch.cat([rows.targets for rows in batches]),
        image=torch.cat([rows.image + start for rows, start in zip(batches, starts, strict=True)]),
    )


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
    features = trajectory.stacked(len(responses)).sub_(shift).div_(scale)
    n, n_blocks, _ = features.shape
    runs = features.new_zeros(n_blocks, trajectory.n_steps)
    runs[list(trajectory.index), torch.arange(trajectory.n_steps)] = 1.0
    weight = runs.sum(1).sqrt()
    targets = torch.from_numpy(np.ascontiguousarray(responses)).to(features)
    targets = torch.einsum("bs,ius->ibu", runs / weight[:, None], targets)
    features *= weight[:, None]
    if n_blocks > FEW_BLOCKS:
        return _rotated(features, weight, targets)
    ones = weight.expand(n, -1)
    return _selected(features, ones, targets, torch.ones_like(ones, dtype=torch.bool))


def _rotated(features: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> Rows:
    """Rotate each image's rows onto their principal directions, and drop those without energy.

    What counts is how an image's rows differ from their mean, which does not depend on an origin. The mean
    itself lies in the direction of the ones, which is kept whole.
    """
    mean = torch.einsum("b,ibf->if", weight / weight.square().sum(), features)
    varying = torch.baddbmm(features, weight.expand(len(features), -1)[:, :, None], mean[:, None], alpha=-1)
    gram, ones = torch.bmm(varying, varying.transpose(1, 2)).double(), weight.double()
    del varying
    away = torch.eye(len(ones)).to(gram) - torch.outer(ones, ones) / ones.square().sum()
    gram = away @ gram @ away  # of the mean, rounding left a little
    energy = gram.diagonal(dim1=1, dim2=2).sum(1)
    whole = torch.linalg.vector_norm(features, dim=(1, 2)).double().square()
    rounding = 8 * torch.finfo(features.dtype).eps
    tolerance = TOLERANCE / 10 if features.dtype == torch.float64 else TOLERANCE
    limit = tolerance**2 * energy + rounding**2 * whole + torch.finfo(torch.float32).tiny
    own = 2 * (energy + limit) / ones.square().sum()  # more than any other direction has
    values, vectors = torch.linalg.eigh(gram + own[:, None, None] * torch.outer(ones, ones))  # ascending
    rotation = vectors.transpose(1, 2).to(features.dtype)
    return _selected(
        torch.bmm(rotation, features),
        rotation @ weight,
        torch.bmm(rotation, targets),
        values.clamp_min(0).cumsum(1) > limit[:, None],
    )


def _selected(features: torch.Tensor, ones: torch.Tensor, targets: torch.Tensor, keep: torch.Tensor) -> Rows:
    image = torch.arange(len(keep), device=keep.device)[:, None].expand(keep.shape)
    return Rows(features=features[keep], ones=ones[keep], targets=targets[keep], image=image[keep])
