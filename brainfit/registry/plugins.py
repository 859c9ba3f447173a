"""Import code by name: our own plug-in packages, other packages, users' modules and files.

Only code that a user named is imported from the user's folders, and what that code imports in turn: no other
import, such as a library's optional one, ever finds a file there.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from brainfit.errors import PluginError
from brainfit.support.foreign_errors import foreign_code
from brainfit.support.suggestions import unknown_name


def catalogue(package: str) -> Mapping[str, Any]:
    """Return the ``CATALOG`` of `model_zoo`, `data_loaders` or `benchmarks`.

    Raises
    ------
    PluginError
        If another folder of that name hides the package.
    """
    try:
        module = importlib.import_module(f"{package}.catalog")
    except ModuleNotFoundError as error:
        if error.name not in (package, f"{package}.catalog"):
            raise
        raise _shadowed(package) from error
    if not hasattr(module, "CATALOG"):
        raise _shadowed(package)
    return module.CATALOG


def own_attribute(package: str, target: str) -> Any:
    """Return what ``module:attribute``, relative to `package`, names."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(f"{package}.{module}"), attribute)


def entry_points(group: str) -> dict[str, Any]:
    """Return the entry points that installed packages declare in `group`."""
    return {point.name: point for point in importlib.metadata.entry_points(group=group)}


def foreign_attribute(label: str, target: str) -> Callable[..., Any]:
    """Return the callable that ``package.module:attribute`` or ``path/to/file.py:attribute`` names.

    Raises
    ------
    PluginError
        If the module cannot be found or fails on import, or what it has of that name is not callable.
    UnknownNameError
        If it has nothing of that name.
    """
    source, _, attribute = target.rpartition(":")
    is_file = source.endswith(".py")
    if is_file and not os.path.isfile(source):  # noqa: PTH113 - unlike Path, it takes any name
        raise PluginError(f"{label}: there is no file {source}")
    with foreign_code(f"{label} cannot import"):
        module = _import_file(Path(source).resolve()) if is_file else _import_module(source)
    if not hasattr(module, attribute):
        public = [name for name, value in vars(module).items() if callable(value) and name[0] != "_"]
        raise unknown_name(f"factory in {source}:", attribute, public)
    factory = getattr(module, attribute)
    if not callable(factory):
        raise PluginError(
            f"{label}: {attribute} is a {type(factory).__name__}, wanted a function that builds it"
        )
    return factory


def call_foreign(label: str, factory: Callable[..., Any], options: Mapping[str, Any]) -> Any:
    """Call a factory that is not ours; its errors become one line that names their place."""
    with foreign_code(f"{label} failed:"):
        return factory(**options)


class _UserFolder(MetaPathFinder):
    """Finds modules of a user's folder, for the module that the user named and for those found so far.

    It comes after all other finders: nothing in the folder hides an installed package.

    Parameters
    ----------
    folder
        The folder.
    root
        Name of the module that the user named.
    """

    def __init__(self, folder: Path, root: str) -> None:
        self.folder = folder
        self.root = root
        self.found: set[str] = set()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a top-level module, if code of the folder imports it."""
        if path is not None or (name != self.root and _importer() not in {self.root, *self.found}):
            return None
        spec = PathFinder.find_spec(name, [str(self.folder)])
        if spec is not None:
            self.found.add(name)
        return spec

    def forget(self) -> None:
        """Unload the modules that were found, since another folder may have others of the same names."""
        for name in [name for name in sys.modules if name.partition(".")[0] in self.found]:
            del sys.modules[name]
        self.found.clear()


_FOLDERS: list[_UserFolder] = []


def _importer() -> str:
    """Return the top-level name of the module that runs the current import statement."""
    frame = sys._getframe(2)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "importlib":
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _open_folder(folder: Path, root: str) -> None:
    """Let the module `root` find its siblings in `folder`."""
    if any((at.folder, at.root) == (folder, root) for at in _FOLDERS):
        return
    for at in _FOLDERS:
        if at.folder != folder:
            at.forget()
    _FOLDERS.append(_UserFolder(folder, root))
    sys.meta_path.append(_FOLDERS[-1])


def _import_module(name: str) -> ModuleType:
    """Import an installed module, or one of the current folder."""
    _open_folder(Path.cwd(), name.partition(".")[0])
    return importlib.import_module(name)


def _import_file(path: Path) -> ModuleType:
    # Named by its path and content: files of one name must not pass for each other, nor an edited file for
    # its former self.
    content = hashlib.sha256(os.fsencode(path) + path.read_bytes())
    name = f"brainfit_user_{path.stem}_{content.hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    _open_folder(path.parent, name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _shadowed(package: str) -> PluginError:
    spec = importlib.util.find_spec(package)
    if spec is None:
        return PluginError(
            f"the package {package!r}, a part of brainfit, is not installed; reinstall brainfit"
        )
    here = spec.origin or next(iter(spec.submodule_search_locations or ()), "something")
    return PluginError(
        f"{here} hides the package {package!r}, which is part of brainfit; "
        "rename it, or run from a folder where Python does not find it"
    )
