"""The name of a network's weights, valid only as long as their values stay the same.

A name such as ``"random:0"`` is given once, when the weights are set; training, ``load_state_dict`` or
any other change in memory makes it wrong. So the values are hashed when the name is given and again
when it is read.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from brainfit.errors import ContractError


class WeightsName(NamedTuple):
    """A name of weights, and the hash of the values that it was given to.

    Attributes
    ----------
    text
        The name; None if the origin of the weights is not known.
    values
        The result of `hash_values` at that time; None without a module.
    source
        Description of their origin, such as the training; empty if unknown.
    """

    text: str | None
    values: str | None
    source: str = ""

    @classmethod
    def of(cls, module: nn.Module | None, text: str | None) -> WeightsName:
        """Name the weights that `module` has now."""
        return cls(text, None if module is None else hash_values(module))

    def current_source(self, module: nn.Module | None) -> str:
        """Return the origin if `module` still has the same values, otherwise an empty text."""
        return self.source if self.source and self.current(module) == self.text else ""

    def current(self, module: nn.Module | None) -> str:
        """Return the name if `module` still has the same values; else text that begins with "unknown"."""
        values = None if module is None else hash_values(module)
        if self.text is not None and values == self.values:
            return self.text
        return "unknown" if values is None else f"unknown, sha256:{values}"


def hash_values(module: nn.Module) -> str | None:
    """Return the sha256 of the names and values of all parameters and buffers; None on the meta device.

    Floating-point numbers are hashed by value: a cast to more bits changes nothing, a cast that rounds does.

    Raises
    ------
    ContractError
        If a parameter or buffer of a lazy module has no values yet.
    """
    content = hashlib.sha256()
    for name, value in module.state_dict(keep_vars=True).items():
        if not isinstance(value, Tensor):  # of torch.nn.Module.get_extra_state, which may return anything
            content.update(f"{name} {value!r}".encode())
            continue
        if is_lazy(value):
            raise ContractError(
                f"{type(module).__name__} has the lazy parameter {name!r}, which has no shape yet; run the "
                "network once on an image first"
            )
        if value.is_meta:
            return None
        values = _canonical(value)
        content.update(f"{name} {values.dtype.str} {values.shape}".encode())
        content.update(values.data)
    return content.hexdigest()


def _canonical(value: Tensor) -> np.ndarray:
    """Return the values as a contiguous array, floats in 32 bits if that loses nothing."""
    value = value.detach()
    value = value.dequantize() if value.is_quantized else value
    value = (value.to_dense() if value.layout != torch.strided else value).cpu()
    if value.is_floating_point():
        narrow = value.float()
        value = narrow if value.dtype != torch.float64 or torch.equal(narrow.double(), value) else value
    return np.ascontiguousarray(value.resolve_conj().resolve_neg().numpy())
