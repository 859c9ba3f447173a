"""Train by name, and leave a run folder that other commands understand.

weights.safetensors   the trained weights: give the folder to `--weights`
model-card.json       recipe, task, accuracy with its interval, time, versions
metrics.csv           loss and accuracy over steps
checkpoints/          where an interrupted run continues
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from brainfit.contracts.task import Task, check_task
from brainfit.contracts.vocabulary import RANDOM_WEIGHTS
from brainfit.errors import ContractError, IntegrityError
from brainfit.execution import Execution, or_default
from brainfit.registry import lookup, plugins
from brainfit.registry.tasks import load_task
from brainfit.storage.atomic_files import replaced
from brainfit.support.arguments import number
from brainfit.support.messages import printable, reason
from brainfit.support.provenance import environment
from brainfit.support.suggestions import unknown_name

from .batches import steps_per_epoch, train_batches
from .checkpoint import load_checkpoint
from .loop import Objective, Trained, backward, train
from .network import Unrolled, as_network, logits_over_steps, name_weights
from .processes import joined
from .recipe import RECIPES, Recipe

WEIGHTS, CARD = "weights.safetensors", "model-card.json"
_TRIAL_STEPS = 4
_SHARE_OF_TIME = 0.85  # the rest is for validation and checkpoints


@dataclass(frozen=True)
class TrainingRun:
    """A training run and its folder.

    Attributes
    ----------
    folder
        The run folder; it holds weights and card if the run is finished.
    trained
        Steps done, accuracy, and what interrupted it, if anything did.
    card
        The model card; empty if the run is not finished, and in all processes but the first.
    network
        The trained network, whose ``weights`` name the file in the folder once the run is finished.
    """

    folder: Path
    trained: Trained
    card: dict[str, Any]
    network: nn.Module


def train_model(
    model: str,
    task: str | Task = "objects",
    *,
    out: str | Path,
    recipe: str | Recipe = "mini",
    changes: Mapping[str, Any] | None = None,
    image_size: int | None = None,
    model_options: dict[str, Any] | None = None,
    task_options: dict[str, Any] | None = None,
    workers: int = 0,
    minutes: float | None = None,
    checkpoint_minutes: float = 5.0,
    recompute: bool = False,
    execution: Execution | None = None,
) -> TrainingRun:
    """Train a model of the zoo, or a network of your own, and write its run folder.

    Calling it again with the same arguments continues an interrupted run and ends in the same weights as a
    run that was not interrupted, on the same machine.

    Parameters
    ----------
    model
        A name of `brainfit.list_models`, or ``path/to/file.py:factory`` for a factory that returns a torch
        module from images to logits, or a model that `model_zoo.adapters` made from a module, with its
        readout layer named.
    task
        A task, or its name as for `brainfit.registry.tasks.load_task`.
    out
        Run folder.
    recipe
        ``"paper"``, ``"mini"``, a TOML file, or a `brainfit.training.recipe.Recipe`.
    changes
        Fields of the recipe to change, such as ``{"epochs": 10}``.
    image_size
        Pixels a side; by default the model's own.
    model_options, task_options
        Further arguments of the factories.
    minutes
        Time for which the training is planned: the number of epochs follows from the measured time of a step.
        It is set once, when the run begins.
    workers, checkpoint_minutes, recompute, execution
        As for `brainfit.training.loop.train`.

    Returns
    -------
    TrainingRun

    Raises
    ------
    UnknownNameError, ContractError, PluginError, IntegrityError
        As `brainfit.load_model`, `load_task` and `train`.
    """
    execution = or_default(execution)
    recipe = Recipe.from_dict(changes or {}, base=find_recipe(recipe))
    network = _build(model, image_size, recipe.seed, model_options or {})
    size = image_size or getattr(network, "image_size", None)
    sized = {} if size is None else {"image_size": size}
    if isinstance(task, str):
        task = load_task(task, **{**sized, **(task_options or {})})
    check_task(task)
    _check_outputs(network, task, model)
    folder = Path(out)
    with joined(execution.device) as processes:
        if minutes is not None:
            planned = _planned(recipe, folder, network, task, minutes * processes.world, execution)
            recipe = replace(recipe, epochs=processes.agree(round(1e6 * planned.epochs))[0] / 1e6)
        trained = train(
            network,
            task,
            recipe,
            folder,
            name=model,
            execution=execution,
            workers=workers,
            checkpoint_minutes=checkpoint_minutes,
            recompute=recompute,
            processes=processes,
        )
        leads = processes.rank == 0
    if trained.accuracy is None or not leads:
        return TrainingRun(folder, trained, {}, network)
    card = {
        "model": model,
        "image_size": task.image_size,
        "task": task.name,
        "task_content": task.content,
        "classes": len(task.classes),
        "recipe": recipe.as_dict(),
        "steps": trained.n_steps,
        "images_seen": trained.n_steps * recipe.batch_size,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "accuracy": trained.accuracy.as_dict(),
        "chance": 1 / len(task.classes),
        "seconds_of_last_process": round(trained.seconds, 1),
        **environment(),
    }
    _write(folder, network, card)
    return TrainingRun(folder, trained, card, network)


def find_recipe(recipe: str | Recipe) -> Recipe:
    """Return a recipe by name or from a TOML file; raises as `Recipe.from_file`."""
    if isinstance(recipe, Recipe):
        return recipe
    if recipe in RECIPES:
        return RECIPES[recipe]
    if recipe.endswith(".toml"):
        return Recipe.from_file(Path(recipe))
    raise unknown_name("recipe", recipe, [*RECIPES, "FILE.toml"])


def _planned(
    recipe: Recipe, folder: Path, network: nn.Module, task: Task, minutes: float, execution: Execution
) -> Recipe:
    """Return the recipe with as many epochs as fit the time: those of the run's checkpoint, if it has one."""
    minutes = number("minutes", minutes, 0.01, 1e7)
    if (held := load_checkpoint(folder)) is not None:
        return replace(recipe, epochs=held["identity"]["epochs"])
    trial = deepcopy(network).to(execution.device).train()
    presentation = recipe.presentation(network.presentation) if isinstance(network, Unrolled) else None
    objective = Objective(trial, recipe, presentation, execution)
    batches = train_batches(task, recipe.batch_size, seed=recipe.seed, first_step=0, n_steps=_TRIAL_STEPS)
    started = time.monotonic()
    for k, batch in enumerate(batches):
        if k == 1:  # the first one warms up
            started = time.monotonic()
        backward(objective, batch, execution)[0].item()
    per_step = (time.monotonic() - started) / (_TRIAL_STEPS - 1)
    n_steps = max(1, int(_SHARE_OF_TIME * 60 * minutes / per_step))
    return replace(recipe, epochs=n_steps / steps_per_epoch(task, recipe.batch_size))


