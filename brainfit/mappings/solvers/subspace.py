"""Ridge on the rows outside one fold, judged on those inside it, in a subspace that grows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from brainfit.mappings.solvers.matmul import add_transposed, times
from brainfit.mappings.solvers.products import Sums
from brainfit.support.threads import one_thread

# A candidate direction, of length one, adds something if more than this is left of its squared
# length outside the basis: well above what rounding leaves, well below what a weak direction does.
_DEPENDENT = 1e-9
_NEARLY_ONE = 0.99


@dataclass(frozen=True)
class Residual:
    r"""Residual :math:`C - (G + \alpha) W` of the ridge equations.

    Attributes
    ----------
    normalised
        Residual of each unit divided by the norm of its :math:`X^\top y`, shape (unit, feature).
    relative
        The largest norm of these.
    error
        The largest relative error that the residual allows the fitted values of a unit to have.
    """

    normalised: torch.Tensor
    relative: float
    error: float


class Subspace:
    """A ridge problem, projected on an orthonormal basis.

    Parameters
    ----------
    total
        Moments of all rows.
    held_out
        Moments of the rows that the map is judged on and not fitted to; None if it is fitted to all.
    """

    def __init__(self, total: Sums, held_out: Sums | None) -> None:
        self._total, self._held = total, held_out
        n, x, self._y = (
            (getattr(total, name) - (getattr(held_out, name) if held_out else 0)) for name in ("n", "x", "y")
        )
        self.mean_x, self.mean_y = x / n, self._y / n
        self.basis = self._products = total.yx.new_zeros(0, len(x))
        self._gram = self._held_gram = np.zeros((0, 0))
        self._right = self._held_right = np.zeros((0, len(self._y)))
        size = torch.linalg.vector_norm(self.yx, dim=1)
        self._size = torch.where(size > 0, size, 1)

    @property
    def yx(self) -> torch.Tensor:
        """Y'X of the rows that the map is fitted to, about their mean, shape (unit, feature)."""
        yx = self._total.yx - self._held.yx if self._held else self._total.yx
        return torch.addr(yx, self._y, self.mean_x, alpha=-1)

    @property
    def yx_normalised(self) -> torch.Tensor:
        """Y'X with each unit's row of length one."""
        return self.yx / self._size[:, None]

    def extend(self, candidates: torch.Tensor) -> torch.Tensor:
        """Add the part of `candidates` that is new to the basis; return it, orthonormal."""
        new = _orthonormal(candidates, self.basis)
        self.basis = torch.cat([self.basis, new])
        right = _double(self._total.xy_along(new, self.mean_x, self.mean_y))
        if self._held:
            held = _double(self._held.xy_along(new, self.mean_x, self.mean_y))
            self._held_right = np.concatenate([self._held_right, held])
            right = right - held
        self._right = np.concatenate([self._right, right])
        return new

    def absorb(self, product: torch.Tensor, inside: torch.Tensor | None) -> torch.Tensor:
        """Add products of the newest block with X'X of all and of held-out rows; return the difference."""
        if inside is not None:
            product = product - inside
            self._held_gram = _bordered(self._held_gram, self.basis, inside)
        self._gram = _bordered(self._gram, self.basis, product)
        self._products = torch.cat([self._products, product])
        with one_thread():
            values, self._vectors = np.linalg.eigh(self._gram)
            self._values, self._rotated = values.clip(0), self._vectors.T @ self._right
        return product

    @property
    def norm(self) -> float:
        """Frobenius norm of X'X in the basis: no more than that of X'X, and soon close to it."""
        return float(np.linalg.norm(self._values))

    def losses(self, alphas: np.ndarray) -> np.ndarray:
        """Return the squared error on the held-out rows, shape (penalty, unit)."""
        if self._held is None:
            raise ValueError("no rows are held out")
        cross, gram = self._vectors.T @ self._held_right, self._vectors.T @ self._held_gram @ self._vectors
        losses = np.empty((len(alphas), len(self._y)))
        for k, alpha in enumerate(alphas):
            coef = self._rotated / (self._values + alpha)[:, None]
            losses[k] = (coef * (gram @ coef - 2 * cross)).sum(0)
        return losses + _double(self._held.yy_about(self.mean_y))

    def residual(self, alpha: np.ndarray) -> Residual:
        """Return the residual under the penalty of each unit: zero once the basis holds the solution."""
        weights, left = self._weights(alpha), self.yx
        add_transposed(left, self._products, self._like(-weights))
        add_transposed(left, self.basis, self._like(-weights * alpha))
        size = _double(torch.linalg.vector_norm(left, dim=1))
        fitted = np.sqrt((self._values[:, None] * (self._vectors.T @ weights) ** 2).sum(0))
        bound = np.divide(size, 2 * np.sqrt(alpha) * fitted, out=np.zeros_like(size), where=fitted > 0)
        normalised = left / self._size[:, None]
        relative = float((size / _double(self._size)).max())
        return Residual(normalised, relative, float(bound.max()))

    def solution(self, alpha: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return coef (feature, unit) and intercept (unit,) under a penalty for each unit."""
        coef = torch.zeros_like(self._total.yx)
        add_transposed(coef, self.basis, self._like(self._weights(alpha)))
        return coef.T.contiguous(), self.mean_y - coef @ self.mean_x

    def _weights(self, alpha: np.ndarray) -> np.ndarray:
        with one_thread():
            return self._vectors @ (self._rotated / (self._values[:, None] + alpha))

    def _like(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values).to(self.basis)


def _double(values: torch.Tensor) -> np.ndarray:
    return values.double().cpu().numpy()


def _bordered(gram: np.ndarray, basis: torch.Tensor, product: torch.Tensor) -> np.ndarray:
    """Enlarge the basis' X'X by the rows of the newest block."""
    new = _double(times(basis, product))
    old, size = len(gram), len(basis)
    result = np.empty((size, size))
    result[:old, :old] = gram
    result[:, old:] = new
    result[old:, :old] = new[:old].T
    result[old:, old:] = (new[old:] + new[old:].T) / 2
    return result


def _orthonormal(candidates: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """Return the orthonormal directions that `candidates` add to `basis`; empty if they add nothing."""
    norms = candidates.norm(dim=1)
    new = candidates[norms > 0] / norms[norms > 0, None]
    room = basis.shape[1] - len(basis)
    for attempt in range(3):  # repeated, since rounding is large relative to a small remainder
        add_transposed(new, basis, -times(basis, new))
        values, vectors = torch.linalg.eigh(times(new, new).double())
        last = torch.arange(len(values), device=values.device) >= len(values) - room
        kept = last & (values > (_DEPENDENT if attempt == 0 else 0.5))
        new = (vectors[:, kept] / values[kept].sqrt()).to(new).T @ new
        if attempt > 0 and bool((values[kept] > _NEARLY_ONE).all()):
            break  # little was subtracted, so rounding is small
    return new
