"""Which source files a result depends on: those of the modules that code is in, and of all that these import.

Code of installed packages stands for itself by its version. All other files are followed, imports within
functions too, and so are those of brainfit's own packages, wherever they are.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil

from brainfit.errors import ContractError
from brainfit.shown import reason

_OURS = ("brainfit", "model_zoo")
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def source_identity(modules: Iterable[str]) -> list[tuple[str, str]]:
    """Return what says that the code of these modules is the same, for them and for all that they import.

    Parameters
    ----------
    modules
        Names of modules that have been imported.

    Returns
    -------
    list of (name, text)
        Sorted: for a file its sha256 and the plain values of the module's variables, which may come from the
        environment; for an installed package its version.

    Raises
    ------
    ContractError
        If a module has no file, as in a notebook, or its file has changed since this process began: what was
        imported may then be another text.
    """
    known: dict[str, str] = {}
    waiting = sorted(modules)
    while waiting:
        name = waiting.pop()
        if name in known:
            continue
        root = name.partition(".")[0]
        if not is_followed(name):
            known[root] = _version(root)
            continue
        path = _file(name)
        digest, imported = _read(path, _stamp(path), name)
        known[name] = digest + ("" if root in _OURS else repr(_variables(sys.modules.get(name))))
        waiting += [module for module in imported if module not in known]
    return sorted(known.items())


def is_followed(name: str) -> bool:
    """Whether the code of a module is read; that of an installed package stands for itself by its version."""
    if is_ours(name):
        return True
    return not _is_builtin(name) and not any(_file(name).is_relative_to(to) for to in _installed_folders())


def is_ours(name: str) -> bool:
    """Whether a module is brainfit's own."""
    return name.partition(".")[0] in _OURS


def _file(name: str) -> Path:
    module = sys.modules.get(name)
    found = getattr(module, "__file__", None) if module is not None else _located(name)
    if found is None:
        raise ContractError(f"it has code of module {name!r}, which is in no file")
    return Path(found)


@cache
def _located(name: str) -> str | None:
    """Return where a module that is not imported yet would come from; None where it is no module."""
    parent = name.rpartition(".")[0]
    if parent and not hasattr(sys.modules.get(parent), "__path__"):
        return None  # looking for it would import its parent
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    return spec.origin if spec and spec.has_location else None


def _is_builtin(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names


@cache
def _version(root: str) -> str:
    """Return the version of an installed package, which not every one says in its module."""
    said = getattr(sys.modules.get(root), "__version__", None)
    if said is None and not _is_builtin(root):
        with suppress(PackageNotFoundError):
            said = version(root)
    return str(said or "")


@cache
def _installed_folders() -> tuple[Path, ...]:
    wanted = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = {sysconfig.get_paths()[name] for name in wanted} | {site.getusersitepackages()}
    return tuple(Path(folder) for folder in folders)


def _stamp(path: Path) -> tuple[int, int]:
    """Return when a file last changed, and its size; refuse one that may have been imported before that."""
    try:
        found = path.stat()
    except OSError as error:
        raise ContractError(f"cannot read its code in {path}: {reason(error)}") from error
    changed = max(found.st_mtime, found.st_ctime)
    if changed > _started():
        raise ContractError(f"its code in {path} has changed since this process began")
    return found.st_mtime_ns, found.st_size


@cache
def _started() -> float:
    return psutil.Process().create_time()


@lru_cache(maxsize=4096)
def _read(path: Path, stamp: tuple[int, int], name: str) -> tuple[str, tuple[str, ...]]:
    """Return the sha256 of a file, and the modules that it imports anywhere."""
    try:
        text = path.read_bytes()
        tree = ast.parse(text) if path.suffix == ".py" else ast.Module([], [])
    except (OSError, SyntaxError, ValueError) as error:
        raise ContractError(f"cannot read its code in {path}: {reason(error)}") from error
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return hashlib.sha256(text).hexdigest(), tuple(sorted(set(_imports(tree, package))))


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            if name and (name in sys.modules or _is_builtin(name) or _located(name)):
                yield name


def _variables(module: ModuleType | None) -> list[tuple[str, Any]]:
    """Return the plain values among a module's variables."""
    values = sorted(vars(module).items()) if module else []
    return [(name, value) for name, value in values if not name.startswith("__") and is_plain(value)]


def is_plain(value: object) -> bool:
    """Whether a value is made of numbers and text only."""
    if isinstance(value, (list, tuple)):
        return all(map(is_plain, value))
    if isinstance(value, dict):
        return all(map(is_plain, [*value, *value.values()]))
    return isinstance(value, _PLAIN)
