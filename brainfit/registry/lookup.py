"""Models, recordings and benchmarks by name.

A name is looked up, in this order, among what was registered at run time, the catalogues of
`model_zoo`, `data_loaders` and `benchmarks`, and the entry points ``brainfit.models``,
``brainfit.recordings`` and ``brainfit.benchmarks`` of other packages. ``package.module:factory``
and ``path/to/file.py:factory`` name a factory of the user's own, and a path a recording's file.

Catalogues are strings and plain values: nothing heavy is imported before something is loaded.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from brainfit.errors import ContractError, IntegrityError
from brainfit.registry import plugins
from brainfit.registry.entries import BenchmarkEntry, ModelEntry, RecordingEntry
from brainfit.support.suggestions import unknown_name

if TYPE_CHECKING:
    from brainfit.contracts.benchmark import Benchmark
    from brainfit.contracts.model import Model
    from brainfit.contracts.recording import Recording

Kind = Literal["model", "recording", "benchmark"]
Factory = Callable[..., Any]

_PACKAGES: dict[Kind, str] = {"model": "model_zoo", "recording": "data_loaders", "benchmark": "benchmarks"}
_READER = "layouts:read"
"""The function of `data_loaders` that reads a recording's file."""
_SUFFIXES = (".npz", ".nc", ".h5", ".hdf5", ".nwb", ".mat")
"""File name endings that distinguish the file of a recording from a name."""
_REGISTERED: dict[Kind, dict[str, Factory]] = {"model": {}, "recording": {}, "benchmark": {}}


class _Named(functools.partial[Any]):
    """A factory of our own with the options that a name fixes, which a caller can no longer give."""


def load_model(name: str, /, **options: Any) -> Model:
    """Build a model by its name.

    Parameters
    ----------
    name
        A name of `list_models`, or ``package.module:factory``, or ``path/to/file.py:factory``.
    **options
        Options of its factory, such as ``image_size=224``.

    Raises
    ------
    UnknownNameError
        If there is no such model.
    PluginError
        If its code cannot be imported, or a factory of the user's own fails.
    ContractError
        If the factory does not take these options, the name fixes another value of one, or no model is
        returned.
    """
    from brainfit.contracts.model import check_attributes

    model = _build("model", name, options)
    try:
        check_attributes(model)
    except ContractError as error:
        raise ContractError(f"model {name!r}: its factory returned no model: {error}") from error
    return model


def load_recording(name: str | os.PathLike[str], *, n_images: int | None = None, **options: Any) -> Recording:
    """Load a recording by its name or from a file.

    Parameters
    ----------
    name
        A name of `list_recordings`, the path of a file, whose layout is recognised by its content, or a
        factory as in `load_model`.
    n_images
        Number of images of a recording that is generated. Any other recording is returned whole, and `score`
        draws that many of its images with its own seed.
    **options
        Options of its loader.

    Raises
    ------
    UnknownNameError, PluginError, ContractError
        As for `load_model`.
    IntegrityError
        If there is no such file, or it is damaged.
    """
    from brainfit.contracts.recording import Recording

    name = os.fspath(name) if isinstance(name, os.PathLike) else name
    if n_images is not None and _takes("recording", name, "n_images"):
        options["n_images"] = n_images
    recording = _build("recording", name, options)
    if not isinstance(recording, Recording):
        raise ContractError(
            f"recording {name!r}: its loader returned a {type(recording).__name__}, wanted a Recording"
        )
    return recording


def load_benchmark(name: str) -> Benchmark:
    """Return a benchmark by its name; raises as `load_model` does."""
    from brainfit.contracts.benchmark import Benchmark

    benchmark = _build("benchmark", name, {})
    if not isinstance(benchmark, Benchmark):
        raise ContractError(
            f"benchmark {name!r}: its builder returned a {type(benchmark).__name__}, wanted a Benchmark"
        )
    return benchmark


def register_model(name: str, factory: Factory) -> None:
    """Make ``factory(**options)`` loadable by `name`, before all else, until Python exits."""
    _register("model", name, factory)


def register_recording(name: str, factory: Factory) -> None:
    """Make the recording that ``factory(**options)`` returns loadable by `name` until Python exits."""
    _register("recording", name, factory)


def register_benchmark(name: str, factory: Factory) -> None:
    """Make the benchmark that ``factory()`` returns loadable by `name` until Python exits."""
    _register("benchmark", name, factory)


def list_models() -> dict[str, ModelEntry]:
    """Return the catalogue entries of all models by name, without importing any model."""
    return _list("model", lambda target, origin: ModelEntry(target, source=origin))


def list_recordings() -> dict[str, RecordingEntry]:
    """Return the catalogue entries of all recordings by name, without loading any recording."""
    return _list("recording", lambda target, origin: RecordingEntry(target, summary=origin))


