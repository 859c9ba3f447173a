"""Write curves for TensorBoard, if the package ``tensorboard`` is installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

FOLDER = "tensorboard"


class Events:
    """Curves of a run in its folder ``tensorboard``; nothing where TensorBoard is not installed.

    Parameters
    ----------
    run
        Folder of the run; None for a process that writes nothing.
    step
        Step at which the run begins or continues; TensorBoard then hides later points.
    """

    def __init__(self, run: Path | None, step: int) -> None:
        self._writer = None
        if run is None:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self._writer = SummaryWriter(str(run / FOLDER), purge_step=step + 1)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each curve."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is still in memory."""
        if self._writer is not None:
            self._writer.close()
