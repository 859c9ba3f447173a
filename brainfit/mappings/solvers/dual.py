r"""Fewer rows than features: the same ridge problem with no more features than rows.

All that a ridge map can use of its features lies in the span of the rows that it is fitted to: with
:math:`XX^\top = V S V^\top` and :math:`Q = X^\top V S^{-1/2}`, whose columns are orthonormal, the rows
:math:`XQ = V S^{1/2}` have the same products with each other, and a map :math:`w` of them is the map
:math:`Qw` of the features, of the same length.

References
----------
Hastie, Tibshirani & Friedman, The Elements of Statistical Learning, 2nd ed., sec. 18.3.5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce

import torch
from scipy.linalg import eigh

from brainfit.mappings.solvers.rows import Rows
from brainfit.support.threads import one_thread

MAX_ROWS = 1024
"""Beyond, the eigenvectors of so many rows' products take longer than the passes that they save."""
_COLUMNS = 4096
"""Features to work on at once."""


def are_few(n_rows: float, n_features: int) -> bool:
    """Whether rows are fewer than features, and few enough for `in_their_span`."""
    return n_rows <= MAX_ROWS and n_rows < n_features


def in_their_span(folds: Sequence[Sequence[Rows]]) -> tuple[list[list[Rows]], torch.Tensor]:
    """Return the rows in coordinates of the space that they span, for `of_features` what leads back.

    Returns
    -------
    rows
        For each fold all of its rows, with as many features as there are directions; in float64, which of so
        few costs nothing.
    combinations
        The directions as combinations of the rows, shape (row, direction), float64.
    """
    gram = reduce(torch.add, (x @ x.T for x in _columns(folds)))
    with one_thread():
        values, vectors = map(torch.from_numpy, eigh(gram.cpu().numpy(), driver="evd"))  # ascending
    values, vectors = values.to(gram), vectors.to(gram)
    kept = values > len(values) * torch.finfo(values.dtype).eps * values[-1]
    kept[-1] = True  # of rows that are all zero, too
    values, vectors = values[kept].clamp_min(0), vectors[:, kept]
    coordinates = vectors * values.sqrt()
    found = []
    for fold in folds:
        ones, targets = (torch.cat([getattr(rows, name) for rows in fold]) for name in ("ones", "targets"))
        mine, coordinates = coordinates[: len(ones)], coordinates[len(ones) :]
        image = torch.cat([rows.image for rows in fold])
        found.append([Rows(mine, ones.double(), targets.double(), image)])
    return found, vectors * values.clamp_min(torch.finfo(values.dtype).tiny).rsqrt()


def of_features(
    folds: Sequence[Sequence[Rows]], combinations: torch.Tensor, coef: torch.Tensor
) -> torch.Tensor:
    """Return a map of the coordinates, shape (direction, unit), as one of the features, (feature, unit)."""
    weights, like = combinations @ coef, folds[0][0].ones
    return torch.cat([(x.T @ weights).to(like) for x in _columns(folds)])


def _columns(folds: Sequence[Sequence[Rows]]) -> Iterator[torch.Tensor]:
    """Yield some features at a time of all rows, float64, shape (row, feature)."""
    parts = (rows.features.split(_COLUMNS, dim=1) for fold in folds for rows in fold)
    for some in zip(*parts, strict=True):
        yield torch.cat(some).double()