def list_benchmarks() -> dict[str, BenchmarkEntry]:
    """Return the catalogue entries of all benchmarks by name, without importing any benchmark."""
    return _list("benchmark", lambda target, origin: BenchmarkEntry(target, summary=origin))


def load_object(target: str, /, **options: Any) -> Any:
    """Call the factory that ``package.module:factory`` or ``path/to/file.py:factory`` names.

    Raises
    ------
    UnknownNameError, PluginError, ContractError
        As for `load_model`, except that any object may be returned.
    """
    _check_name("factory", target)
    label = repr(target)
    factory = plugins.foreign_attribute(label, target)
    _check_options(label, factory, options)
    return plugins.call_foreign(label, factory, options)


def model_takes(name: str, option: str) -> bool:
    """Return True if the factory of the model `name` takes an option called `option`."""
    return _takes("model", name, option)


def is_recording_file(name: str) -> bool:
    """Return True if `name` looks like the path of a file rather than a name or a factory."""
    path = Path(name)
    if path.suffix in _SUFFIXES or (":" not in name and len(path.parts) > 1):
        return True
    return os.path.exists(name)  # noqa: PTH110 - unlike Path, it takes any name


def _register(kind: Kind, name: str, factory: Factory) -> None:
    _check_name(kind, name)
    if not callable(factory):
        raise ContractError(
            f"{kind} {name!r}: got a {type(factory).__name__} to register, wanted a function that builds it"
        )
    _REGISTERED[kind][name] = factory


def _check_name(kind: str, name: object) -> None:
    if not isinstance(name, str):
        raise ContractError(f"a {kind} is named by a string, got {name!r}, a {type(name).__name__}")


def _takes(kind: Kind, name: str, option: str) -> bool:
    return option in _signature(_find(kind, name)[0]).parameters


def _list(kind: Kind, bare: Callable[[str, str], Any]) -> dict[str, Any]:
    found = plugins.entry_points(f"brainfit.{kind}s")
    outside = {name: bare(point.value, f"entry point of {point.dist.name}") for name, point in found.items()}
    registered = {
        name: bare(getattr(factory, "__qualname__", repr(factory)), "registered at run time")
        for name, factory in _REGISTERED[kind].items()
    }
    return {**outside, **plugins.catalogue(_PACKAGES[kind]), **registered}


def _find(kind: Kind, name: str) -> tuple[Factory, bool]:
    """Return the factory of a name, and True if it is one of our own."""
    _check_name(kind, name)
    label = f"{kind} {name!r}"
    package = _PACKAGES[kind]
    if factory := _REGISTERED[kind].get(name):
        return factory, False
    if entry := plugins.catalogue(package).get(name):
        factory = plugins.own_attribute(package, entry.target)
        options = {} if kind == "recording" else entry.options
        return _Named(factory, **options), True
    if point := plugins.entry_points(f"brainfit.{kind}s").get(name):
        return plugins.foreign_attribute(label, point.value), False
    if kind == "recording" and is_recording_file(name):
        return _reader(Path(name)), True
    if ":" in name:
        return plugins.foreign_attribute(label, name), False
    raise unknown_name(kind, name, _list(kind, lambda target, _: target))


def _build(kind: Kind, name: str, options: dict[str, Any]) -> Any:
    """Find the factory of `name` and call it, after checking that its signature takes `options`."""
    factory, ours = _find(kind, name)
    label = f"{kind} {name!r}"
    _check_options(label, factory, options)
    return factory(**options) if ours else plugins.call_foreign(label, factory, options)


def _reader(path: Path) -> Factory:
    if not os.path.exists(path):  # noqa: PTH110 - unlike Path, it takes any name
        raise IntegrityError(f"recording {str(path)!r}: there is no such file")
    return functools.partial(plugins.own_attribute(_PACKAGES["recording"], _READER), path)


def _check_options(label: str, factory: Factory, options: dict[str, Any]) -> None:
    """Check that the factory's signature takes these options."""
    if isinstance(factory, _Named) and (fixed := [name for name in options if name in factory.keywords]):
        function = f"{factory.func.__module__}.{factory.func.__qualname__}"
        raise ContractError(
            f"{label} takes no {fixed[0]}: its name fixes {fixed[0]}={factory.keywords[fixed[0]]!r}; "
            f"call {function} for another"
        )
    signature = _signature(factory)
    try:
        signature.bind(**options)
    except TypeError as error:
        raise ContractError(f"{label}: {error}; its options are {signature}") from error


def _signature(factory: Factory) -> inspect.Signature:
    try:
        signature = inspect.signature(factory)
    except ValueError:  # some callables written in C have no signature, and may take anything
        return inspect.Signature([inspect.Parameter("options", inspect.Parameter.VAR_KEYWORD)])
    fixed = factory.keywords if isinstance(factory, _Named) else ()
    return signature.replace(parameters=[p for name, p in signature.parameters.items() if name not in fixed])
