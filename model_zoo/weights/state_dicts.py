"""Find the bare ``state_dict()`` in the content of a training script's checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from brainfit.errors import ContractError
from brainfit.support.messages import printable

_WRAPPERS = ("model", "state_dict")
_PREFIX = "module."  # of torch.nn.DataParallel
_SHOWN = 6
_log = logging.getLogger(__name__)


def unwrap(content: Any, wanted: Collection[str], label: str) -> tuple[dict[str, Tensor], str]:
    """Return the tensors of a checkpoint by the names of a network, and what was taken off to get them.

    Only what is unambiguous is taken off: one key ``"state_dict"`` or ``"model"`` around all tensors, and
    ``module.`` before every name. Both are logged.

    Parameters
    ----------
    content
        Content of the file.
    wanted
        Names in the network's own ``state_dict()``.
    label
        Name of the file in messages.

    Raises
    ------
    ContractError
        If it holds no such tensors, or does so under both keys.
    """
    taken_off = []
    wrappers = (
        [key for key in _WRAPPERS if isinstance(content.get(key), Mapping)]
        if isinstance(content, Mapping)
        else []
    )
    inner = content
    if len(wrappers) == 1:
        inner = content[wrappers[0]]
        taken_off.append(f"the key {wrappers[0]!r}")
    if not isinstance(inner, Mapping) or not all(
        isinstance(name, str) and _is_plain(values) for name, values in inner.items()
    ):
        under = f" under {wrappers[0]!r}" if len(wrappers) == 1 else ""
        raise ContractError(
            f"{label} holds{under} {_describe(inner)}; wanted plain tensors by their names, as in a "
            "state_dict(), bare or under one of the keys 'state_dict' and 'model'"
        )
    if all(name.startswith(_PREFIX) for name in inner) and not all(n.startswith(_PREFIX) for n in wanted):
        inner = {name.removeprefix(_PREFIX): values for name, values in inner.items()}
        taken_off.append(f"{_PREFIX!r} before every name")
    how = " and ".join(taken_off)
    if how:
        _log.info("%s: took off %s", label, how)
    return dict(inner), how


def _describe(content: object) -> str:
    """Name the kinds of a few entries, for a message."""
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    entries = [f"{printable(repr(key))} ({type(value).__name__})" for key, value in content.items()]
    more = f" and {len(entries) - _SHOWN} more" if len(entries) > _SHOWN else ""
    return ", ".join(entries[:_SHOWN]) + more


def _is_plain(values: object) -> bool:
    return (
        isinstance(values, Tensor)
        and values.layout is torch.strided
        and values.device.type == "cpu"
        and not values.is_quantized
        and not values.is_nested
    )
