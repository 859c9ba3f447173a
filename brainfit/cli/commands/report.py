"""``brainfit report``: write the report of a run again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from brainfit.contracts.vocabulary import REPORT_FORMATS, ReportFormat
from brainfit.report import run_folder

FORMAT_HELP = (
    "html is one self-contained page with its figures, pdf is the page printed by an installed Chromium, md "
    "is Markdown with its figures, png and svg are the figures alone."
)


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder that `brainfit score` wrote.")],
    format: Annotated[
        ReportFormat, typer.Option(help=f"Format of the report. {FORMAT_HELP}")
    ] = REPORT_FORMATS[0],
) -> None:
    """Write the report of a run again, and print its path.

    It goes into the run's folder. With png or svg only the figures are written, to figures/, whose path is
    then printed.

    Example: brainfit report runs/median_convrnn-pIT-conv7-ridge-seed0 --format pdf
    """
    score = run_folder.read_run(run)

    from brainfit.report.write import write_report

    typer.echo(write_report(score, run, format))
