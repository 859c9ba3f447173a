"""Train a network: the whole loop, to be read in one sitting.

    images of step k = f(seed, k)  ->  logits over steps  ->  loss  ->  gradient, clipped  ->  optimizer
                                                                 |
                 checkpoint every few minutes and on a signal  <-'   validation after each epoch

Nothing but the checkpoint is carried from one process to the next, and nothing is drawn but from the seed and
the step: a run that is killed and started again ends in the same bytes as one that was not.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT, SIGTERM, SIGUSR1, Signals, signal
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from brainfit.contracts.presentation import Presentation
from brainfit.contracts.task import Task
from brainfit.errors import ContractError
from brainfit.execution import Execution, or_default
from brainfit.execution.precision import computing_in
from brainfit.support.progress import progress_bar

from .batches import Batch, steps_per_epoch, train_batches
from .checkpoint import load_checkpoint, require_same, save_checkpoint
from .metrics import Metrics
from .network import Unrolled, logits_over_steps, name_weights, pixels_to_input
from .processes import Processes
from .recipe import Recipe
from .validation import Accuracy, validate

BLOCK = 20
"""Steps of one row of the metrics."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A training run, finished or interrupted.

    Attributes
    ----------
    step, n_steps
        Steps of the optimizer that are done, and in all.
    accuracy
        Accuracy on the validation images at the end; None if the run is not finished.
    interrupted_by
        Name of the signal that stopped it; None if it is finished.
    seconds
        Time that this process took.
    """

    step: int
    n_steps: int
    accuracy: Accuracy | None
    interrupted_by: str | None
    seconds: float


def train(
    network: nn.Module,
    task: Task,
    recipe: Recipe,
    run: Path,
    *,
    name: str,
    execution: Execution | None = None,
    workers: int = 0,
    checkpoint_minutes: float = 5.0,
    recompute: bool = False,
    processes: Processes | None = None,
) -> Trained:
    """Train a network on a task, from the start or from where the run folder's last checkpoint is.

    Parameters
    ----------
    network
        A network of the model zoo, or any module from images to logits (`logits_over_steps`). It is left with
        the trained weights; those of the running average, if the recipe has one.
    task
        Labelled images.
    recipe
        The recipe.
    run
        Folder of the run: ``checkpoints/`` and ``metrics.csv`` are written there, and ``tensorboard/`` if
        that is installed. Several processes must share it.
    name
        Name of the network; a checkpoint of another one is refused.
    execution
        Device and progress bar; `batch_size` is the number of images computed at once, by default all of the
        recipe's batch, whose gradient is accumulated.
    workers
        Processes that prepare images.
    checkpoint_minutes
        Time between checkpoints.
    recompute
        Keep less for the backward pass and compute it again there, as `GraphModel.unroll_training` does.
    processes
        The processes that train together; by default this one alone.

    Returns
    -------
    Trained

    Raises
    ------
    ContractError
        If the folder holds another run, the loss is not finite, no image of a batch can be read, or there
        are more processes than images in a batch.
    IntegrityError
        If a checkpoint cannot be written or read.
    """
    execution, started, processes = or_default(execution), time.monotonic(), processes or Processes()
    leads = processes.rank == 0
    if processes.world > min(recipe.batch_size, task.n_val):
        raise ContractError(
            f"{processes.world} processes share batches of {recipe.batch_size} images and {task.n_val} "
            "validation images; start no more processes than that"
        )
    device = execution.device
    network.to(device).train()
    presentation = recipe.presentation(network.presentation) if isinstance(network, Unrolled) else None
    n_steps = max(1, round(recipe.epochs * steps_per_epoch(task, recipe.batch_size)))
    optimizer = make_optimizer(network, recipe)
    averaged = [p.detach().clone() for p in network.parameters()] if recipe.average else []
    identity = {"model": name, "task": f"{task.name} {task.content[:12]}", **recipe.as_dict()}

    run.mkdir(parents=True, exist_ok=True)
    objective = processes.wrap(Objective(network, recipe, presentation, execution, recompute))
    step = 0
    if (held := load_checkpoint(run)) is not None:
        require_same(held, identity)
        network.load_state_dict(held["network"])
        optimizer.load_state_dict(held["optimizer"])
        for mine, its in zip(averaged, held["averaged"], strict=True):
            mine.copy_(its)
        step = held["step"]
        _log.info("continuing at step %d of %d", step, n_steps)
    processes.require_equal("step of the checkpoint", step)
    pending = held["pending"] if held else []
    metrics = Metrics(run if leads else None, step, pending if leads else [(0.0, 0.0, 0, 0)] * len(pending))

    def checkpoint() -> None:
        pending = metrics.check_finite(step, recipe.learning_rate_at(step / n_steps), processes)
        _check_weights(network, step)
        metrics.write()
        if not leads:
            return
        save_checkpoint(
            run,
            step,
            {
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "averaged": averaged,
                "identity": identity,
                "pending": [(loss, right, int(n), int(lost)) for loss, right, n, lost in pending.tolist()],
            },
        )

    each, saved, stopped = steps_per_epoch(task, recipe.batch_size), time.monotonic(), None
    bar = progress_bar(
        f"train {name}",
        n_steps,
        shown=execution.progress and leads,
        done=step,
        speed=(recipe.batch_size, "images"),
    )
    batches = train_batches(
        task,
        recipe.batch_size,
        seed=recipe.seed,
        first_step=step,
        n_steps=n_steps,
        rank=processes.rank,
        world=processes.world,
        workers=workers,
    )
    with catch_signals() as caught, closing(metrics), bar as on_progress:
        for batch in batches:
            rate = recipe.learning_rate_at(step / n_steps)
            torch.manual_seed(hash((recipe.seed, step, *processes.others)) % 2**63)  # for dropout
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss, correct = backward(objective, batch, execution, processes.weight(len(batch.labels)))
            if recipe.clip_value:
                nn.utils.clip_grad_value_(network.parameters(), recipe.clip_value)
            optimizer.step()
            if averaged:
                for mine, parameter in zip(averaged, network.parameters(), strict=True):
                    mine.lerp_(parameter.detach(), 1 - recipe.average)
            step += 1
            on_progress(1)
            metrics.add(loss, correct, len(batch.labels), batch.n_unreadable)
            if step % BLOCK == 0 or step == n_steps:
                mean_loss, share = metrics.end_block(step, step / each, rate, processes)
                on_progress(0, text=f"loss {mean_loss:.3f}, accuracy {share:.3f}")
            if step % each == 0 and step < n_steps:
                found = validate(network, task, presentation, execution, workers, processes)
                metrics.validated(step, found)
                share, epoch = found.by_decoder["last"], step // each
                _log.info("epoch %d, step %d of %d: validation accuracy %.3f", epoch, step, n_steps, share)
            due = time.monotonic() - saved > 60 * checkpoint_minutes
            number, due = processes.agree(caught[0] if caught else 0, due)
            stopped = Signals(number).name if number else None
            if stopped or due or step == n_steps:
                checkpoint()
                saved = time.monotonic()
            if stopped:
                break
    if step < n_steps:
        return Trained(step, n_steps, None, stopped, time.monotonic() - started)
    if averaged:
        with torch.no_grad():
            for parameter, mine in zip(network.parameters(), averaged, strict=True):
                parameter.copy_(mine)
    found = validate(network, task, presentation, execution, workers, processes)
    n_images = n_steps * recipe.batch_size
    name_weights(
        network,
        f"trained here on {n_images:,} images of {task.name}, seed {recipe.seed}",
        "brainfit.training",
    )
    return Trained(step, n_steps, found, None, time.monotonic() - started)


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimizer; weight decay falls on parameters of two dimensions or more."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate)
    nesterov = recipe.momentum > 0
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=nesterov)


class Objective(nn.Module):
    """A network and its loss, as one module.

    Parameters
    ----------
    network, recipe, presentation, execution, recompute
        As for `train`.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        presentation: Presentation | None,
        execution: Execution,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.recompute = recompute
        self.network, self.recipe = network, recipe
        self.presentation, self.execution = presentation, execution

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean loss, and the number of images whose class the last step names."""
        with computing_in(self.execution.precision, images.device.type):
            steps = logits_over_steps(self.network, images, self.presentation, recompute=self.recompute)
            loss = loss_of(steps, labels, self.recipe)
        return loss, (steps[-1].detach().argmax(-1) == labels).sum()


def backward(
    objective: nn.Module, batch: Batch, execution: Execution, weight: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Compute the gradient of a batch into the network's parameters.

    Parameters
    ----------
    objective
        An `Objective`, or one that averages gradients over processes.
    batch
        The images of this process.
    execution
        Device, and the number of images computed at once.
    weight
        Factor of the loss, by which processes with unequal shares of a batch count alike for each image.

    Returns
    -------
    loss, correct
        Mean loss times `weight`, and number of images whose class the last step names; on the device, not
        waited for.
    """
    objective.zero_grad(set_to_none=True)
    n = len(batch.labels)
    if n == 0:
        raise ContractError("no image of a batch can be read; check the images of the task")
    size = execution.batch_size or n
    loss, correct = torch.zeros((), device=execution.device), torch.zeros((), device=execution.device)
    for start in range(0, n, size):
        labels = batch.labels[start : start + size].to(execution.device)
        images = pixels_to_input(batch.images[start : start + size], execution.device)
        context = nullcontext()
        if isinstance(objective, DistributedDataParallel) and start + size < n:
            context = objective.no_sync()  # gradients are averaged once a batch
        with context:
            part, right = objective(images, labels)
            part = part * (weight * len(labels) / n)
            part.backward()
        loss += part.detach()
        correct += right
    return loss, correct


