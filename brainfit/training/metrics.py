"""Write how a training run goes to ``metrics.csv``: a row for every few steps.

The file is cut back to the checkpoint when a run continues, so that it is the same whether the run was
stopped or not.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
from torch import Tensor

from brainfit.errors import ContractError, IntegrityError
from brainfit.storage.atomic_files import replaced
from brainfit.support.messages import printable, reason

from .processes import Processes
from .tensorboard import Events
from .validation import DECODERS, Accuracy

FILE = "metrics.csv"
COLUMNS = (
    "step", "epoch", "learning_rate", "loss", "accuracy", "val_accuracy", "n_unreadable",
    *(f"val_{decoder}" for decoder in DECODERS[1:]),
)  # fmt: skip
"""Columns of the file. Rows of training leave those of validation empty, and the other way round."""


class Metrics:
    """Loss and accuracy of a run.

    Parameters
    ----------
    run
        Folder of the run; None for a process that writes nothing.
    step
        Step at which the run begins or continues; later rows are dropped.
    pending
        Loss, correct images, images and unreadable images of the steps after the last row, in this process.

    Attributes
    ----------
    pending
        The same as plain numbers; reading it waits for the device.
    """

    def __init__(self, run: Path | None, step: int, pending: list[tuple[float, float, int, int]]) -> None:
        self._path = run and run / FILE
        self._rows = [row for row in self._read() if int(row[0]) <= step]
        self._pending: list[tuple[Tensor | float, Tensor | float, int, int]] = list(pending)
        self._events = Events(run, step)

    @property
    def pending(self) -> list[tuple[float, float, int, int]]:
        """Return the steps after the last row as plain numbers."""
        return [(float(loss), float(correct), n, lost) for loss, correct, n, lost in self._pending]

    def add(self, loss: Tensor, correct: Tensor, n_images: int, n_unreadable: int) -> None:
        """Add a step, without waiting for the device."""
        self._pending.append((loss, correct, n_images, n_unreadable))

    def check_finite(self, step: int, learning_rate: float, processes: Processes) -> np.ndarray:
        """Return the steps after the last row, summed over all processes, shape (step, 4).

        Raises
        ------
        ContractError
            If the loss of one of them is not finite.
        """
        block = processes.total(np.array(self.pending, float).reshape(-1, 4))
        for k, loss in enumerate(block[:, 0]):
            if not math.isfinite(loss):
                raise ContractError(
                    f"the loss is not finite at step {step - len(block) + k + 1}; lower the learning rate "
                    f"(it is {learning_rate:g}) or clip_value; the last checkpoint is kept"
                )
        return block

    def end_block(
        self, step: int, epoch: float, learning_rate: float, processes: Processes
    ) -> tuple[float, float]:
        """Write the row of the steps since the last one, over all processes; return loss and accuracy.

        Raises
        ------
        ContractError
            If the loss of one of them is not finite.
        IntegrityError
            If the file cannot be written.
        """
        block = self.check_finite(step, learning_rate, processes)
        loss = float(block[:, 0].mean()) / processes.world
        _, correct, n, lost = block.sum(0)
        accuracy = correct / max(n, 1)
        numbers = (f"{epoch:.4f}", f"{learning_rate:.6g}", f"{loss:.6g}", f"{accuracy:.6g}")
        self._rows.append([str(step), *numbers, "", str(round(lost)), *[""] * (len(DECODERS) - 1)])
        self._pending = []
        self.write()
        self._events.add(step, {"train/loss": loss, "train/accuracy": accuracy, "train/rate": learning_rate})
        return loss, accuracy

    def validated(self, step: int, accuracy: Accuracy) -> None:
        """Add the accuracy on the validation images."""
        last, *others = (f"{accuracy.by_decoder[decoder]:.6g}" for decoder in DECODERS)
        self._rows.append([str(step), "", "", "", "", last, "", *others])
        self.write()
        self._events.add(step, {f"validation/{name}": share for name, share in accuracy.by_decoder.items()})

    def write(self) -> None:
        """Replace the file by what is known now."""
        if self._path is None:
            return
        rows = [row + [""] * (len(COLUMNS) - len(row)) for row in self._rows]
        try:
            with replaced(self._path) as new, new.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([COLUMNS, *rows])
        except OSError as error:
            raise IntegrityError(
                f"cannot write {printable(self._path, 300)}: {reason(error)}; free the disk and run the same "
                "command again: it continues from the last checkpoint"
            ) from error

    def close(self) -> None:
        """Write the events that are still in memory."""
        self._events.close()

    def _read(self) -> list[list[str]]:
        if self._path is None or not self._path.is_file():
            return []
        with self._path.open(newline="", encoding="utf-8") as file:
            return [row for row in csv.reader(file) if row and row[0].isdigit()]
