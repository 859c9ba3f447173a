"""Compress trajectories into few least-squares rows with the same solution.

The 25 time bins of an image are 25 rows of a regression, but they repeat or nearly repeat each other.
Three steps reduce their number without changing the problem:

1. *Runs.* Bins in which the layer has the same block become one row, weighted by the square root of the
   run's length, with the run's mean response as target.
2. *Sharing.* A block that does not depend on the image becomes one row for all images of a group in a batch,
   where an image has few blocks of its own.
3. *Rotation.* An orthogonal rotation of an image's rows (features, targets and the column of ones alike)
   leaves every inner product of a least-squares problem unchanged. Rotating by the eigenvectors of the Gram
   matrix of the image's rows about their mean concentrates their variance in few rows; rows that together
   hold less than ``tolerance ** 2`` of it are dropped (for float64 features, a hundredth of that), and so
   are those that rounding alone makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ContractError

TOLERANCE = 2e-3
"""Root of the share of an image's variance that rows may lack; ridge, more sensitive, sets its own."""
FEW_BLOCKS = 4
"""With up to this many runs, rows of an image are not rotated: merging is exact and leaves little to drop."""
_COLUMNS = 4096  # features to rotate at once


@dataclass(frozen=True)
class Rows:
    """Rows of a least-squares problem.

    Attributes
    ----------
    features
        Features minus the caller's `shift`, divided by its `scale`, shape (row, feature).
    ones
        The intercept's column in these rows, shape (row,): no longer all ones.
    targets
        Responses, shape (row, unit).
    image
        Image of the batch that the row belongs to, shape (row,); any image of the group for a shared row.
    """

    features: torch.Tensor
    ones: torch.Tensor
    targets: torch.Tensor
    image: torch.Tensor

    @property
    def nbytes(self) -> int:
        """Number of bytes."""
        return sum(getattr(self, name).nbytes for name in _TENSORS)

    def __getitem__(self, which: torch.Tensor | slice) -> Rows:
        """Return some of the rows."""
        return Rows(*(getattr(self, name)[which] for name in _TENSORS))


_TENSORS = ("features", "ones", "targets", "image")


