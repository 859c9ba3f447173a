"""The page of one training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from brainfit.figures.display import column
from brainfit.figures.numbers import number
from brainfit.figures.training import accuracy_over_steps, learning_curve
from brainfit.report.document import Document
from brainfit.report.references import cited
from brainfit.report.sentences import duration
from brainfit.report.tables import Table, plain_rows

_DECODERS = {
    "last": "Last step",
    "max_confidence": "Most confident step",
    "threshold": "First step that is confident enough",
}


def training_document(card: Mapping[str, Any], metrics: pd.DataFrame, command: str | None) -> Document:
    """Write the page of a finished training.

    Parameters
    ----------
    card
        The model card of the run.
    metrics
        The rows of its ``metrics.csv``.
    command
        The command line, if there was one.
    """
    accuracy, recipe = card["accuracy"], card["recipe"]
    low, high = accuracy["interval"]
    methods = [_methods(card)]
    rows = [[name, number(accuracy[key], 3)] for key, name in _DECODERS.items()]
    unreadable = accuracy["n_unreadable"]
    lost = int(np.nansum(column(metrics, "n_unreadable")))
    left_out = [
        (f"{n} {part} images", "they could not be read; the log names them")
        for n, part in ((lost, "training"), (unreadable, "validation"))
        if n
    ]
    return Document(
        name="training",
        title=f"{card['model']} trained on {card['task']}: brainfit",
        kicker=f"brainfit training · {card['model']} · {card['task']}",
        headline=(
            f"{card['model']} names the class of {100 * accuracy['last']:.1f}% of new images, "
            f"where chance is {100 * card['chance']:.1f}%."
        ),
        basis=(
            f"{accuracy['n_images']:,} validation images of {card['classes']} classes at "
            f"{card['image_size']} pixels, after {card['images_seen']:,} training images."
        ),
        notices=[],
        tiles=[
            (
                "Accuracy",
                number(accuracy["last"], 3),
                f"last step; 95% interval {low:.3f} to {high:.3f} (Wilson)",
            ),
            ("Chance", number(card["chance"], 3), f"one of {card['classes']} classes"),
            ("Images", f"{card['images_seen']:,}", f"{card['steps']:,} steps of {recipe['batch_size']}"),
            ("Time", duration(card["seconds_of_last_process"]), "of the last process, with validation"),
        ],
        results=[
            Table("Accuracy on validation images, by the step that answers", ["Answer of", "Accuracy"], rows)
        ],
        meaning=[
            "Accuracy is the share of validation images whose class has the largest output. The interval is "
            "for the choice of validation images; another seed of the training gives another network, and "
            "may differ by more.",
            "Accuracy on a task is not a score against a brain. To get one, give the folder of this run to "
            "brainfit score as --weights.",
        ],
        figures_note="",
        figures=[learning_curve(metrics, card), accuracy_over_steps(card)],
        details=[],
        methods=methods,
        formulas=[],
        references=cited(methods),
        left_out=left_out,
        provenance=[("", Table("Settings", ["", ""], [list(row) for row in plain_rows(dict(card))], 2))],
        commands=[command] if command else [],
    )


def _methods(card: Mapping[str, Any]) -> str:
    """Write the recipe as sentences for a paper."""
    recipe = card["recipe"]
    optimizer = (
        "AdamW" if recipe["optimizer"] == "adamw" else f"SGD with Nesterov momentum {recipe['momentum']:g}"
    )
    if recipe["schedule"] == "cosine":
        schedule = "falls to 0 as a cosine"
    else:
        shares = ", ".join(f"{100 * share:.0f} %" for share in recipe["milestones"])
        schedule = f"is divided by ten after {shares} of the training"
    rises = f"rises in the first {100 * recipe['warmup']:g} % and then " if recipe["warmup"] else ""
    clipped = f" Gradients are clipped to ±{recipe['clip_value']:g} by value." if recipe["clip_value"] else ""
    loss = "the last step" if recipe["loss_steps"] == "last" else "all steps that the image has reached"
    smoothed = f" with label smoothing {recipe['label_smoothing']:g}" if recipe["label_smoothing"] else ""
    averaged = (
        f" The weights are a running average with decay {recipe['average']:g}." if recipe["average"] else ""
    )
    return (
        f"{card['model']} ({card['parameters']:,} parameters) was trained on {card['images_seen']:,} images "
        f"of the task {card['task']} with {optimizer}, in batches of {recipe['batch_size']}, to minimise the "
        f"cross-entropy of {loss}{smoothed}. The learning rate {rises}{schedule}; its highest value is "
        f"{recipe['learning_rate']:g}. Weight decay is {recipe['weight_decay']:g} on kernels and matrices."
        f"{clipped}{averaged} The seed is {recipe['seed']}."
    )
