"""What a result was made from: versions, hashes, seeds."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

_PACKAGES = ("brainfit", "numpy", "scipy", "scikit-learn", "xarray", "torch")


class ContentHash:
    """sha256 of arrays, fed as they pass by; the same however they are cut along the first axis."""

    def __init__(self) -> None:
        self._hashes: dict[str, Any] = {}

    def update(self, name: str, array: np.ndarray) -> None:
        """Take in the next rows of the array called `name`."""
        if name not in self._hashes:
            self._hashes[name] = hashlib.sha256(f"{name} {array.dtype.str} {array.shape[1:]}".encode())
        self._hashes[name].update(np.ascontiguousarray(array).tobytes())

    def hexdigest(self) -> str:
        """Return one hash of all arrays, whatever the order in which they were first seen."""
        parts = "".join(self._hashes[name].hexdigest() for name in sorted(self._hashes))
        return hashlib.sha256(parts.encode()).hexdigest()


def weights_sha256(model: object) -> str | None:
    """sha256 of a torch module's parameters and buffers by name; None for what is no torch module."""
    if not isinstance(model, torch.nn.Module):
        return None
    content = ContentHash()
    for name, tensor in model.state_dict().items():
        tensor = tensor.detach().cpu()
        if tensor.dtype == torch.bfloat16:  # which numpy does not have
            tensor = tensor.view(torch.int16)
        content.update(name, np.atleast_1d(tensor.numpy()))
    return content.hexdigest()


def environment() -> dict[str, Any]:
    """Versions of what computed the result, and on what it ran."""
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
    }
