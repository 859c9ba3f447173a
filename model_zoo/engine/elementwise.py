"""Elementwise functions of cells, in few passes over memory.

A map of a low layer is larger than a processor's cache: a pass over it costs as much as a good part of a
convolution, and a pass into new memory twice as much. Without gradients, these functions may therefore
overwrite the argument called `fresh`, which must be the new result of a convolution or a sum that nothing
else refers to. (A forward hook on a convolution of a cell must copy the values that it keeps.)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def sigmoid(fresh: Tensor) -> Tensor:
    """Return the logistic function."""
    return torch.sigmoid(fresh) if torch.is_grad_enabled() else fresh.sigmoid_()


def tanh(fresh: Tensor) -> Tensor:
    """Return the hyperbolic tangent."""
    return torch.tanh(fresh) if torch.is_grad_enabled() else fresh.tanh_()


def relu(fresh: Tensor) -> Tensor:
    """Return the positive part."""
    return F.relu(fresh, inplace=not torch.is_grad_enabled())


def elu(fresh: Tensor) -> Tensor:
    """Return x if it is positive, otherwise ``exp(x) - 1``."""
    return F.elu(fresh, inplace=not torch.is_grad_enabled())


def add(fresh: Tensor, other: Tensor | float) -> Tensor:
    """Return ``fresh + other``; both may have a batch of one."""
    fits = not isinstance(other, Tensor) or _fits(fresh, other)
    return fresh.add_(other) if fits and not torch.is_grad_enabled() else fresh + other


def affine(fresh: Tensor, times: float, offset: float) -> Tensor:
    """Return ``times * fresh + offset``."""
    return times * fresh + offset if torch.is_grad_enabled() else fresh.mul_(times).add_(offset)


def gated_sum(
    fresh: Tensor, old: Tensor, gate: Tensor, new: Tensor, a: float = 1.0, b: float = 1.0
) -> Tensor:
    """Return ``a * fresh * old + b * gate * new``; each may have a batch of one."""
    if torch.is_grad_enabled() or not _alike(fresh, old, gate, new):
        return a * fresh * old + b * gate * new
    # Writing into a part of a larger tensor would keep the memory of the whole.
    whole = fresh.is_contiguous() or fresh.is_contiguous(memory_format=torch.channels_last)
    fits = whole and _fits(fresh, old, gate, new)
    kept = fresh.mul_(old) if fits else fresh * old
    if a != 1:
        kept.mul_(a)
    return kept.addcmul_(gate, new, value=b) if fits else torch.addcmul(kept, gate, new, value=b)


def blend(keep: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """Return ``keep * old + (1 - keep) * new``; each may have a batch of one. Overwrites nothing."""
    return torch.lerp(new, old, keep) if _alike(keep, old, new) else keep * old + (1 - keep) * new


def _alike(first: Tensor, *others: Tensor) -> bool:
    """Return True if all have the same dtype; under autocast they may differ."""
    return all(other.dtype == first.dtype for other in others)


def _fits(fresh: Tensor, *others: Tensor) -> bool:
    """Return True if the result of an operation on all has the shape and dtype of the first."""
    shapes = (other.shape for other in others)
    return _alike(fresh, *others) and torch.broadcast_shapes(fresh.shape, *shapes) == fresh.shape
