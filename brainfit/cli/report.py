"""``brainfit report``: the report of a run, written anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from brainfit import runs


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder that `brainfit score` wrote.")],
) -> None:
    """Write the report of a run anew and print its path.

    Example: brainfit report runs/median_convrnn-pIT-conv7-ridge-seed0
    """
    score = runs.read_run(run)

    from brainfit.report import write_report

    typer.echo(write_report(score, run))
