"""Hash everything that a model computes with, so that cached features are found again for it alone.

A hash covers the model by value (parameters, buffers, attributes, nested modules, hooks), the source files
that its code is in, and the versions of the packages that it uses. It is the same in another process. What is
not seen: classes and module variables that are changed in memory, packages that are loaded from an editable
folder within a function, and files, environment variables or programs that the model reads at every call
without keeping what it read. A model that does any of these offers a method ``cache_token()``, which returns
text that differs whenever its answers may.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from types import CodeType, FunctionType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import psutil
import torch
from torch.nn.parameter import is_lazy

from brainfit.errors import ContractError
from brainfit.support.foreign_errors import foreign_code
from brainfit.support.messages import printable

_OWN = ("brainfit.contracts", "brainfit.features", "model_zoo")
"""Our own code that decides the bits of features."""
_INSTALLED = {"site-packages", "dist-packages"}


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


def code_identity(modules: set[str]) -> list[tuple[str, str]]:
    """Return the versions of the packages that these modules are in, and the hashes of all other source.

    For a module in no installed package, every Python file in its folder (or its whole package, if it is in
    one) is hashed, with the numbers and texts among its variables; likewise for the modules that it imports.

    Raises
    ------
    ContractError
        If code is in no file, in the script that runs, or has changed since this process began.
    """
    found: dict[str, str] = {}
    folders: set[Path] = set()
    waiting, seen = sorted(modules), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        root = name.partition(".")[0]
        if root == "__main__":
            raise ContractError("its code is in the script or notebook that runs; move it into a module")
        if root in sys.stdlib_module_names:
            continue
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None) or getattr(sys.modules.get(root), "__file__", None)
        if module is None or file is None:
            if name not in modules:  # made by code that was followed, such as Cython's
                continue
            raise ContractError(f"it has code of module {printable(name)!r}, which is in no file")
        if _INSTALLED & set(Path(file).parts) and _version(root):
            found[root] = _version(root)
        elif root in ("brainfit", "model_zoo"):
            folders.update(Path(sys.modules[own].__path__[0]) for own in _OWN if own in sys.modules)
        else:
            package = list(getattr(sys.modules.get(root), "__path__", ()))
            folders.add(Path(package[0]) if package else Path(file).parent)
            found[f"variables of {name}"] = repr(sorted(_constants(module)))
            waiting += map(_module_of, list(vars(module).values()))
    return [*sorted(found.items()), *(("source", text) for text in sorted(map(_source, folders)))]


def _with_hooks_renumbered(state: dict[str, Any]) -> dict[str, Any]:
    """Return a torch module's state with its hooks numbered from 0: torch counts those of all modules."""
    hooks = {
        name: kind
        for name, kind in state.items()
        if isinstance(kind, dict) and name.startswith("_") and name.endswith(("_hooks", "_kwargs", "_called"))
    }
    new = {number: place for place, number in enumerate(sorted({n for kind in hooks.values() for n in kind}))}
    return state | {name: {new[n]: hook for n, hook in kind.items()} for name, kind in hooks.items()}


def _module_of(value: object) -> str:
    if isinstance(value, ModuleType):
        name: object = value.__name__
    else:
        name = (value if isinstance(value, (type, FunctionType)) else type(value)).__module__
    return name if isinstance(name, str) and name in sys.modules and name != "__main__" else "builtins"


def _constants(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Yield the numbers and texts among a module's variables: they may come from the environment."""
    for name, value in vars(module).items():
        if not name.startswith("__") and isinstance(value, (bool, int, float, complex, str, bytes)):
            yield name, repr(value)


def _source(folder: Path) -> str:
    """Hash the Python files of a folder, and of the folders in it where it is a package."""
    found = hashlib.sha256()
    files = folder.rglob("*") if (folder / "__init__.py").is_file() else folder.glob("*")
    loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    for file in sorted(file for file in files if file.suffix in (".py", ".so", ".pyd")):
        try:
            facts, text = file.stat(), file.read_bytes()
        except OSError as error:
            raise ContractError(
                f"cannot read its code in {printable(str(file))}: {error.strerror}"
            ) from error
        if str(file) in loaded and max(facts.st_mtime, facts.st_ctime) > _started():
            raise ContractError(f"its code in {printable(str(file))} has changed since this process began")
        found.update(repr((file.relative_to(folder).as_posix(), text)).encode())
    return found.hexdigest()


@cache
def _version(root: str) -> str:
    """Return the version of an installed package; "" for a folder of which no installer knows."""
    with suppress(PackageNotFoundError):
        return version(root)
    return " ".join(sorted(version(package) for package in packages_distributions().get(root, ())))


@cache
def _started() -> float:
    return psutil.Process().create_time()
