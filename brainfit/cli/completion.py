"""What a shell may complete: the names that there are. Nothing heavy is imported, nothing is loaded."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping

import typer

from brainfit.registry import lookup

_REGIONS = ("V1", "V2", "V4", "pIT", "cIT", "aIT", "IT")


def models(incomplete: str) -> list[str]:
    """Return the names of models that begin so."""
    return _begin(lookup.list_models(), incomplete)


def recordings(incomplete: str) -> list[str]:
    """Return the names of recordings that begin so."""
    return _begin(lookup.list_recordings(), incomplete)


def published_recordings(incomplete: str) -> list[str]:
    """Return the names that begin so of recordings that can be fetched."""
    entries = lookup.list_recordings().items()
    return _begin((name for name, entry in entries if entry.simulated is False), incomplete)


def models_and_recordings(incomplete: str) -> list[str]:
    """Return the names of either that begin so."""
    return models(incomplete) + recordings(incomplete)


def benchmarks(incomplete: str) -> list[str]:
    """Return the names of benchmarks that begin so."""
    return _begin(lookup.list_benchmarks(), incomplete)


def regions(incomplete: str) -> list[str]:
    """Return the regions that begin so."""
    return _begin(_REGIONS, incomplete)


_EVERYWHERE = {"model": models, "recording": recordings, "benchmark": benchmarks, "region": regions}
"""What commands call the same they mean the same by."""


def complete_names(app: typer.Typer, also: Mapping[str, Mapping[str, Callable[[str], list[str]]]]) -> None:
    """Let names be completed wherever a command of the app takes one.

    Parameters
    ----------
    app
        Whose commands they are; those of groups within it are left as they are.
    also
        By the names of a command and of its argument, what else there is to complete.
    """
    for command in app.registered_commands:
        function = command.callback
        if function is None:
            continue
        signature = inspect.signature(function, eval_str=True)
        known = {**_EVERYWHERE, **also.get(function.__name__, {})}
        for name, parameter in signature.parameters.items():
            for said in getattr(parameter.annotation, "__metadata__", ()):
                if name in known:
                    said.autocompletion = known[name]
        # Or Typer would read the annotations anew.
        setattr(function, "__signature__", signature)  # noqa: B010


def _begin(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
