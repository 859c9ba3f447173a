"""Importing code that is found by name: our own plug-in packages, other packages, users' files."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
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
        module = _import_file(Path(source).resolve()) if is_file else importlib.import_module(source)
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
    """Call somebody else's factory; what it raises becomes one line that says where."""
    with foreign_code(f"{label} failed:"):
        return factory(**options)


@functools.cache
def _import_file(path: Path) -> ModuleType:
    # By what it says: files of one name must not pass for each other, wherever they are.
    name = f"brainfit_user_{path.stem}_{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look their module up
    spec.loader.exec_module(module)
    return module


def _shadowed(package: str) -> PluginError:
    spec = importlib.util.find_spec(package)
    if spec is None:
        return PluginError(
            f"the package {package!r}, a part of brainfit, is not installed; reinstall brainfit"
        )
    here = spec.origin or next(iter(spec.submodule_search_locations or ()), "something")
    return PluginError(
        f"{here} hides the package {package!r} that belongs to brainfit; "
        "rename it, or run from a folder where Python does not find it"
    )
