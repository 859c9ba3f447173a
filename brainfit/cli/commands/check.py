"""``brainfit check``: check that a model or a recording has the form that brainfit relies on."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brainfit.cli import options
from brainfit.cli.output import print_json, print_table, user_code
from brainfit.registry import lookup
from brainfit.support.suggestions import unknown_name

if TYPE_CHECKING:
    from brainfit.contracts.model import Model
    from brainfit.contracts.recording import Recording


def check(
    name: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|RECORDING",
            help="A name, a recording's file, package.module:factory or path/to/file.py:factory.",
        ),
    ],
    weights: Annotated[
        str | None,
        typer.Option(help="Weights of the model, as for `brainfit score`.", show_default="the model's own"),
    ] = None,
    image_size: options.ImageSize = None,
    as_json: options.AsJson = False,
) -> None:
    """Check that a model or a recording keeps to its contract.

    Prints a description, or what is wrong.

    A model is shown a few random images several times. For a recording, all labels are read, and five images
    spread over it with all responses to these.

    Example: brainfit check path/to/my_models.py:my_model
    """
    given = {"weights": weights, "image_size": image_size}
    given = {option: value for option, value in given.items() if value is not None}
    with user_code():
        # Only models have options.
        loaded: Any = lookup.load_model(name, **given) if given else _load(name)
        facts = _check_recording(loaded) if hasattr(loaded, "responses") else _check_model(loaded)
    if as_json:
        print_json({"name": name, "ok": True, **facts})
        return
    layers = facts.pop("layers", [])
    typer.echo(f"{name}: a valid {facts.pop('kind')}")
    for fact, value in facts.items():
        typer.echo(f"  {fact.replace('_', ' ')}: {value}")
    if layers:
        rows = [[str(value) for value in layer.values()] for layer in layers]
        print_table([column.replace("_", " ") for column in layers[0]], rows)


def _load(name: str) -> Any:
    models, recordings = lookup.list_models(), lookup.list_recordings()
    if name in models:
        return lookup.load_model(name)
    if name in recordings or lookup.is_recording_file(name):
        return lookup.load_recording(name)
    if ":" in name:
        return lookup.load_object(name)
    raise unknown_name("model or recording", name, [*models, *recordings])


def _check_model(model: Model) -> dict[str, Any]:
    from brainfit.features.check_model import check_model

    layers = check_model(model).layers
    return {
        "kind": "model",
        "layers": [asdict(layer) for layer in layers],
        "image_size": model.image_size,
        "step_ms": model.step_ms,
        "weights": model.weights,
    }


def _check_recording(recording: Recording) -> dict[str, Any]:
    from brainfit.analyses.recording_summary import read_some
    from brainfit.contracts.recording import check_recording, recording_facts

    check_recording(recording)
    read = read_some(recording)
    facts = {fact.replace(" ", "_"): line for fact, line in recording_facts(recording).items()}
    return {"kind": "simulated recording" if recording.simulated else "recording", **facts, "read": read}
