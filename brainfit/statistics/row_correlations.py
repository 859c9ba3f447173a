"""Pearson and Spearman correlation of many pairs of rows at once."""

from __future__ import annotations

import numpy as np

from brainfit.statistics.correlation import pearson
from brainfit.statistics.ranks import midranks, ranks_of_counts

_MAX_TABLE = 4  # entries of the table of pairs of counts per element of a row


def correlate_rows(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Correlate each row of `a` with that of `b`.

    Parameters
    ----------
    a, b
        Shape (row, n), float32, finite.

    Returns
    -------
    pearson, spearman
        Shape (row,); NaN where either side is constant to rounding.
    """
    linear, rank_a, rank_b = pearson(a, b), midranks(a), midranks(b)
    sums = (_dot(*pair) for pair in ((rank_a, rank_b), (rank_a, rank_a), (rank_b, rank_b)))
    all_ranks = a.shape[1] * ((a.shape[1] + 1) / 2) ** 2  # what ties do not change
    ranked = _correlation(*(some - all_ranks for some in sums))
    # A row that varies by rounding only still has ranks.
    return linear, np.where(np.isnan(linear), np.nan, ranked)


def correlate_counts(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Correlate rows as `correlate_rows` does, for whole numbers from 0 up.

    The frequency of each pair of counts determines the result. If there are too many counts for a table of
    pairs, the rows are ranked.
    """
    (n_rows, n), (size_a, size_b) = a.shape, (int(rows.max()) + 1 for rows in (a, b))
    if size_a * size_b > _MAX_TABLE * n:
        return correlate_rows(a, b)
    pair = (b * np.float32(size_a) + a).astype(np.int64)
    pair += np.arange(0, n_rows * size_a * size_b, size_a * size_b)[:, None]
    table = np.bincount(pair.ravel(), minlength=n_rows * size_a * size_b).astype(float)
    table = table.reshape(n_rows, size_b, size_a)

    of_a, of_b = table.sum(axis=1), table.sum(axis=2)  # how often there is each count
    (rank_a, value_a), (rank_b, value_b) = (
        (ranks_of_counts(number), np.arange(number.shape[1], dtype=float)) for number in (of_a, of_b)
    )
    all_ranks = n * ((n + 1) / 2) ** 2
    ranked = _correlation(
        _dot(_dot(table, rank_a[:, None]), rank_b) - all_ranks,
        _dot(of_a, rank_a**2) - all_ranks,
        _dot(of_b, rank_b**2) - all_ranks,
    )
    sum_a, sum_b = _dot(of_a, value_a), _dot(of_b, value_b)
    linear = _correlation(
        n * _dot(_dot(table, value_a), value_b) - sum_a * sum_b,
        n * _dot(of_a, value_a**2) - sum_a**2,
        n * _dot(of_b, value_b**2) - sum_b**2,
    )
    return linear, ranked


def _dot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sum products along the last axis, without BLAS, whose threads get in the way of ours."""
    return np.einsum("...i,...i->...", x, y)


def _correlation(product: np.ndarray, square_a: np.ndarray, square_b: np.ndarray) -> np.ndarray:
    """Return the correlation from centred sums; NaN where a side is constant."""
    squares = square_a * square_b
    return np.clip(product / np.sqrt(np.where(squares > 0, squares, np.nan)), -1, 1)
