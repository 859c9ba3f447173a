"""``brainfit train``: train a network on a task."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from brainfit.cli import options
from brainfit.cli.output import note, print_json, print_table, user_code
from brainfit.errors import ContractError


def train(
    model: options.Model,
    task: Annotated[
        str,
        typer.Option(
            help="objects: rendered objects, no download; imagefolder:PATH: a folder with train/<class> and "
            "val/<class>; tar:PATH: shards of WebDataset; or path/to/file.py:factory."
        ),
    ] = "objects",
    out: Annotated[
        Path | None, typer.Option(help="Run folder.", show_default="runs/train/MODEL-TASK")
    ] = None,
    recipe: Annotated[str, typer.Option(help="mini, paper, or a TOML file.")] = "mini",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a field of the recipe, as in epochs=10; may be repeated."),
    ] = None,
    epochs: Annotated[
        float | None,
        typer.Option(min=0, help="Passes over the training images.", show_default="the recipe's"),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0, help="Plan the training for this time instead.", show_default="no limit"),
    ] = None,
    image_size: options.ImageSize = None,
    model_option: Annotated[
        list[str] | None,
        typer.Option(help="Argument of the model's factory, as in n_classes=64; may be repeated."),
    ] = None,
    task_option: Annotated[
        list[str] | None,
        typer.Option(help="Argument of the task's factory, as in clutter=2; may be repeated."),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare images.")] = 0,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Images computed at once; the gradient of the recipe's batch is accumulated.",
            show_default="the recipe's",
        ),
    ] = None,
    checkpoint_minutes: Annotated[float, typer.Option(min=0, help="Time between checkpoints.")] = 5.0,
    recompute: Annotated[
        bool,
        typer.Option(
            "--recompute", help="Compute each step again in the backward pass: less memory, more time."
        ),
    ] = False,
    device: options.Device = "cpu",
    precision: options.Precision = "float32",
    as_json: options.AsJson = False,
) -> None:
    """Train a network, or continue a training that was interrupted.

    The run folder gets weights, a model card, metrics and training.html, a page with its curves;
    `brainfit score --weights FOLDER` scores the network. Running the same command again continues where the
    last checkpoint is, and ends in the same weights.

    Example: brainfit train --model median_convrnn_mini --task objects --minutes 5
    """
    from brainfit.training.run import train_model

    changes = _settings("--set", set_)
    if epochs is not None:
        changes["epochs"] = epochs
    folder = out or Path("runs", "train", f"{_slug(model)}-{_slug(task)}")
    execution = options.execution(device=device, precision=precision, batch_size=batch_size)
    with user_code():
        run = train_model(
            model,
            task,
            out=folder,
            recipe=recipe,
            changes=changes,
            image_size=image_size,
            model_options=_settings("--model-option", model_option),
            task_options=_settings("--task-option", task_option),
            workers=workers,
            minutes=minutes,
            checkpoint_minutes=checkpoint_minutes,
            recompute=recompute,
            execution=execution,
        )
    if run.trained.interrupted_by:
        note(
            f"stopped by {run.trained.interrupted_by} at step {run.trained.step} of {run.trained.n_steps}, "
            f"which is kept in {folder}; run the same command again to go on"
        )
        raise typer.Exit(130 if run.trained.interrupted_by == "SIGINT" else 143)
    if not run.card:  # one of several processes, and not the first
        return
    from brainfit.report.write import write_training

    page = write_training(folder, command=shlex.join(["brainfit", *sys.argv[1:]]))
    if as_json:
        print_json(run.card)
        return
    accuracy = run.card["accuracy"]
    low, high = accuracy["interval"]
    print_table(
        [f"{model} on {run.card['task']}", ""],
        [
            ["accuracy, last step", f"{accuracy['last']:.3f} (95% interval {low:.3f} to {high:.3f})"],
            ["accuracy, most confident step", f"{accuracy['max_confidence']:.3f}"],
            ["chance", f"{run.card['chance']:.3f}"],
            ["images seen", f"{run.card['images_seen']:,}"],
            ["weights", str(folder)],
            ["page", str(page)],
        ],
    )
    note(f"score it: brainfit score --model {model} --weights {folder} --region pIT")


def _settings(option: str, given: list[str] | None) -> dict[str, Any]:
    """Return settings written as name=value; numbers and true/false become such."""
    found: dict[str, Any] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ContractError(f"{option} is written name=value, got {text!r}")
        found[name.strip().replace("-", "_")] = _value(value.strip())
    return found


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in Path(name.partition(":")[0]).stem)
