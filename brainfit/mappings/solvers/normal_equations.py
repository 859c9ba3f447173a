"""X'X of each fold made once, for features so few that this is less work than passes over the rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from brainfit.mappings.solvers.products import Products, RowProducts, chunks
from brainfit.mappings.solvers.rows import Rows

MAX_FEATURES = 1024
"""Up to so many features X'X is made: with ten blocks half the time at 1,024, a fifth at 256."""


class GramProducts:
    """X'X of each fold, shape (feature, feature), and then no more passes over the rows.

    Parameters
    ----------
    folds
        For each fold the batches of rows of its images.
    center
        Features near their mean, shape (feature,): taken off first, for squares of what is far from zero
        lose digits.
    """

    def __init__(self, folds: Sequence[Sequence[Rows]], center: torch.Tensor) -> None:
        self._center = center
        self._folds = [_moments(fold, center) for fold in folds]
        grams, sums, counts = zip(*self._folds, strict=True)
        self._total = torch.stack(grams).sum(0), torch.stack(sums).sum(0), torch.stack(counts).sum()

    def __call__(
        self, means: Sequence[torch.Tensor], blocks: Sequence[torch.Tensor]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Multiply; see `brainfit.mappings.solvers.products.Products`."""
        each = [(mean - self._center, block) for mean, block in zip(means, blocks, strict=True)]
        inside = [_times(fold, *one) for fold, one in zip(self._folds, each, strict=False)]
        return inside, [_times(self._total, *one) for one in each]


def make_products(folds: Sequence[Sequence[Rows]], mean_x: torch.Tensor) -> Products:
    """Return the way to multiply that is less work: once by all rows, or by them whenever needed."""
    if len(mean_x) <= MAX_FEATURES:
        return GramProducts(folds, mean_x)
    return RowProducts(folds)


_Moments = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def _moments(batches: Sequence[Rows], center: torch.Tensor) -> _Moments:
    """X'X, the sum of the rows and their number, about the centre."""
    sums, n = torch.zeros_like(center), center.new_zeros(())
    gram = center.new_zeros(len(center), len(center))
    for features, ones, _ in chunks(batches):
        x = torch.addr(features, ones, center, alpha=-1)
        sums, n = sums + ones @ x, n + ones @ ones
        gram.addmm_(x.T, x)
    return gram, sums, n


def _times(moments: _Moments, mean: torch.Tensor, block: torch.Tensor) -> torch.Tensor:
    """Return a block times X'X about a mean, which is counted from the centre."""
    gram, sums, n = moments
    offset = block @ mean
    product = (block @ gram).addr_(offset, sums, alpha=-1)
    return product.addr_(block @ sums - n * offset, mean, alpha=-1)
