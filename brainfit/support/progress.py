"""Progress bars on stderr, with speed and an estimate of the time left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from brainfit.support.messages import one_line


class OnProgress(Protocol):
    """A function that advances a bar by a number of steps, and may change the text at its end."""

    def __call__(self, steps: int = 1, /, text: str | None = None) -> None:
        """Advance the bar."""
        ...


class _Speed(ProgressColumn):
    """Units a second."""

    def __init__(self, per_step: int, unit: str) -> None:
        super().__init__()
        self.per_step, self.unit = per_step, unit

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed * self.per_step:,.3g} {self.unit}/s")


@contextmanager
def progress_bar(
    description: str,
    total: int,
    *,
    shown: bool,
    done: int = 0,
    speed: tuple[int, str] | None = None,
) -> Iterator[OnProgress]:
    """Yield a function that advances a bar by a number of steps; the bar is complete after the block.

    Parameters
    ----------
    description
        Name of the work with its unit, such as ``"fit ridge (passes)"``.
    total
        Largest number of steps.
    shown
        False for no bar.
    done
        Number of steps that were done earlier.
    speed
        Number and name of the units in a step, such as ``(128, "images")``, to show their number a second.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        *([] if speed is None else [_Speed(*speed)]),
        TimeElapsedColumn(),
        TextColumn("passed,"),
        TimeRemainingColumn(),
        TextColumn("left{task.fields[text]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as progress:
        task = progress.add_task(one_line(description), total=total, completed=done, text="")

        def on_progress(steps: int = 1, /, text: str | None = None) -> None:
            progress.advance(task, steps)
            if text is not None:
                progress.update(task, text=f"; {one_line(text)}")

        yield on_progress
        progress.update(task, completed=total)
