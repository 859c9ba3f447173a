"""Moments of rows, and products of X'X with directions: all that an iterative ridge solver needs of rows.

Everything is centred: a ridge map with an intercept is one without, of centred features and responses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from brainfit.mappings.solvers.matmul import add_transposed, times
from brainfit.mappings.solvers.rows import Rows, chunk_length


@dataclass(frozen=True)
class Sums:
    """Moments of rows.

    Attributes
    ----------
    n
        Number of image x bin rows that they represent, shape ().
    x, y
        Sum of features, shape (feature,), and of targets, shape (unit,).
    yx
        Sum of their products, shape (unit, feature).
    yy
        Sum of squared targets, shape (unit,).
    """

    n: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor
    yx: torch.Tensor
    yy: torch.Tensor

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.n + other.n, self.x + other.x, self.y + other.y, self.yx + other.yx, self.yy + other.yy
        )

    def xy_along(self, block: torch.Tensor, mean_x: torch.Tensor, mean_y: torch.Tensor) -> torch.Tensor:
        """Return the block times X'Y about these means, shape (direction, unit)."""
        xy = times(self.yx, block).T.addr(block @ mean_x, self.y, alpha=-1)
        return xy.addr_(block @ (self.x - self.n * mean_x), mean_y, alpha=-1)

    def yy_about(self, mean_y: torch.Tensor) -> torch.Tensor:
        """Return the squared norm of Y about this mean, shape (unit,)."""
        return self.yy - 2 * mean_y * self.y + self.n * mean_y**2


class RowProducts:
    """Products of X'X with blocks of directions, by one pass over the rows for all blocks together.

    Parameters
    ----------
    folds
        Batches of rows of each inner fold.
    """

    def __init__(self, folds: Sequence[Sequence[Rows]]) -> None:
        self._folds = folds

    def __call__(
        self, means: Sequence[torch.Tensor], blocks: Sequence[torch.Tensor]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Multiply one block for each fold, and one more for all rows.

        Parameters
        ----------
        means
            Features about which X is centred, for each block, shape (feature,).
        blocks
            Directions, each of shape (direction, feature).

        Returns
        -------
        inside, total
            Product of each fold's block with X'X of its rows; product of each block with X'X of all rows.
        """
        wide = torch.cat(list(blocks))
        widths = [len(block) for block in blocks]
        offset = torch.cat([block @ mean for mean, block in zip(means, blocks, strict=True)])
        total, ones_total = torch.zeros_like(wide), torch.zeros_like(offset)
        product, inside = torch.empty_like(wide), []
        for k, fold in enumerate(self._folds):
            ones_product = torch.zeros_like(offset)
            product.zero_()
            for rows in _pieces(fold):
                projected = times(rows.features, wide).addr_(rows.ones, offset, alpha=-1)
                add_transposed(product, rows.features, projected)
                ones_product += rows.ones @ projected
            total += product
            ones_total += ones_product
            mine = slice(sum(widths[:k]), sum(widths[: k + 1]))
            inside.append(torch.addr(product[mine], ones_product[mine], means[k], alpha=-1))
        parts = zip(total.split(widths), means, ones_total.split(widths), strict=True)
        return inside, [part.addr_(ones, mean, alpha=-1) for part, mean, ones in parts]


def chunks(batches: Sequence[Rows]) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Yield features, ones and targets of a limited number of rows at a time."""
    for rows in _pieces(batches):
        yield rows.features.to(rows.ones.dtype), rows.ones, rows.targets


def _pieces(batches: Sequence[Rows]) -> Iterator[Rows]:
    """Yield the rows of each batch in parts of equal size, near the one on which work is fastest."""
    for rows in batches:
        n = len(rows.ones)
        length = max(1, math.ceil(n / max(1, round(n / chunk_length(rows.features.shape[1])))))
        for start in range(0, n, length):
            yield rows[start : start + length]


def sum_rows(batches: Sequence[Rows]) -> Sums:
    """Return the moments of all rows of the batches."""
    first = batches[0]
    n_features, n_units = first.features.shape[1], first.targets.shape[1]
    yx, x = first.ones.new_zeros(n_units, n_features), first.ones.new_zeros(n_features)
    y, n, yy = first.ones.new_zeros(n_units), first.ones.new_zeros(()), first.ones.new_zeros(n_units)
    for rows in _pieces(batches):
        add_transposed(yx, rows.features, rows.targets)
        x += rows.ones @ rows.features.to(x.dtype)
        y, n, yy = y + rows.ones @ rows.targets, n + rows.ones @ rows.ones, yy + rows.targets.square().sum(0)
    return Sums(n, x, y, yx, yy)


def mean_eigenvalue(folds: Sequence[Sequence[Rows]], mean_x: torch.Tensor) -> float:
    """Return the mean eigenvalue of X'X of all rows about this mean; it is positive."""
    energy = 0.0
    for fold in folds:
        for features, ones, _ in chunks(fold):
            centred = torch.addr(features, ones, mean_x, alpha=-1)
            energy += float(torch.linalg.vector_norm(centred, dim=1).double().square().sum())
    return max(energy / len(mean_x), torch.finfo(mean_x.dtype).tiny)
