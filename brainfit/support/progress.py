"""Progress bars on stderr, with an estimate of the time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from brainfit.support.messages import one_line


@contextmanager
def progress_bar(description: str, total: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """Yield a function that advances a bar by a number of steps; the bar is complete after the block.

    Parameters
    ----------
    description
        Name of the work with its unit, such as ``"fit ridge (passes)"``.
    total
        Largest number of steps.
    shown
        False for no bar.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("passed,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as progress:
        task = progress.add_task(one_line(description), total=total)

        def on_progress(steps: int = 1) -> None:
            progress.advance(task, steps)

        yield on_progress
        progress.update(task, completed=total)
