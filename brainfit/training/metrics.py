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

from brainfit.errors import ContractError
from brainfit.storage.atomic_files import replaced

from .processes import Processes
from .validation import Accuracy

FILE = "metrics.csv"
_COLUMNS = ("step", "epoch", "learning_rate", "loss", "accuracy", "val_accuracy", "n_unreadable")


class Metrics:
    """Loss and accuracy of a run.

    Parameters
    ----------
    run
        Folder of the run; None for a process that writes nothing.
    step
        Step at which the run begins or continues; later rows are dropped.
    pending
        Loss, correct images, images and unreadable images of the steps after the last row.

    Attributes
    ----------
    pending
        As above, plain numbers: read only where the device may be waited for.
    """

    def __init__(self, run: Path | None, step: int, pending: list[tuple[float, float, int, int]]) -> None:
        self._path = run and run / FILE
        self._rows = [row for row in self._read() if int(row[0]) <= step]
        self._pending: list[tuple[Tensor | float, Tensor | float, int, int]] = list(pending)

    @property
    def pending(self) -> list[tuple[float, float, int, int]]:
        """Return the steps after the last row as plain numbers."""
        return [(float(loss), float(correct), n, lost) for loss, correct, n, lost in self._pending]

    def add(self, loss: Tensor, correct: Tensor, n_images: int, n_unreadable: int) -> None:
        """Add a step, without waiting for the device."""
        self._pending.append((loss, correct, n_images, n_unreadable))

    def end_block(self, step: int, epoch: float, learning_rate: float, processes: Processes) -> None:
        """Write the row of the steps since the last one, over all processes.

        Raises
        ------
        ContractError
            If the loss of one of them is not finite.
        """
        block = [tuple(row) for row in processes.total(np.array(self.pending)).tolist()]
        for k, (loss, *_) in enumerate(block):
            if not math.isfinite(loss):
                raise ContractError(
                    f"the loss is not finite at step {step - len(block) + k + 1}; lower the learning rate "
                    f"(it is {learning_rate:g}) or clip_value; the last checkpoint is kept"
                )
        n = sum(images for _, _, images, _ in block)
        loss = sum(loss for loss, *_ in block) / len(block) / processes.world
        accuracy = sum(correct for _, correct, _, _ in block) / n
        lost = round(sum(lost for *_, lost in block))
        self._rows.append(
            [
                str(step),
                f"{epoch:.4f}",
                f"{learning_rate:.6g}",
                f"{loss:.6g}",
                f"{accuracy:.6g}",
                "",
                str(lost),
            ]
        )
        self._pending = []
        self.write()

    def validated(self, step: int, accuracy: Accuracy) -> None:
        """Add the accuracy on the validation images."""
        self._rows.append([str(step), "", "", "", "", f"{accuracy.by_decoder['last']:.6g}", ""])
        self.write()

    def write(self) -> None:
        """Replace the file by what is known now."""
        if self._path is None:
            return
        with replaced(self._path) as new, new.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([_COLUMNS, *self._rows])

    def _read(self) -> list[list[str]]:
        if self._path is None or not self._path.is_file():
            return []
        with self._path.open(newline="", encoding="utf-8") as file:
            return [row for row in csv.reader(file) if row and row[0].isdigit()]
