"""Moments of rows, and X'X times some directions: all that a ridge map needs to know of rows.

Everything is about a mean: a ridge map with an intercept is one without, of centred features and responses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from brainfit.mappings.rows import Rows, chunk_length


@dataclass(frozen=True)
class Sums:
    """Moments of some rows.

    Attributes
    ----------
    n
        How many image x bin rows they stand for, shape ().
    x, y
        Sums of features, shape (feature,), and of targets, shape (unit,).
    xy
        Sums of their products, shape (feature, unit).
    yy
        Sums of squared targets, shape (unit,).
    """

    n: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor
    xy: torch.Tensor
    yy: torch.Tensor

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.n + other.n, self.x + other.x, self.y + other.y, self.xy + other.xy, self.yy + other.yy
        )

    def xy_along(self, block: torch.Tensor, mean_x: torch.Tensor, mean_y: torch.Tensor) -> torch.Tensor:
        """Block' X'Y once these means are taken off, shape (direction, unit)."""
        xy = (block.T @ self.xy).addr_(block.T @ mean_x, self.y, alpha=-1)
        return xy.addr_(block.T @ (self.x - self.n * mean_x), mean_y, alpha=-1)

    def yy_about(self, mean_y: torch.Tensor) -> torch.Tensor:
        """Squared norm of Y once this mean is taken off, shape (unit,)."""
        return self.yy - 2 * mean_y * self.y + self.n * mean_y**2


class Products(Protocol):
    """X'X of the rows of each fold, times blocks of directions."""

    def __call__(
        self, means: Sequence[torch.Tensor], blocks: Sequence[torch.Tensor]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Multiply a block for each fold, and last one more.

        Parameters
        ----------
        means
            The features about which X is centred, for each block, shape (feature,).
        blocks
            Shape (feature, direction).

        Returns
        -------
        inside, total
            For each fold X'X of its rows times its block; for each block X'X of all rows times it.
        """
        ...


class RowProducts:
    """One pass over the rows for all blocks together."""

    def __init__(self, folds: Sequence[Sequence[Rows]]) -> None:
        self._folds = folds

    def __call__(
        self, means: Sequence[torch.Tensor], blocks: Sequence[torch.Tensor]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Multiply; see `Products`."""
        wide = torch.cat(list(blocks), dim=1)
        widths = [block.shape[1] for block in blocks]
        offset = torch.cat([mean @ block for mean, block in zip(means, blocks, strict=True)])
        total, ones_total = torch.zeros_like(wide), torch.zeros_like(offset)
        product, inside = torch.empty_like(wide), []
        for k, fold in enumerate(self._folds):
            ones_product = torch.zeros_like(offset)
            product.zero_()
            for features, ones, _ in chunks(fold):
                projected = (features @ wide).addr_(ones, offset, alpha=-1)
                product.addmm_(features.T, projected)
                ones_product += ones @ projected
            total += product
            ones_total += ones_product
            mine = slice(sum(widths[:k]), sum(widths[: k + 1]))
            inside.append(torch.addr(product[:, mine], means[k], ones_product[mine], alpha=-1))
        parts = zip(total.split(widths, 1), means, ones_total.split(widths), strict=True)
        return inside, [torch.addr(part, mean, ones, alpha=-1) for part, mean, ones in parts]


def chunks(batches: Sequence[Rows]) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Features, ones and targets of so many rows at a time that what is made of them stays small."""
    for rows in batches:
        length = chunk_length(rows.features.shape[1])
        parts = (part.split(length) for part in (rows.features, rows.ones, rows.targets))
        for features, ones, targets in zip(*parts, strict=True):
            yield features.to(ones.dtype), ones, targets


def sum_rows(batches: Sequence[Rows]) -> Sums:
    """Moments of all rows of the batches."""
    parts = (
        Sums(ones @ ones, ones @ features, ones @ targets, features.T @ targets, targets.square().sum(0))
        for features, ones, targets in chunks(batches)
    )
    total = next(parts)
    for part in parts:
        total = total + part
    return total


def mean_eigenvalue(folds: Sequence[Sequence[Rows]], mean_x: torch.Tensor) -> float:
    """Mean eigenvalue of X'X of all rows, about that mean; above zero."""
    energy = 0.0
    for fold in folds:
        for features, ones, _ in chunks(fold):
            energy += float(torch.addr(features, ones, mean_x, alpha=-1).square_().sum(dtype=torch.float64))
    return max(energy / len(mean_x), torch.finfo(mean_x.dtype).tiny)
