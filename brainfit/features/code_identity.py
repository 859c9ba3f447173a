"""Identify the code that a model runs: versions of installed packages, and hashes of all other source."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from types import FunctionType, ModuleType

import psutil

from brainfit.errors import ContractError
from brainfit.support.messages import printable

_OWN = ("brainfit.contracts", "brainfit.features", "model_zoo")
"""Our own code that decides the bits of features."""
_INSTALLED = {"site-packages", "dist-packages"}


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
