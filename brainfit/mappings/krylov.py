r"""Ridge regression for many units, every penalty at once, by block Krylov subspaces.

The minimiser of :math:`\|Y - XW - 1b^\top\|^2 + \alpha \|W\|^2` is sought in the span of
:math:`C, GC, G^2C, \dots` with :math:`G = X^\top X` and :math:`C = X^\top Y` of the centred
data: directions that the responses of *all* units point to. In a basis of some hundreds of such
directions the problem is small, one eigendecomposition gives it for every penalty, and every
block added costs one pass over the rows. The span grows until the held-out loss stands still; once
it holds every direction of the features, the solution is exact.

One problem for each inner fold (fitted to the other folds, judged on it) and one for all training
rows are solved side by side, so that a pass over the rows serves them all and the fold that judges
a penalty had no part in the directions it is judged in.

References
----------
Golub & Van Loan, Matrix Computations, 4th ed., sec. 10.1 and 10.3 (block Lanczos);
Hochstenbach & Reichel (2010), BIT Numer. Math. 50, 1-21 (ridge penalties in Krylov subspaces).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from brainfit.mappings.rows import Rows

MIN_WIDTH = 64
"""Fewest directions in a block: with few units, random ones are added to their own."""

# A candidate direction, of length one, adds something if more than this is left of its squared
# length outside the basis: well above what rounding leaves, well below what a weak direction does.
_DEPENDENT = 1e-9
_CHUNK = 2048


@dataclass(frozen=True)
class RidgeSolution:
    """A ridge map with a penalty of its own for each unit.

    Attributes
    ----------
    coef
        Shape (feature, unit).
    intercept
        Shape (unit,).
    alpha
        The chosen penalties, shape (unit,), in the units of `sklearn.linear_model.Ridge`.
    validation_loss
        Held-out squared error over the inner folds, as a share of the variance of the targets of
        the rows, shape (penalty, unit).
    n_directions
        Size of the subspace that was searched.
    converged
        False if the held-out loss still moved when `max_blocks` was reached.
    """

    coef: torch.Tensor
    intercept: torch.Tensor
    alpha: np.ndarray
    validation_loss: np.ndarray
    n_directions: int
    converged: bool


@dataclass(frozen=True)
class _Sums:
    """Moments of some rows: all that centring and the right-hand side need."""

    n: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor
    xy: torch.Tensor
    yy: torch.Tensor

    def __sub__(self, other: _Sums) -> _Sums:
        return _Sums(
            self.n - other.n, self.x - other.x, self.y - other.y, self.xy - other.xy, self.yy - other.yy
        )

    def centered(self, mean_x: torch.Tensor, mean_y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """X'Y and the squared norm of Y once these means are taken off."""
        xy = self.xy - torch.outer(mean_x, self.y) - torch.outer(self.x - self.n * mean_x, mean_y)
        return xy, self.yy - 2 * mean_y * self.y + self.n * mean_y**2


