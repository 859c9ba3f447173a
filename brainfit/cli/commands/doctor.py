"""``brainfit doctor``: check that this machine has what brainfit needs."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

import typer

from brainfit.cli import options
from brainfit.cli.output import note, print_fact, print_json
from brainfit.errors import BrainfitError
from brainfit.support.messages import format_bytes, reason

_MODULES = {
    "google-crc32c": "google_crc32c",
    "lazy-loader": "lazy_loader",
    "netcdf4": "netCDF4",
    "pillow": "PIL",
    "scikit-learn": "sklearn",
}
"""Import names of packages, where they differ from the package's name."""
_BROKEN = (ImportError, OSError, AttributeError, TypeError, ValueError, RuntimeError)
"""Errors that packages raise on import if a library is missing or versions do not fit."""


def doctor(
    as_json: options.AsJson = False,
) -> None:
    """Show what is installed and what is missing.

    Prints a line for each package and each extra, and for the device, the memory and the cache. Exits with 1
    if a required part is broken, with one line about each on stderr.

    Example: brainfit doctor --json
    """
    problems: list[str] = []
    facts = {
        "brainfit": version("brainfit"),
        "python": f"{platform.python_version()} on {platform.platform()}",
        "packages": _packages(problems),
        "extras": _extras(),
        "device": _device(),
        "threads": _threads(),
        "memory_available_bytes": _memory(),
        "cache": _cache(problems),
    }
    if as_json:
        print_json({"ok": not problems, "problems": problems, **facts})
    else:
        for fact, value in _lines(facts):
            print_fact(fact, value)
    for problem in problems:
        note(f"error: {problem}")
    if problems:
        raise typer.Exit(1)


def _packages(problems: list[str]) -> dict[str, str | None]:
    """Return the version of each required package; None, and a problem, for a missing one."""
    found: dict[str, str | None] = {}
    for name, least in _requirements(None):
        found[name] = _version(name)
        if (installed := found[name]) is None:
            problems.append(f"{name} is not installed; install it: pip install {name!r}")
            continue
        if _release(installed) < _release(least):
            problems.append(f"{name} is {installed}, wanted {least} or newer: pip install '{name}>={least}'")
        try:
            import_module(_MODULES.get(name, name))
        except _BROKEN as error:
            problems.append(f"{name} {installed} cannot be imported: {reason(error)}; reinstall it")
    return found


def _extras() -> dict[str, dict[str, Any]]:
    """Return the missing packages of each extra, and the command that installs them."""
    names = distribution("brainfit").metadata.get_all("Provides-Extra") or []
    found = {}
    for extra in names:
        missing = [name for name, _ in _requirements(extra) if _version(name) is None]
        found[extra] = {
            "missing": missing,
            "install": f'pip install "brainfit[{extra}]"' if missing else None,
        }
    return found


def _requirements(extra: str | None) -> Iterator[tuple[str, str]]:
    """Yield the packages of an extra, or the required ones if it is None, with their lowest versions."""
    for line in distribution("brainfit").requires or []:
        wanted, _, marker = line.partition(";")
        of_extra = re.search(r"extra == ['\"]([^'\"]+)", marker)
        parts = re.match(r"\s*([\w.-]+)(?:\[[^]]*\])?\s*(?:>=\s*([\d.]+))?", wanted)
        if parts and (of_extra[1] if of_extra else None) == extra:
            yield parts[1], parts[2] or "0"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _release(text: str) -> list[int]:
    """Return the numbers by which versions are compared.

    >>> _release("2.13.0+cpu") < _release("2.4")
    False
    """
    return [int(number) for number in re.findall(r"\d+", re.split(r"[^\d.]", text)[0])]


def _device() -> dict[str, Any]:
    """Return True for "cuda" if models can run on a GPU, and the reason."""
    try:
        import torch
    except _BROKEN:
        return {"cuda": False, "why": "torch cannot be imported"}
    if torch.version.cuda is None:
        return {"cuda": False, "why": "this build of torch has no CUDA"}
    if not torch.cuda.is_available():
        return {"cuda": False, "why": f"torch for CUDA {torch.version.cuda} sees no GPU or no driver for it"}
    return {"cuda": True, "why": f"CUDA {torch.version.cuda}, {torch.cuda.get_device_name()}"}


def _threads() -> dict[str, int | None]:
    """Return the number of cores and of torch's threads."""
    try:
        import torch
    except _BROKEN:
        return {"cores": os.cpu_count(), "torch": None}
    return {"cores": os.cpu_count(), "torch": torch.get_num_threads()}


def _memory() -> int | None:
    try:
        from brainfit.support.memory import available_bytes
    except ImportError:  # psutil is missing, which is already among the problems
        return None
    return available_bytes()


def _cache(problems: list[str]) -> dict[str, Any]:
    """Return the cache's folder and sizes, and check that it can be written."""
    facts: dict[str, Any] = dict.fromkeys(("folder", "bytes", "limit_bytes", "free_bytes"))
    facts["writable"] = False
    try:
        from brainfit.storage.cache_folder import PARTS, REMEDY, contents, distrust, folder
        from brainfit.storage.size_limit import size_limit

        place = folder()
        facts |= {"folder": str(place), "writable": _writable(place)}
        facts["limit_bytes"] = size_limit()
        facts["bytes"] = sum(contents().values())
        facts["free_bytes"] = _free(place)
    except (BrainfitError, ImportError) as error:
        problems.append(reason(error))
        return facts
    if why := next(filter(None, map(distrust, PARTS)), None):
        problems.append(f"the cache is not used: {why}; {REMEDY}")
    if not facts["writable"]:
        problems.append(f"the cache {place} cannot be written; set BRAINFIT_CACHE to a folder that can")
    return facts


def _existing(place: Path) -> Path:
    """Return the nearest existing folder, in which `place` is or would be made."""
    return next(path for path in (place, *place.parents) if path.exists())


def _writable(place: Path) -> bool:
    nearest = _existing(place)
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def _free(place: Path) -> int | None:
    import shutil

    try:
        return shutil.disk_usage(_existing(place)).free
    except OSError:
        return None


def _lines(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each fact with its text for one line."""

    def size(number: int | None) -> str:
        return "unknown" if number is None else format_bytes(number)

    yield "brainfit", facts["brainfit"]
    yield "python", facts["python"]
    for name, found in facts["packages"].items():
        yield name, found or "missing"
    for extra, state in facts["extras"].items():
        lacks = f"lacks {', '.join(state['missing'])}; {state['install']}"
        yield f"extra {extra}", lacks if state["missing"] else "installed"
    device, threads, cache = facts["device"], facts["threads"], facts["cache"]
    yield "device", f"cuda ({device['why']})" if device["cuda"] else f"cpu ({device['why']})"
    yield "cores", f"{threads['cores']}, torch uses {threads['torch'] or 'unknown'}"
    yield "memory available", size(facts["memory_available_bytes"])
    yield "cache", f"{cache['folder']}, {'can' if cache['writable'] else 'cannot'} be written"
    yield "cache holds", f"{size(cache['bytes'])}; features at most {size(cache['limit_bytes'])}"
    yield "disk free there", size(cache["free_bytes"])
