"""``brainfit report``: the report of a run, written anew."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from brainfit.report import run_folder

FORMAT_HELP = (
    "html: one page that loads nothing, and its figures; pdf: the page, printed by an installed Chromium; md: Markdown, and its figures; "
    "png, svg: the figures alone."
)


class Format(StrEnum):
    """What a report can be written as."""

    html = "html"
    pdf = "pdf"
    png = "png"
    svg = "svg"
    md = "md"


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder that `brainfit score` wrote.")],
    format: Annotated[Format, typer.Option(help=FORMAT_HELP)] = Format.html,
) -> None:
    """Write the report of a run anew, and print its path.

    It goes into the folder of the run. As png or svg it is the figures alone, in the folder figures/, whose
    path is printed then.

    Example: brainfit report runs/median_convrnn-pIT-conv7-ridge-seed0 --format pdf
    """
    score = run_folder.read_run(run)

    from brainfit.report.write import write_report

    typer.echo(write_report(score, run, format.value))
