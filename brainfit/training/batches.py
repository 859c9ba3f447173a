"""Address batches of images by step, so that a run continues where it stopped.

The images of a step are a function of the recipe's seed and the step alone, never of the state of a
loader. With several processes each takes every n-th image of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from signal import SIG_IGN, SIGINT, SIGTERM, SIGUSR1, signal

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from brainfit.contracts.task import Example, Task
from brainfit.errors import ContractError

Address = tuple[int, int]
"""Epoch (-1 for validation) and position of an image."""


@dataclass(frozen=True)
class Batch:
    """Images and their classes.

    Attributes
    ----------
    images
        Shape (image, channel, height, width), uint8, 1 or 3 channels; no images if none can be read.
    labels
        Shape (image,), int64.
    n_unreadable
        Number of images of the batch that could not be read and are left out.
    """

    images: torch.Tensor
    labels: torch.Tensor
    n_unreadable: int


class _Addressed(Dataset["Example | None"]):
    """The examples of a task, by their addresses."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def __getitem__(self, address: Address) -> Example | None:
        epoch, position = address
        if epoch < 0:
            return self.task.val_example(position)
        return self.task.train_example(epoch, position)


def steps_per_epoch(task: Task, batch_size: int) -> int:
    """Return the number of whole batches in an epoch.

    Raises
    ------
    ContractError
        If an epoch has fewer images than a batch.
    """
    if task.n_train < batch_size:
        raise ContractError(
            f"task {task.name!r} has {task.n_train} training images, fewer than a batch of {batch_size}; "
            "lower the recipe's batch_size"
        )
    return task.n_train // batch_size


def train_batches(
    task: Task,
    batch_size: int,
    *,
    seed: int,
    first_step: int,
    n_steps: int,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
) -> Iterator[Batch]:
    """Yield the batches of steps `first_step` to ``n_steps - 1``: the share of one process of each."""

    def addresses() -> Iterator[list[Address]]:
        each, order, drawn = steps_per_epoch(task, batch_size), np.empty(0, int), -1
        for step in range(first_step, n_steps):
            epoch, k = divmod(step, each)
            if epoch != drawn:
                order, drawn = np.random.default_rng([seed, epoch]).permutation(task.n_train), epoch
            yield [(epoch, int(i)) for i in order[k * batch_size : (k + 1) * batch_size][rank::world]]

    return _load(task, addresses(), workers)


def val_batches(
    task: Task, batch_size: int, *, rank: int = 0, world: int = 1, workers: int = 0
) -> Iterator[Batch]:
    """Yield all validation images, or the share of one process of them."""
    mine = range(rank, task.n_val, world)
    batches = (mine[start : start + batch_size] for start in range(0, len(mine), batch_size))
    return _load(task, ([(-1, k) for k in batch] for batch in batches), workers)


def _load(task: Task, addresses: Iterator[list[Address]], workers: int) -> Iterator[Batch]:
    if workers == 0:
        data = _Addressed(task)
        return (_collate([data[address] for address in batch]) for batch in addresses)
    loader = DataLoader(
        _Addressed(task),
        batch_sampler=_Lazily(addresses),
        num_workers=workers,
        collate_fn=_collate,
        multiprocessing_context="forkserver",
        worker_init_fn=_ignore_signals,
        pin_memory=torch.cuda.is_available(),
    )
    return iter(loader)


def _ignore_signals(_: int) -> None:
    """Let the training process alone act on signals: Ctrl-C and schedulers send them to its workers too."""
    for number in (SIGINT, SIGTERM, SIGUSR1):
        signal(number, SIG_IGN)


class _Lazily:
    """An iterator as the batch sampler of a loader, which asks for its length only where it is known."""

    def __init__(self, batches: Iterator[list[Address]]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[list[Address]]:
        return self._batches


def _collate(examples: Sequence[Example | None]) -> Batch:
    readable = [example for example in examples if example is not None]
    if not readable:
        return Batch(
            torch.empty(0, 1, 1, 1, dtype=torch.uint8), torch.empty(0, dtype=torch.int64), len(examples)
        )
    channels = max(len(pixels) for pixels, _ in readable)
    images = np.stack([np.broadcast_to(pixels, (channels, *pixels.shape[1:])) for pixels, _ in readable])
    labels = torch.tensor([label for _, label in readable])
    return Batch(torch.from_numpy(images), labels, len(examples) - len(readable))
