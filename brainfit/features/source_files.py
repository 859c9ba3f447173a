"""Which source files a result depends on: those of the modules that code is in, and of all that these import.

Code of installed packages stands for itself by its version. All other files are followed, imports within
functions too, and so are those of brainfit's own packages, wherever they are.

Two processes must get the same answer, whatever else they have imported or run, or kept features would not be
found again. So places and versions of modules are read from the disk; and a module's variable is listed only
if its value is not what the source says: not the literal in the file, nor the value in the module that it is
imported from.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

import psutil

from brainfit.errors import ContractError
from brainfit.support.messages import reason

_OURS = ("brainfit", "model_zoo")
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


@dataclass(frozen=True)
class _Source:
    """What is in a file."""

    sha256: str
    imported: frozenset[str]
    literals: Mapping[str, str]  # variables, and how their values are shown
    taken: Mapping[str, tuple[str, str]]  # variables, and the module and name that they are imported from
    read: frozenset[str]  # names that the code of functions and classes reads


def source_identity(modules: Iterable[str]) -> list[tuple[str, str]]:
    """Return what identifies the code of these modules and of all that they import.

    Parameters
    ----------
    modules
        Names of modules that have been imported.

    Returns
    -------
    list of (name, text)
        Sorted: for a file its sha256, and the plain values of the module's variables that its text does not
        tell, such as one from the environment; for an installed package its version.

    Raises
    ------
    ContractError
        If a module has no file, as in a notebook, or its file has changed since this process began: what was
        imported may then be another text.
    """
    known: dict[str, str] = {}
    specs: dict[str, ModuleSpec | None] = {}
    waiting = sorted(modules)
    while waiting:
        name = waiting.pop()
        root = name.partition(".")[0]
        if name in known:
            continue
        if not is_followed(name):
            known[root] = _version(root)
            continue
        path = _file(name)
        source = _read(path, _stamp(path), name)
        known[name] = source.sha256 + ("" if root in _OURS else repr(_variables(name, source)))
        waiting += [module for module in source.imported if _has_code(module, specs)]
    return sorted(known.items())


def is_followed(name: str) -> bool:
    """Whether the code of a module is read; that of an installed package stands for itself by its version."""
    root = name.partition(".")[0]
    if is_ours(name):
        return True
    if _is_builtin(name):
        return False
    # Some modules of a package are made by its code, and are in no file.
    path = _file(root if _path(root) else name)
    return not (any(path.is_relative_to(to) for to in _installed_folders()) and _version(root))


def is_ours(name: str) -> bool:
    """Whether a module is brainfit's own."""
    return name.partition(".")[0] in _OURS


def _file(name: str) -> Path:
    found = _path(name)
    if found is None:
        raise ContractError(f"it has code of module {name!r}, which is in no file")
    return Path(found)


def _path(name: str) -> str | None:
    if module := sys.modules.get(name):
        return getattr(module, "__file__", None)
    spec = _spec(name, {})
    return spec.origin if spec and spec.has_location else None


def _spec(name: str, known: dict[str, ModuleSpec | None]) -> ModuleSpec | None:
    """Return where a module comes from, without importing the packages it is in; None if it is no module."""
    if name not in known:
        package = name.rpartition(".")[0]
        if package:
            above = _spec(package, known)
            folders = above and above.submodule_search_locations
            known[name] = PathFinder.find_spec(name, folders) if folders is not None else None
        else:
            known[name] = None
            with suppress(ImportError, ValueError, AttributeError):
                known[name] = importlib.util.find_spec(name)
    return known[name]


def _has_code(name: str, specs: dict[str, ModuleSpec | None]) -> bool:
    """Whether a name that is imported is that of a module, other than a folder without a file of its own."""
    if _is_builtin(name):
        return True
    if module := sys.modules.get(name):
        return not (hasattr(module, "__path__") and _path(name) is None)
    spec = _spec(name, specs)
    return spec is not None and spec.has_location


def _is_builtin(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names


@cache
def _version(root: str) -> str:
    """Return the version of a package by what its installer wrote; "" if there is none, as for Python's own.

    What the package itself says is known only once it is imported.
    """
    if _is_builtin(root):
        return ""
    with suppress(PackageNotFoundError):
        return version(root)
    return " ".join(sorted(version(package) for package in _packages().get(root, ())))


_packages = cache(packages_distributions)


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
def _read(path: Path, stamp: tuple[int, int], name: str) -> _Source:
    """Return what is in a file; for another `stamp` it is read again."""
    try:
        text = path.read_bytes()
        tree = ast.parse(text) if path.suffix == ".py" else ast.Module([], [])
    except (OSError, SyntaxError, ValueError) as error:
        raise ContractError(f"cannot read its code in {path}: {reason(error)}") from error
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    imported, read, taken = set[str](), set[str](), dict[str, tuple[str, str]]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            imported.update([base, *(f"{base}.{alias.name}" for alias in node.names)])
            taken.update({alias.asname or alias.name: (base, alias.name) for alias in node.names})
        elif isinstance(node, _SCOPES):
            read.update(inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name))
    digest = hashlib.sha256(text).hexdigest()
    return _Source(digest, frozenset(imported - {""}), dict(_literals(tree)), taken, frozenset(read))


def _base(node: ast.ImportFrom, package: str) -> str:
    above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    return ".".join([*above, *([node.module] if node.module else [])])


def _literals(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield a module's variables that are given a literal, the last one if there are several."""
    for node in tree.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            with suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                shown = repr(ast.literal_eval(node.value))
                yield from ((target.id, shown) for target in targets if isinstance(target, ast.Name))


def _variables(name: str, source: _Source) -> list[tuple[str, Any]]:
    """Return the plain values among a module's variables that the source does not say."""
    module = sys.modules.get(name)
    values = sorted(vars(module).items()) if module else []
    if name == "__main__" and "globals" not in source.read:  # a script's variables change as it goes on
        values = [(key, value) for key, value in values if key in source.read]
    return [
        (key, value)
        for key, value in values
        if not key.startswith("__") and is_plain(value) and not _is_in_source(key, value, source)
    ]


def _is_in_source(key: str, value: object, source: _Source) -> bool:
    if key in source.literals:
        return source.literals[key] == repr(value)
    base, original = source.taken.get(key, ("", ""))
    module = sys.modules.get(base)
    if not module or is_ours(base) or original.startswith("__") or not is_followed(base):
        return False
    return original in vars(module) and repr(vars(module)[original]) == repr(value)


def is_plain(value: object) -> bool:
    """Whether a value is made of numbers and text only."""
    if isinstance(value, (list, tuple)):
        return all(map(is_plain, value))
    if isinstance(value, dict):
        return all(map(is_plain, [*value, *value.values()]))
    return isinstance(value, _PLAIN)