def _build(model: str, image_size: int | None, seed: int, options: dict[str, Any]) -> nn.Module:
    sized = {} if image_size is None else {"image_size": image_size}
    if ":" in model:
        given = {
            name: value for name, value in {**sized, "seed": seed}.items() if lookup.model_takes(model, name)
        }
        network = lookup.load_object(model, **{**given, **options})
    else:
        drawn = {"weights": RANDOM_WEIGHTS} if lookup.model_takes(model, "weights") else {}
        network = lookup.load_model(model, seed=seed, **{**drawn, **sized, **options})
    return as_network(model, network)


def _check_outputs(network: nn.Module, task: Task, model: str) -> None:
    """Raise unless the network has an output for each class."""
    presentation = network.presentation if isinstance(network, Unrolled) else None
    device = next(network.parameters()).device
    images = torch.zeros(1, 3, task.image_size, task.image_size, device=device)
    training = network.training
    with torch.no_grad():
        found = logits_over_steps(network.eval(), images, presentation)[-1].shape[-1]
    network.train(training)
    if found != len(task.classes):
        raise ContractError(
            f"model {model!r} has {found} outputs and task {task.name!r} {len(task.classes)} classes; build "
            f"it with n_classes={len(task.classes)} (--model-option n_classes={len(task.classes)})"
        )


def _write(folder: Path, network: nn.Module, card: dict[str, Any]) -> None:
    save = plugins.own_attribute("model_zoo", "weights.file:save_weights")
    path = folder / WEIGHTS
    path.unlink(missing_ok=True)
    source = f"brainfit train, task {card['task']}, {card['images_seen']} images"
    save(
        network,
        path,
        model=card["model"],
        image_size=card["image_size"],
        source=source,
        source_sha256={"task": card["task_content"]},
    )
    try:
        with replaced(folder / CARD) as new:
            new.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise IntegrityError(f"cannot write {printable(folder / CARD)}: {reason(error)}") from error
    with path.open("rb") as file:
        name_weights(network, f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}", source)
