"""Gradient descent on mini-batches of images, stopped for each unit where held-out images fit best."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from brainfit.mappings.solvers.rows import Rows, concatenate

Predict = Callable[[torch.Tensor, dict[str, torch.Tensor]], torch.Tensor]
View = Callable[[Rows], Rows]


@dataclass(frozen=True)
class Descent:
    """Result of a descent.

    Attributes
    ----------
    parameters
        Parameters of each unit's best epoch; the unit is the first dimension of each.
    epochs
        Best epoch of each unit, from 1, shape (unit,); 0 where no epoch was better than the start.
    converged
        False if a unit was still improving when the last epoch ended.
    """

    parameters: dict[str, torch.Tensor]
    epochs: np.ndarray
    converged: bool


def descend(
    folds: Sequence[Sequence[Rows]],
    start: dict[str, torch.Tensor],
    predict: Predict,
    view: View,
    *,
    learning_rate: float,
    batch_images: int,
    max_epochs: int,
    patience: int,
    rng: np.random.Generator,
    on_progress: Callable[[], None],
) -> Descent:
    """Minimise the squared error over images and bins with Adam, stopped early on the first fold.

    Parameters
    ----------
    folds
        Rows of the images of each inner fold.
    start
        Initial parameters, the unit first in each; ``"intercept"``, shape (unit,), is one of them.
    predict
        Function from features (row, feature) and parameters to predictions (row, unit), without intercept.
    view
        Function that centres and scales some rows, so that one rate suits all problems.
    learning_rate
        Learning rate of Adam, whose other constants are those of its authors.
    batch_images
        Number of images in a mini-batch.
    max_epochs, patience
        A unit stops once it has not improved in `patience` epochs, whatever the others do; all stop after
        `max_epochs`.
    rng
        Generator of the order of the images.
    on_progress
        Called after every epoch.

    References
    ----------
    Kingma & Ba (2015), Adam: a method for stochastic optimization. ICLR. arXiv:1412.6980.
    Prechelt (1998), Early stopping - but when? Neural Networks: Tricks of the Trade.
    """
    held_out, training = folds[0], _images([rows for fold in folds[1:] for rows in fold])
    parameters = {name: value.clone().requires_grad_() for name, value in start.items()}
    optimizer = torch.optim.Adam(list(parameters.values()), lr=learning_rate)
    best = {name: value.detach().clone() for name, value in parameters.items()}
    least = _loss(held_out, parameters, predict, view)
    epochs = torch.zeros(len(least), dtype=torch.long)
    running = torch.ones(len(least), dtype=torch.bool)
    for epoch in range(1, max_epochs + 1):
        for some in map(view, _mini_batches(training, batch_images, rng)):
            optimizer.zero_grad()
            error = predict(some.features, parameters) + torch.outer(some.ones, parameters["intercept"])
            (error - some.targets).square().sum().div(some.ones.square().sum()).backward()
            optimizer.step()
        loss = _loss(held_out, parameters, predict, view)
        better = (loss < least) & running
        least = torch.where(better, loss, least)
        epochs[better] = epoch
        for name, value in parameters.items():
            chosen = better.to(value.device)
            best[name][chosen] = value.detach()[chosen]
        on_progress()
        running &= epoch - epochs < patience
        if not running.any():
            break
    return Descent(best, epochs.numpy(), not running.any())


@torch.no_grad()
def _loss(
    batches: Sequence[Rows], parameters: dict[str, torch.Tensor], predict: Predict, view: View
) -> torch.Tensor:
    """Return the squared error of each unit, shape (unit,)."""
    total = torch.zeros(len(parameters["intercept"]), dtype=torch.float64)
    for rows in map(view, batches):
        error = predict(rows.features, parameters) + torch.outer(rows.ones, parameters["intercept"])
        total += (error - rows.targets).double().square().sum(0).cpu()
    return total


def _images(batches: Sequence[Rows]) -> list[tuple[Rows, torch.Tensor]]:
    """Return for each image its batch and the positions of its rows in the batch."""
    return [
        (rows, torch.nonzero(rows.image == image).ravel())
        for rows in batches
        for image in rows.image.unique()
    ]


def _mini_batches(
    images: Sequence[tuple[Rows, torch.Tensor]], n_images: int, rng: np.random.Generator
) -> Iterator[Rows]:
    """Yield all rows once, those of an image together, in random order."""
    order = rng.permutation(len(images))
    for start in range(0, len(order), n_images):
        parts = [images[i] for i in order[start : start + n_images]]
        yield concatenate([rows[at] for rows, at in parts])