def chunk_length(n_features: int) -> int:
    """Return the number of rows to work on at once: products are fast and intermediate results small."""
    return max(256, min(2048, 2**22 // n_features))


def join_small_batches(batches: Sequence[Rows], least: int) -> list[Rows]:
    """Join the last small batches, if they have at least `least` rows together.

    Products of few rows are slow, and a copy of all rows at once would double their memory.
    """
    length, small = chunk_length(batches[0].features.shape[1]), 0
    while small < len(batches) and len(batches[-1 - small].ones) < length:
        small += 1
    tail = batches[len(batches) - small :]
    if small < 2 or sum(len(rows.ones) for rows in tail) < least:
        return list(batches)
    return [*batches[: len(batches) - small], _join(tail)]


def _join(batches: Sequence[Rows]) -> Rows:
    """Concatenate batches, numbering their images consecutively."""
    counts = [int(rows.image.max()) + 1 if len(rows.image) else 0 for rows in batches]
    starts = [sum(counts[:k]) for k in range(len(counts))]
    return concatenate(
        [replace(rows, image=rows.image + start) for rows, start in zip(batches, starts, strict=True)]
    )


def concatenate(parts: Sequence[Rows]) -> Rows:
    """Concatenate parts of one batch."""
    return Rows(*(torch.cat([getattr(rows, name) for rows in parts]) for name in _TENSORS))


def compress(
    trajectory: Trajectory,
    responses: np.ndarray,
    groups: np.ndarray,
    shift: torch.Tensor,
    scale: float = 1.0,
    tolerance: float = TOLERANCE,
) -> Rows:
    """Return rows equivalent to the regression of `responses` on ``(trajectory.dense() - shift) / scale``.

    Parameters
    ----------
    trajectory
        Features of a layer for a batch of images.
    responses
        Targets, shape (image, unit, time_bin), finite.
    groups
        Group of each image, shape (image,): images of one group may share rows.
    shift
        Constant near the mean feature, shape (feature,): subtracting it first lets the rotation see
        differences between bins rather than their common mean.
    scale
        Constant near the standard deviation of the features.
    tolerance
        Root of the share of an image's variance that may be dropped.
    """
    n, n_blocks = len(responses), len(trajectory.blocks)
    runs = (torch.tensor(trajectory.index) == torch.arange(n_blocks)[:, None]).to(shift)
    ones = runs.sum(1).sqrt().expand(n, -1)
    targets = torch.from_numpy(np.ascontiguousarray(responses)).to(shift)
    targets = torch.einsum("bs,ius->ibu", runs / ones[0, :, None], targets)

    def made(some: list[int], ones: torch.Tensor, targets: torch.Tensor, images: torch.Tensor) -> Rows:
        blocks = [trajectory.blocks[k].flatten(1).expand(len(images), -1) for k in some]
        features = torch.stack(blocks, dim=1).sub_(shift).div_(scale).mul_(ones[:, :, None])
        if len(some) <= FEW_BLOCKS:
            return _merged(features, ones, targets, images)
        return _rotated(features, ones, targets, images, tolerance)

    images = torch.arange(n, device=shift.device)
    own = [k for k, block in enumerate(trajectory.blocks) if len(block) == n]
    if len(own) > FEW_BLOCKS or len(own) == n_blocks:
        return made(list(range(n_blocks)), ones, targets, images)
    shared = [k for k in range(n_blocks) if k not in own]
    _, first, member = np.unique(groups, return_index=True, return_inverse=True)
    members = torch.from_numpy(member == np.arange(len(first))[:, None]).to(shift)
    roots = members.sum(1, keepdim=True).sqrt()
    pooled = torch.einsum("gi,ibu->gbu", members / roots, targets[:, shared])
    of_groups = made(shared, roots * ones[0, shared], pooled, torch.from_numpy(first).to(images))
    return concatenate([made(own, ones[:, own], targets[:, own], images), of_groups]) if own else of_groups


def _merged(features: torch.Tensor, ones: torch.Tensor, targets: torch.Tensor, images: torch.Tensor) -> Rows:
    """Return one row for each run."""
    _refuse_unless_finite(features)
    images = images.repeat_interleave(ones.shape[1])
    return Rows(features.flatten(0, 1), ones.flatten(), targets.flatten(0, 1), images)


def _rotated(
    features: torch.Tensor, ones: torch.Tensor, targets: torch.Tensor, images: torch.Tensor, tolerance: float
) -> Rows:
    """Rotate each image's rows onto their principal directions, and drop those without energy.

    Energy is counted about the image's mean, so that it does not depend on an origin. The mean itself lies in
    the direction of the ones, which is kept whole.
    """
    along = ones / torch.linalg.vector_norm(ones, dim=1, keepdim=True)
    mean = torch.einsum("ib,ibf->if", along, features)
    varying = torch.baddbmm(features, along[:, :, None], mean[:, None], alpha=-1)
    gram, along = torch.bmm(varying, varying.transpose(1, 2)).double(), along.double()
    _refuse_unless_finite(gram)
    del varying
    inward = along[:, :, None] * along[:, None]
    away = torch.eye(ones.shape[1]).to(gram) - inward
    gram = away @ gram @ away  # removes what rounding left of the mean
    energy = gram.diagonal(dim1=1, dim2=2).sum(1)
    whole = torch.linalg.vector_norm(features, dim=(1, 2)).double().square()
    rounding = torch.finfo(features.dtype).eps
    if features.dtype == torch.float64:
        tolerance /= 10
    limit = tolerance**2 * energy + rounding**2 * whole + torch.finfo(torch.float32).tiny
    own = 2 * (energy + limit)  # larger than any other eigenvalue
    _, vectors = torch.linalg.eigh(gram + own[:, None, None] * inward)  # ascending
    rotation = vectors.transpose(1, 2)
    # In float64: what is small next to the largest row keeps its digits.
    parts = (torch.bmm(rotation, part.double()) for part in features.split(_COLUMNS, 2))
    rotated = torch.cat([part.to(features.dtype) for part in parts], 2)
    # Not by eigenvalues: those of float32 products are rounding below 1e-7 of the total.
    held = torch.linalg.vector_norm(rotated, dim=2).double().square().cumsum(1)
    keep = held > limit[:, None]
    keep[:, -1] = True  # the mean, even if it is zero
    return Rows(
        rotated[keep],
        torch.einsum("irb,ib->ir", rotation, ones.double()).to(ones.dtype)[keep],
        torch.bmm(rotation, targets.double()).to(targets.dtype)[keep],
        images[:, None].expand(keep.shape)[keep],
    )


def _refuse_unless_finite(values: torch.Tensor) -> None:
    if not torch.isfinite(values).all():
        raise ContractError(
            "features are not finite, or span too many orders of magnitude; normalise the layer's features"
        )
