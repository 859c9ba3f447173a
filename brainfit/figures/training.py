"""Curves of a training: loss and accuracy while it goes on, and accuracy at each step of the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from brainfit.figures.display import Display, column
from brainfit.figures.panels import Panel, Panels, legend_below
from brainfit.figures.style import FAINT, MEDIAN, MODEL, MUTED


def learning_curve(metrics: pd.DataFrame, card: Mapping[str, Any]) -> Display:
    """Show loss and accuracy over the steps of a training.

    Parameters
    ----------
    metrics
        The rows of ``metrics.csv`` of a run of `brainfit train`.
    card
        Its model card.

    Returns
    -------
    Display
        Its frame has a row for each point: `step`, `images` seen, `loss` and `accuracy` on training images
        (means over the steps since the last point), and `val_accuracy` on validation images; NaN where a
        row has no such value. The last row is the validation at the end.
    """
    at_end = {
        "step": card["steps"],
        "loss": np.nan,
        "accuracy": np.nan,
        "val_accuracy": card["accuracy"]["last"],
    }
    numbers = pd.DataFrame({name: [*column(metrics, name), end] for name, end in at_end.items()})
    numbers.insert(1, "images", numbers["step"] * card["recipe"]["batch_size"])
    numbers["chance"] = card["chance"]
    losses = column(metrics, "loss")
    losses = losses[~np.isnan(losses)]
    seen = (
        f"The loss went from {losses[0]:.2f} to {losses[-1]:.2f} "
        f"(chance: {np.log(card['classes']):.2f}); validation accuracy at the end is "
        f"{card['accuracy']['last']:.3f} (chance: {card['chance']:.3f})."
    )
    return Display(
        name="learning",
        title="Loss and accuracy over the training",
        caption=(
            "Cross-entropy (left) and share of right answers (right) against the number of training images. "
            "Blue: training images, mean over the steps since the last point. Orange: validation images, "
            f"which are never trained on. Dashed: chance. {seen}"
        ),
        alt=f"Two line charts over training images: loss, and accuracy. {seen}",
        subject=_subject(card),
        numbers=numbers,
        draw=Panels(_draw_learning, size=(7.2, 3.2)),
    )


def accuracy_over_steps(card: Mapping[str, Any]) -> Display:
    """Show the accuracy of a trained network's answer at each of its steps.

    Parameters
    ----------
    card
        The model card of a run of `brainfit train`.

    Returns
    -------
    Display
        Its frame has a row for each `step` from 1: `accuracy` on the validation images, in [0, 1].
    """
    shares = np.array(card["accuracy"]["by_step"])
    numbers = pd.DataFrame(
        {"step": np.arange(1, len(shares) + 1), "accuracy": shares, "chance": card["chance"]}
    )
    best = int(shares.argmax())
    seen = f"The highest is {shares[best]:.3f} at step {best + 1}; the last step has {shares[-1]:.3f}."
    return Display(
        name="steps",
        title="Accuracy at each step",
        caption=(
            "Share of validation images whose class has the largest logit at that step of the network. It is "
            f"chance (dashed) before the signal of the image has reached the readout. {seen}"
        ),
        alt=f"Line chart of accuracy against the steps of the network. {seen}",
        subject=_subject(card),
        numbers=numbers,
        draw=Panel(_draw_steps, size=(7.2, 3.2)),
    )


def _subject(card: Mapping[str, Any]) -> str:
    images, seed = card["images_seen"], card["recipe"]["seed"]
    return f"{card['model']}  ·  {card['task']}  ·  {images:,} images  ·  seed {seed}"


def _draw_learning(numbers: pd.DataFrame, figure: Figure | SubFigure) -> np.ndarray:
    left, right = axes = figure.subplots(1, 2)
    images = column(numbers, "images") / 1000
    for ax, name in ((left, "loss"), (right, "accuracy")):
        there = numbers[name].notna()
        ax.plot(images[there], numbers.loc[there, name], color=MODEL, label="training", gid=name)
    there = numbers["val_accuracy"].notna()
    right.plot(
        images[there], numbers.loc[there, "val_accuracy"], color=MEDIAN, marker="o", label="validation",
        gid="val_accuracy",
    )  # fmt: skip
    _draw_chance(right, numbers)
    limits = {"xlabel": "Training images (thousands)", "xlim": (0, 1.03 * images.max())}
    left.set(ylabel="Loss (nats)", ylim=(0, 1.05 * numbers["loss"].max()), **limits)
    right.set(ylabel="Accuracy", ylim=(0, 1), **limits)
    legend_below(right, ncols=3)
    return axes


def _draw_steps(numbers: pd.DataFrame, ax: Axes) -> None:
    ax.plot(numbers["step"], numbers["accuracy"], color=MEDIAN, marker="o", markersize=3.5, gid="accuracy")
    _draw_chance(ax, numbers)
    ax.set(xlabel="Step", ylabel="Accuracy", ylim=(0, 1))
    ax.grid(axis="y", color=FAINT, linewidth=0.6)


def _draw_chance(ax: Axes, numbers: pd.DataFrame) -> None:
    ax.axhline(float(numbers["chance"].iloc[0]), color=MUTED, linestyle="--", linewidth=0.9, label="chance")
