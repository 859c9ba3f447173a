"""Turn trajectories into as few least-squares rows as say the same thing.

An image's 25 time bins are 25 rows of a regression, but they repeat or nearly repeat each other.
Three steps make them fewer without changing the problem:

1. *Runs.* Bins in which the layer shows the same block become one row, weighted by the square
   root of the run's length, with the run's mean response as target.
2. *Sharing.* So does a block that no image has a part in, where few others are: it is one row for
   all images of a group in a batch.
3. *Rotation.* An orthogonal rotation of an image's rows (features, targets and the column of
   ones alike) leaves every inner product of a least-squares problem as it was. Rotating by the
   eigenvectors of the Gram matrix of the image's rows about their mean puts all in which they
   differ in the first rows; those that hold less than ``tolerance ** 2`` of it together are left
   out. (Of float64 features a hundredth of that: who gives them asks for digits.)

Many of an image's rows are faint: they matter where a penalty is low, but three digits of them do (`parted`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ContractError

TOLERANCE = 2e-3
"""Root of the share of what varies in an image that rows may lack, but for ridge, which sees the most."""
FAINT = 5e-3
"""A row is faint that holds less than the square of this of what varies in its image."""
FEW_BLOCKS = 4
"""Of so few runs an image's rows are not rotated: merging them is exact, and leaves little to drop."""
_NO_ONES = 1e-3  # of the ones, of which there is one or more a row before the rotation; rounding leaves 1e-6


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
        Which image of the batch the row belongs to, shape (row,); of what a group shares, any of its images.
    faint
        Whether all of them are faint (`parted`), so that 16 bits do for products with them, too.
    """

    features: torch.Tensor
    ones: torch.Tensor
    targets: torch.Tensor
    image: torch.Tensor
    faint: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(getattr(self, name).nbytes for name in _TENSORS)

    def __getitem__(self, which: torch.Tensor | slice) -> Rows:
        """Take some of the rows."""
        return Rows(*(getattr(self, name)[which] for name in _TENSORS), faint=self.faint)


_TENSORS = ("features", "ones", "targets", "image")


def chunk_length(n_features: int) -> int:
    """Return how many rows to work on at once: products are fast, and what is made of them is small."""
    return max(256, min(2048, 2**22 // n_features))


def gathered(batches: Sequence[Rows], least: int) -> list[Rows]:
    """Join the last batches of either kind that are small, if they have at least so many rows together.

    Products of few rows are slow, and a copy of all rows at once would take their memory again.
    """
    kinds = ([rows for rows in batches if rows.faint is faint] for faint in (False, True))
    return [rows for kind in kinds if kind for rows in _tail_joined(kind, least)]


def _tail_joined(batches: Sequence[Rows], least: int) -> list[Rows]:
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
    return together(
        [replace(rows, image=rows.image + start) for rows, start in zip(batches, starts, strict=True)]
    )


def together(parts: Sequence[Rows]) -> Rows:
    """All rows of some parts of one batch."""
    tensors = (torch.cat([getattr(rows, name) for rows in parts]) for name in _TENSORS)
    return Rows(*tensors, faint=all(rows.faint for rows in parts))


def parted(rows: Rows) -> list[Rows]:
    """Rows, and after them those that are faint, if any are.

    Only rows without a part in the ones vary within an image; the one that holds its mean is never faint, nor
    are rows that were not rotated.
    """
    energy = torch.linalg.vector_norm(rows.features, dim=1).double().square()
    varies = rows.ones.abs() < _NO_ONES
    of_image = energy.new_zeros(int(rows.image.max()) + 1).index_add_(0, rows.image, energy * varies)
    faint = varies & (energy < FAINT**2 * of_image[rows.image])
    return [rows[~faint], replace(rows[faint], faint=True)] if faint.any() else [rows]


def compress(
    trajectory: Trajectory,
    responses: np.ndarray,
    groups: np.ndarray,
    shift: torch.Tensor,
    scale: float = 1.0,
    tolerance: float = TOLERANCE,
) -> Rows:
    """Rows equivalent to ``(trajectory.dense() - shift) / scale`` regressed on `responses`.

    Parameters
    ----------
    trajectory
        A layer's activations for a batch of images.
    responses
        Targets, shape (image, unit, step), finite.
    groups
        Which images may share rows, those of one group, shape (image,).
    shift
        Any constant near the mean feature, shape (feature,): taking it off first lets the
        rotation see what differs between bins rather than their common mean.
    scale
        Any constant near the spread of the features.
    tolerance
        Root of the share of what varies in an image that may be left out.
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
    return together([made(own, ones[:, own], targets[:, own], images), of_groups]) if own else of_groups


def _merged(features: torch.Tensor, ones: torch.Tensor, targets: torch.Tensor, images: torch.Tensor) -> Rows:
    """Take the rows as they are, one for each run."""
    _refuse_unless_finite(features)
    images = images.repeat_interleave(ones.shape[1])
    return Rows(features.flatten(0, 1), ones.flatten(), targets.flatten(0, 1), images)


def _rotated(
    features: torch.Tensor, ones: torch.Tensor, targets: torch.Tensor, images: torch.Tensor, tolerance: float
) -> Rows:
    """Rotate each image's rows onto their principal directions, and drop those without energy.

    What counts is how an image's rows differ from their mean, which does not depend on an origin. The mean
    itself lies in the direction of the ones, which is kept whole.
    """
    along = ones / torch.linalg.vector_norm(ones, dim=1, keepdim=True)
    mean = torch.einsum("ib,ibf->if", along, features)
    varying = torch.baddbmm(features, along[:, :, None], mean[:, None], alpha=-1)
    gram, along = torch.bmm(varying, varying.transpose(1, 2)).double(), along.double()
    _refuse_unless_finite(gram)
    del varying
    inward = along[:, :, None] * along[:, None]
    away = torch.eye(ones.shape[1]).to(gram) - inward
    gram = away @ gram @ away  # of the mean, rounding left a little
    energy = gram.diagonal(dim1=1, dim2=2).sum(1)
    whole = torch.linalg.vector_norm(features, dim=(1, 2)).double().square()
    rounding = 8 * torch.finfo(features.dtype).eps
    if features.dtype == torch.float64:
        tolerance /= 10
    limit = tolerance**2 * energy + rounding**2 * whole + torch.finfo(torch.float32).tiny
    own = 2 * (energy + limit)  # more than any other direction has
    _, vectors = torch.linalg.eigh(gram + own[:, None, None] * inward)  # ascending
    rotation = vectors.transpose(1, 2).to(features.dtype)
    rotated = torch.bmm(rotation, features)
    # Not by the eigenvalues: those of float32 products say nothing of what holds less than 1e-7 of all.
    held = torch.linalg.vector_norm(rotated, dim=2).double().square().cumsum(1)
    keep = held > limit[:, None]
    keep[:, -1] = True  # the mean, though it be zero
    return Rows(
        rotated[keep],
        torch.einsum("irb,ib->ir", rotation, ones)[keep],
        torch.bmm(rotation, targets)[keep],
        images[:, None].expand(keep.shape)[keep],
    )


def _refuse_unless_finite(values: torch.Tensor) -> None:
    if not torch.isfinite(values).all():
        raise ContractError(
            "features are not finite, or span too many orders of magnitude; normalise the layer's features"
        )