class _Problem:
    """Ridge on the rows outside one fold, judged on those inside it, in a growing subspace."""

    def __init__(self, train: _Sums, held_out: _Sums | None) -> None:
        self.mean_x, self.mean_y = train.x / train.n, train.y / train.n
        self.xy, _ = train.centered(self.mean_x, self.mean_y)
        if held_out is not None:
            self.held_xy, self.held_yy = held_out.centered(self.mean_x, self.mean_y)
        self.basis = self.xy.new_zeros(len(self.mean_x), 0)
        self.gram = np.zeros((0, 0))
        self.held_gram = np.zeros((0, 0))
        self.is_judged = held_out is not None

    def extend(self, candidates: torch.Tensor) -> torch.Tensor:
        """Add the part of `candidates` that is new to the basis; return it, orthonormal."""
        new = _orthonormal(candidates, self.basis)
        self.basis = torch.cat([self.basis, new], dim=1)
        return new

    def absorb(self, product: torch.Tensor, held_product: torch.Tensor | None) -> None:
        """Take in X'X times the newest block, over the training and over the held-out rows."""
        self.gram = _bordered(self.gram, self.basis, product)
        if held_product is not None:
            self.held_gram = _bordered(self.held_gram, self.basis, held_product)

    def solve(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Eigenvalues and vectors of the projected Gram matrix, and the right-hand side in them."""
        values, vectors = np.linalg.eigh(self.gram)
        right = vectors.T @ (self.basis.T @ self.xy).double().cpu().numpy()
        return values.clip(0), vectors, right

    def losses(self, alphas: np.ndarray) -> np.ndarray:
        """Squared error on the held-out rows for each penalty and unit."""
        values, vectors, right = self.solve()
        cross = vectors.T @ (self.basis.T @ self.held_xy).double().cpu().numpy()
        gram = vectors.T @ self.held_gram @ vectors
        losses = np.empty((len(alphas), right.shape[1]))
        for k, alpha in enumerate(alphas):
            coef = right / (values + alpha)[:, None]
            losses[k] = (coef * (gram @ coef - 2 * cross)).sum(0)
        return losses + self.held_yy.double().cpu().numpy()


def solve_ridge(
    folds: Sequence[Sequence[Rows]],
    relative_alphas: np.ndarray,
    *,
    tolerance: float,
    max_blocks: int,
    rng: np.random.Generator,
    advance: Callable[[], None] = lambda: None,
) -> RidgeSolution:
    """Fit one ridge map, the penalty of each unit chosen by the loss on held-out folds.

    Parameters
    ----------
    folds
        For each inner fold the batches of rows of its images.
    relative_alphas
        Penalties to choose from, as multiples of the mean eigenvalue of the features' Gram matrix.
    tolerance
        Stop when a pass moves the mean over units of the held-out loss (as a share of variance) by
        less, that of no unit by ten times as much, and the choice of no unit's penalty.
    max_blocks
        Most blocks to add, each of as many directions as there are units (at least `MIN_WIDTH`).
    rng
        For the padding directions.
    advance
        Called after every pass over the rows.
    """
    per_fold = [_sum_rows(rows) for rows in folds]
    total = per_fold[0]
    for sums in per_fold[1:]:
        total = _add(total, sums)
    problems = [_Problem(total - sums, sums) for sums in per_fold] + [_Problem(total, None)]
    alphas = relative_alphas * _mean_eigenvalue(folds, problems[-1].mean_x)
    variance = total.centered(problems[-1].mean_x, problems[-1].mean_y)[1].double().cpu().numpy()

    padding = _padding(total.xy, rng)
    blocks = [problem.extend(torch.cat([problem.xy, padding], 1)) for problem in problems]
    losses, converged = np.full((len(alphas), len(variance)), np.inf), False
    for step in range(max_blocks):
        products = _multiply(folds, problems, blocks)
        for problem, (product, held) in zip(problems, products, strict=True):
            problem.absorb(product, held)
        advance()
        before, losses = losses, np.sum([problem.losses(alphas) for problem in problems[:-1]], axis=0)
        losses = losses / np.where(variance > 0, variance, np.inf)
        converged = _stands_still(before, losses, tolerance)
        if converged or step == max_blocks - 1:
            break
        blocks = [problem.extend(product) for problem, (product, _) in zip(problems, products, strict=True)]
        if not any(block.shape[1] for block in blocks):
            converged = True
            break
    chosen = np.where(variance > 0, losses.argmin(axis=0), len(alphas) - 1)
    coef, intercept = _coefficients(problems[-1], alphas[chosen])
    return RidgeSolution(coef, intercept, alphas[chosen], losses, problems[-1].basis.shape[1], converged)


def _stands_still(before: np.ndarray, now: np.ndarray, tolerance: float) -> bool:
    """Whether a pass moved neither the mean over units of the loss, nor any one unit much, nor a choice."""
    moved = np.abs(before.min(axis=0) - now.min(axis=0))
    same = before.argmin(axis=0) == now.argmin(axis=0)
    return bool(moved.mean() < tolerance and moved.max() < 10 * tolerance and same.all())


def _coefficients(problem: _Problem, alpha: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    values, vectors, right = problem.solve()
    weights = vectors @ (right / (values[:, None] + alpha))
    coef = problem.basis @ torch.from_numpy(weights).to(problem.basis)
    return coef, problem.mean_y - problem.mean_x @ coef


def _sum_rows(batches: Sequence[Rows]) -> _Sums:
    n, x, y, xy, yy = 0.0, 0.0, 0.0, 0.0, 0.0
    for rows in batches:
        n = n + rows.ones @ rows.ones
        x = x + rows.ones @ rows.features
        y = y + rows.ones @ rows.targets
        xy = xy + rows.features.T @ rows.targets
        yy = yy + rows.targets.square().sum(0)
    return _Sums(*map(torch.as_tensor, (n, x, y, xy, yy)))


def _add(a: _Sums, b: _Sums) -> _Sums:
    return _Sums(a.n + b.n, a.x + b.x, a.y + b.y, a.xy + b.xy, a.yy + b.yy)


def _mean_eigenvalue(folds: Sequence[Sequence[Rows]], mean_x: torch.Tensor) -> float:
    energy = sum(
        float((rows.features - torch.outer(rows.ones, mean_x)).square().sum())
        for fold in folds
        for rows in fold
    )
    return max(energy / len(mean_x), float(np.finfo(np.float32).tiny))


def _padding(xy: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Random directions that fill a block up to `MIN_WIDTH`."""
    missing = max(0, min(MIN_WIDTH, xy.shape[0]) - xy.shape[1])
    scale = float(xy.norm(dim=0).median()) / np.sqrt(xy.shape[0])
    return torch.from_numpy(rng.standard_normal((xy.shape[0], missing)) * (scale or 1.0)).to(xy)


def _multiply(
    folds: Sequence[Sequence[Rows]], problems: Sequence[_Problem], blocks: Sequence[torch.Tensor]
) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
    """Centred X'X times each problem's block, split into training and held-out rows, in one pass."""
    wide = torch.cat(list(blocks), dim=1)
    widths = [block.shape[1] for block in blocks]
    offset = torch.cat([p.mean_x @ block for p, block in zip(problems, blocks, strict=True)])
    inside = []
    for batches in folds:
        product, ones_product = torch.zeros_like(wide), torch.zeros_like(offset)
        for rows in batches:
            for features, ones in zip(rows.features.split(_CHUNK), rows.ones.split(_CHUNK), strict=True):
                projected = features @ wide - torch.outer(ones, offset)
                product.addmm_(features.T, projected)
                ones_product += ones @ projected
        parts = zip(product.split(widths, 1), ones_product.split(widths), problems, strict=True)
        inside.append([part - torch.outer(p.mean_x, ones) for part, ones, p in parts])
    result = []
    for k, problem in enumerate(problems):
        held = inside[k][k] if problem.is_judged else None
        train = sum((inside[f][k] for f in range(len(folds)) if f != k), torch.zeros_like(blocks[k]))
        result.append((train, held))
    return result


def _bordered(gram: np.ndarray, basis: torch.Tensor, product: torch.Tensor) -> np.ndarray:
    """Enlarge basis' X'X basis by the columns of the newest block."""
    new = (basis.T @ product).double().cpu().numpy()
    old, size = len(gram), basis.shape[1]
    result = np.empty((size, size))
    result[:old, :old] = gram
    result[:, old:] = new
    result[old:, :old] = new[:old].T
    result[old:, old:] = (new[old:] + new[old:].T) / 2
    return result


def _orthonormal(candidates: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """Orthonormal directions that `candidates` add to `basis`; none where they add nothing."""
    norms = candidates.norm(dim=0)
    new = candidates[:, norms > 0] / norms[norms > 0]
    for _ in range(2):  # once is not enough in floating point, twice is
        new = new - basis @ (basis.T @ new)
    values, vectors = torch.linalg.eigh((new.T @ new).double())
    room = basis.shape[0] - basis.shape[1]
    kept = (values > _DEPENDENT) & (torch.arange(len(values)).to(values) >= len(values) - room)
    new = new @ (vectors[:, kept] / values[kept].sqrt()).to(new)
    new = new - basis @ (basis.T @ new)
    return torch.linalg.qr(new).Q if new.shape[1] else new
