"""Measure how often a network names the right class, by each decoder and at each step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest
from torch import nn

from brainfit.contracts.presentation import Presentation
from brainfit.contracts.task import Task
from brainfit.errors import ContractError
from brainfit.execution import Execution
from brainfit.execution.precision import computing_in
from brainfit.registry.plugins import own_attribute

from .batches import val_batches
from .network import logits_over_steps, pixels_to_input
from .processes import Processes

DECODERS = ("last", "max_confidence", "threshold")
_BATCH = 128


@dataclass(frozen=True)
class Accuracy:
    """Accuracy on the validation images.

    Attributes
    ----------
    by_decoder
        Share of right answers of each way to make one answer of those over time (`model_zoo.decoders`).
    by_step
        Share of right answers at each step, shape (step,).
    n_images
        Number of images.
    n_unreadable
        Number of images that could not be read and do not count.
    """

    by_decoder: dict[str, float]
    by_step: np.ndarray
    n_images: int
    n_unreadable: int

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % Wilson interval of the last step's accuracy."""
        right = round(self.by_decoder["last"] * self.n_images)
        found = binomtest(right, self.n_images).proportion_ci(method="wilson")
        return float(found.low), float(found.high)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a model card."""
        return {
            **self.by_decoder,
            "interval": list(self.interval),
            "by_step": [round(float(share), 6) for share in self.by_step],
            "n_images": self.n_images,
            "n_unreadable": self.n_unreadable,
        }


@torch.no_grad()
def validate(
    network: nn.Module,
    task: Task,
    presentation: Presentation | None,
    execution: Execution,
    workers: int = 0,
    processes: Processes | None = None,
) -> Accuracy:
    """Return the accuracy on all validation images; the network is in evaluation mode meanwhile.

    Raises
    ------
    ContractError
        If none of them can be read.
    """
    training, processes = network.training, processes or Processes()
    network.eval()
    right: dict[str, int] = dict.fromkeys(DECODERS, 0)
    by_step: np.ndarray | None = None
    n_images = n_unreadable = 0
    size = execution.batch_size or _BATCH
    precision = execution.precision, torch.device(execution.device).type
    for batch in val_batches(task, size, rank=processes.rank, world=processes.world, workers=workers):
        n_unreadable += batch.n_unreadable
        if not len(batch.labels):
            continue
        images = pixels_to_input(batch.images, execution.device)
        with computing_in(*precision):
            steps = torch.stack(logits_over_steps(network, images, presentation)).float().cpu()
        correct = (steps.argmax(-1) == batch.labels).sum(1).numpy()
        by_step = correct if by_step is None else by_step + correct
        for name in DECODERS:
            decoded = own_attribute("model_zoo", f"decoders:{name}")(_of_image(steps))
            right[name] += int((decoded.logits.argmax(-1) == batch.labels).sum())
        n_images += len(batch.labels)
    network.train(training)
    (n_steps,) = processes.agree(0 if by_step is None else len(by_step))
    if n_steps == 0:
        raise ContractError(f"none of the {task.n_val} validation images of task {task.name!r} can be read")
    by_step = np.zeros(n_steps) if by_step is None else by_step
    n_images, n_unreadable, *counts = processes.total(
        np.array([n_images, n_unreadable, *right.values(), *by_step], float)
    )
    shares = {name: count / n_images for name, count in zip(DECODERS, counts, strict=False)}
    return Accuracy(shares, np.array(counts[len(DECODERS) :]) / n_images, int(n_images), int(n_unreadable))


def _of_image(steps: torch.Tensor) -> torch.Tensor:
    """Return the steps from the first at which images differ: before it, no signal has arrived."""
    differs = (steps != steps[:, :1]).any(dim=(1, 2))
    first = int(differs.float().argmax()) if bool(differs.any()) else len(steps) - 1
    return steps[first:]
