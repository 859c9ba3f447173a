"""Provenance of a result: versions and hashes."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch.nn.parameter import is_lazy

_PACKAGES = ("brainfit", "numpy", "scipy", "scikit-learn", "xarray", "torch")


class ContentHash:
    """Running sha256 of arrays, independent of how they are cut along the first axis."""

    def __init__(self) -> None:
        self._hashes: dict[str, Any] = {}

    def update(self, name: str, array: np.ndarray) -> None:
        """Add the next rows of the array called `name`."""
        if name not in self._hashes:
            self._hashes[name] = hashlib.sha256(f"{name} {array.dtype.str} {array.shape[1:]}".encode())
        self._hashes[name].update(np.ascontiguousarray(array).tobytes())

    def hexdigest(self) -> str:
        """Return one hash of all arrays, independent of the order in which they were added."""
        parts = "".join(self._hashes[name].hexdigest() for name in sorted(self._hashes))
        return hashlib.sha256(parts.encode()).hexdigest()


def json_values(value: Any) -> Any:
    """Return a value as JSON can hold it: numpy's numbers and arrays as plain ones, anything else as text.

    Examples
    --------
    >>> json_values({"rate": np.float32(0.5), 1: (np.arange(2), {"a"}), "when": np.datetime64("2018-12-03")})
    {'rate': 0.5, '1': [[0, 1], ['a']], 'when': '2018-12-03'}
    """
    if isinstance(value, Mapping):
        return {str(key): json_values(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return json_values(value[()] if value.ndim == 0 else list(value))
    if isinstance(value, (list, tuple)):
        return [json_values(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((json_values(item) for item in value), key=repr)
    if isinstance(value, np.timedelta64):  # numpy counts it among its integers
        return str(value)
    if isinstance(value, (np.bool_, np.integer)) or type(value) is np.float32 or type(value) is np.float16:
        return value.item()
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    return value if value is None else str(value)


def weights_sha256(model: object) -> str | None:
    """Return the sha256 of a torch module's parameters and buffers as they are now, by name.

    None for anything but a torch module, and for one with tensors that are not dense or have no values.
    """
    if not isinstance(model, torch.nn.Module):
        return None
    content = ContentHash()
    for name, tensor in model.state_dict().items():
        if is_lazy(tensor) or tensor.is_meta:
            return None
        if tensor.layout != torch.strided or tensor.is_quantized:
            return None
        tensor = tensor.detach().cpu()
        if tensor.dtype == torch.bfloat16:  # numpy has no such type
            tensor = tensor.view(torch.int16)
        content.update(name, np.atleast_1d(tensor.numpy()))
    return content.hexdigest()


def environment() -> dict[str, Any]:
    """Return the versions of the packages, and the platform, that compute a result."""
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
    }
