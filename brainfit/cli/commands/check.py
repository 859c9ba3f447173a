"""``brainfit check``: check that a model or a recording has the form that brainfit relies on."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brainfit.cli import options
from brainfit.cli.commands.score import build_model
from brainfit.cli.output import print_fact, print_json, print_table, user_code
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
    presentations: options.Presentations = None,
    regions: options.Regions = None,
    images: options.Images = None,
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
) -> None:
    """Check that a model or a recording can be scored.

    Checks that it keeps to its contract. Prints a description, and what `brainfit score` would refuse, leave
    out or remark; or what is wrong.

    A model is shown a few random images several times. A recording is read as by `brainfit data info`.

    Example: brainfit check path/to/my_models.py:my_model
    """
    of_model = options.loader_options(weights=weights, image_size=image_size)
    of_recording = options.loader_options(presentations=presentations, regions=regions, images=images)
    if of_model and of_recording:
        raise typer.BadParameter(
            "--weights and --image-size are for models, --presentations, --regions and --images for "
            "recordings; leave out those of the other kind"
        )
    with user_code():
        if of_model:
            loaded: Any = build_model(name, weights, image_size, seed)
        elif of_recording:
            loaded = options.load_recording(name, **of_recording)
        else:
            loaded = _load(name, seed)
        is_recording = hasattr(loaded, "responses")
        facts = _check_recording(loaded, images, seed) if is_recording else _check_model(loaded)
    if as_json:
        print_json({"name": name, "ok": True, **facts})
        return
    layers, scores = facts.pop("layers", []), facts.pop("scores")
    print_fact(name, f"a valid {facts.pop('kind')}")
    for fact, value in facts.items():
        print_fact(fact.replace("_", " "), value, indent="  ")
    for subject, preview in scores.items():
        for line in preview_lines(preview):
            print_fact(subject, line, indent="  ")
    if layers:
        rows = [[str(value) for value in layer.values()] for layer in layers]
        print_table([column.replace("_", " ") for column in layers[0]], rows)


def preview_lines(preview: dict[str, Any]) -> list[str]:
    """Return what a score would say, a line each; `preview` is a `brainfit.scoring.preview.Preview`."""
    if preview["cannot_be_scored"]:
        first = f"cannot be scored: {preview['cannot_be_scored']}"
    else:
        first = f"can be scored; left out: {list_dropped(preview['dropped'])}"
    return [first, *(f"{notice['title']}: {notice['text']}" for notice in preview["notices"])]


def list_dropped(records: list[dict[str, Any]]) -> str:
    """Return what is left out, and why, as one line."""
    return "; ".join(f"{row['n']} {row['what']}, {row['why']}" for row in records) or "nothing"


def _load(name: str, seed: int) -> Any:
    models, recordings = lookup.list_models(), lookup.list_recordings()
    if name in models:
        return build_model(name, None, None, seed)
    if name in recordings or lookup.is_recording_file(name):
        return options.load_recording(name)
    if ":" in name:
        return lookup.load_object(name)
    raise unknown_name("model or recording", name, [*models, *recordings])


def _check_model(model: Model) -> dict[str, Any]:
    from brainfit.features.check_model import check_model
    from brainfit.scoring.preview import preview_model

    layers = check_model(model).layers
    return {
        "kind": "model",
        "layers": [asdict(layer) for layer in layers],
        "image_size": model.image_size,
        "step_ms": model.step_ms,
        "weights": model.weights,
        "scores": {"a score": preview_model(model).to_dict()},
    }


def _check_recording(recording: Recording, images: int | None, seed: int) -> dict[str, Any]:
    from brainfit.analyses.recording_summary import describe_recording
    from brainfit.contracts.recording import recording_facts

    found = describe_recording(recording, n_images=images, seed=seed, progress=sys.stderr.isatty())
    facts = {fact.replace(" ", "_"): line for fact, line in recording_facts(recording).items()}
    return {
        "kind": "simulated recording" if recording.simulated else "recording",
        **facts,
        "read": "responses of {units} of {of} units".format(**found["read"]),
        "scores": found["scores"],
    }