def loss_of(steps: list[Tensor], labels: Tensor, recipe: Recipe) -> Tensor:
    """Return the cross-entropy of the last step, or its mean over the steps that tell images apart."""
    if recipe.loss_steps == "all":
        first = next((k for k, logits in enumerate(steps) if logits.stride(0) != 0 or len(labels) == 1), 0)
        chosen = steps[first:]
    else:
        chosen = steps[-1:]
    each = [F.cross_entropy(x.float(), labels, label_smoothing=recipe.label_smoothing) for x in chosen]
    return torch.stack(each).mean()


def _check_weights(network: nn.Module, step: int) -> None:
    """Raise unless all weights are finite, so that a checkpoint never holds others."""
    if not all(bool(parameter.isfinite().all()) for parameter in network.parameters()):
        raise ContractError(
            f"the weights are not finite after step {step}; lower learning_rate or clip_value of the recipe; "
            "the last checkpoint is kept"
        )


@contextmanager
def catch_signals() -> Iterator[list[int]]:
    """Collect the signals of Ctrl-C and of schedulers in a list, instead of ending the process."""
    caught: list[int] = []
    before = {
        number: signal(number, lambda got, _: caught.append(got)) for number in (SIGINT, SIGTERM, SIGUSR1)
    }
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal(number, handler)
