"""Shell completion of names. Nothing heavy is imported, and nothing is loaded."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping

import typer

from brainfit.contracts.vocabulary import REGION_CHOICES
from brainfit.registry import lookup


def models(incomplete: str) -> list[str]:
    """Return the names of models that begin with `incomplete`."""
    return _begin(lookup.list_models(), incomplete)


def recordings(incomplete: str) -> list[str]:
    """Return the names of recordings that begin with `incomplete`."""
    return _begin(lookup.list_recordings(), incomplete)


def published_recordings(incomplete: str) -> list[str]:
    """Return the names of recordings that can be fetched and begin with `incomplete`."""
    entries = lookup.list_recordings().items()
    return _begin((name for name, entry in entries if entry.simulated is False), incomplete)


def models_and_recordings(incomplete: str) -> list[str]:
    """Return the names of models and recordings that begin with `incomplete`."""
    return models(incomplete) + recordings(incomplete)


def benchmarks(incomplete: str) -> list[str]:
    """Return the names of benchmarks that begin with `incomplete`."""
    return _begin(lookup.list_benchmarks(), incomplete)


def regions(incomplete: str) -> list[str]:
    """Return the regions that begin with `incomplete`."""
    return _begin(REGION_CHOICES, incomplete)


_EVERYWHERE = {"model": models, "recording": recordings, "benchmark": benchmarks, "region": regions}
"""Completions of parameters that mean the same in all commands."""


def complete_names(app: typer.Typer, more: Mapping[str, Mapping[str, Callable[[str], list[str]]]]) -> None:
    """Add completions to the parameters of an app's commands that take a name.

    Parameters
    ----------
    app
        The app whose own commands are changed; those of groups within it are left alone.
    more
        Further completions, by the names of a command's function and of its parameter.
    """
    for command in app.registered_commands:
        function = command.callback
        if function is None:
            continue
        signature = inspect.signature(function, eval_str=True)
        known = {**_EVERYWHERE, **more.get(function.__name__, {})}
        for name, parameter in signature.parameters.items():
            if name in known:
                for option in getattr(parameter.annotation, "__metadata__", ()):
                    option.autocompletion = known[name]
        # Typer would otherwise read the annotations again, without the completions.
        setattr(function, "__signature__", signature)  # noqa: B010


def _begin(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
