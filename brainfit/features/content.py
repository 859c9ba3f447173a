"""Hash everything that a model computes with, so that cached features are found again for it alone.

A hash covers the model by value (parameters, buffers, attributes, nested modules, hooks), its source files
and the versions of its packages (`brainfit.features.code_identity`). It is the same in another process. It
does not see classes and module variables that are changed in memory, packages that are loaded from an
editable folder within a function, and files, environment variables or programs that the model reads at every
call without keeping what it read. A model that does any of these offers a method ``cache_token()``, which
returns text that differs whenever its answers may.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
from types import CodeType, FunctionType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.nn.parameter import is_lazy

from brainfit.errors import ContractError
from brainfit.features.code_identity import code_identity
from brainfit.support.foreign_errors import foreign_code
from brainfit.support.messages import printable


def content_hash(model: Any) -> str:
    """Return the sha256 of everything that a model computes with.

    Raises
    ------
    ContractError
        If something in the model cannot be read by value, such as an open file; or its code is in no file, in
        the script or notebook that runs, or has changed since this process began.
    PluginError
        If its `cache_token` fails.
    """
    if torch.nn.modules.module._has_any_global_hook():
        raise ContractError("torch has global hooks on all modules, which no hash covers")
    with foreign_code("reading the model by value failed:"):
        token = model.cache_token() if hasattr(model, "cache_token") else None
    if token is not None and not (isinstance(token, str) and token):
        raise ContractError(f"its cache_token() returned {printable(repr(token))}, wanted text")
    value = type(model) if token else model
    try:
        try:
            reader = _Reader(value, fast=True)
        except (ValueError, RecursionError):  # it holds itself, as a module does whose hook is its own method
            reader = _Reader(value, fast=False)
    except ContractError:
        raise
    except Exception as error:  # code that is not ours may raise anything at all
        raise ContractError(f"it cannot be read by value: {printable(str(error), longest=160)}") from error
    versions = f"python {sys.version_info[:2]} torch {torch.__version__}"
    parts = [versions, token, reader.sha256.hexdigest(), *code_identity(reader.modules)]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


class _Reader(pickle.Pickler):
    """Feed a model to a hash as pickle would write it, and note the modules that its code is in.

    Parameters
    ----------
    fast
        True to write each object in full wherever it stands, so that equal text gives the same hash whether
        or not Python shares it; impossible for what holds itself.
    """

    def __init__(self, model: object, *, fast: bool) -> None:
        self.sha256 = hashlib.sha256()
        self.modules = {"brainfit.features.content"}
        file: Any = SimpleNamespace(write=self.sha256.update)
        super().__init__(file, protocol=4)
        self.fast = fast
        self.dump(model)

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, torch.Tensor):
            if (
                obj.layout != torch.strided
                or obj.is_quantized
                or obj.is_nested
                or obj.is_meta
                or is_lazy(obj)
            ):
                raise ContractError("it holds a tensor that is not a dense one with values")
            raw = obj.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
            kind = (
                type(obj).__qualname__,
                str(obj.dtype),
                tuple(obj.shape),
                obj.stride(),
            )  # the layout counts
            return tuple, ((*kind, hashlib.sha256(raw.data).digest(), dict(vars(obj))),)
        if isinstance(obj, np.ndarray) and not obj.dtype.hasobject:
            return tuple, (
                (obj.dtype.str, obj.shape, hashlib.sha256(np.ascontiguousarray(obj).tobytes()).digest()),
            )
        if isinstance(obj, ModuleType):
            self.modules.add(obj.__name__)
            return str, (obj.__name__,)
        if isinstance(obj, (type, FunctionType)):
            self.modules.update(kind.__module__ for kind in (obj.__mro__ if isinstance(obj, type) else [obj]))
        if isinstance(obj, torch.nn.Module):
            made = obj.__reduce_ex__(4)
            if isinstance(made, tuple) and len(made) > 2 and isinstance(made[2], dict):
                return (*made[:2], _with_hooks_renumbered(made[2]), *made[3:])
        if isinstance(obj, CodeType):
            return tuple, ((obj.co_code, obj.co_names, obj.co_consts),)
        if isinstance(obj, FunctionType) and "<" in obj.__qualname__:  # pickle knows no name for it
            cells = [cell.cell_contents for cell in obj.__closure__ or ()]
            return tuple, ((obj.__code__, cells, obj.__defaults__, obj.__kwdefaults__),)
        return NotImplemented


def _with_hooks_renumbered(state: dict[str, Any]) -> dict[str, Any]:
    """Return a torch module's state with its hooks numbered from 0: torch counts those of all modules."""
    hooks = {
        name: kind
        for name, kind in state.items()
        if isinstance(kind, dict) and name.startswith("_") and name.endswith(("_hooks", "_kwargs", "_called"))
    }
    new = {number: place for place, number in enumerate(sorted({n for kind in hooks.values() for n in kind}))}
    return state | {name: {new[n]: hook for n, hook in kind.items()} for name, kind in hooks.items()}
