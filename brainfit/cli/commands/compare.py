"""``brainfit compare``: several runs side by side, with paired tests."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brainfit.cli import options
from brainfit.cli.commands.report import FORMAT_HELP
from brainfit.cli.output import note, number, print_json, print_table
from brainfit.contracts.vocabulary import REPORT_FORMATS, ReportFormat
from brainfit.report import run_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from brainfit.analyses.comparison import Difference
    from brainfit.scoring.result import Score


def compare(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN RUN ...", help="Run folders that `brainfit score` wrote.")
    ],
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder to write a report to: comparison.html and figures/.",
            show_default="no report",
        ),
    ] = None,
    format: Annotated[
        ReportFormat | None,
        typer.Option(help=f"Format of the report. {FORMAT_HELP}", show_default=REPORT_FORMATS[0]),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    as_json: options.AsJson = False,
) -> None:
    """Compare runs on the same images and units, pair by pair.

    The difference is the median over units of the first normalised score minus the second: first for the
    image-driven scores, without the time course that all images share, then with it. Its interval and p-value
    generalise to new images and new units; Holm's method corrects p for the number of pairs.
    With --report, the last line printed is the report's path.

    Example: brainfit compare runs/gru_shallow-pIT-conv4-ridge-seed0 runs/ff-pIT-conv4-ridge-seed0
    """
    if format is not None and report is None:
        raise typer.BadParameter(
            "--format is the format of a report; name its folder, too, as in --report both"
        )
    from brainfit.analyses.comparison import compare as compute

    scores = [run_folder.read_run(folder) for folder in folders]
    pairs = compute(scores, seed=seed)
    if scores[0].info["simulated"]:
        note("the recording is simulated: the differences say nothing about brains")
    for place, score in enumerate(scores, start=1):
        for notice in score.notices:
            note(f"run {place} ({score.info['model']}): {notice.title}")
    written = None if report is None else _write(scores, report, format or REPORT_FORMATS[0], pairs)
    if as_json:
        rows = [_row(folder, score) for folder, score in zip(folders, scores, strict=True)]
        path = {} if written is None else {"report": str(written)}
        print_json({"runs": rows, "differences": [pair.to_dict() for pair in pairs], **path})
        return
    headers = ["", "model", "layer", "map", "weights", "image-\ndriven", "95 % interval", "with time\ncourse"]
    rows = [[f"{k}", *_cells(score)] for k, score in enumerate(scores, start=1)]
    title = f"{scores[0].info['region']} of {scores[0].info['recording']}, pooled"
    if len(maps := {row[3] for row in rows}) == 1:  # terminals are narrow
        title += f", map {maps.pop()}"
        headers, *rows = ([*row[:3], *row[4:]] for row in (headers, *rows))
    print_table(headers, rows, title=title)
    print_table(
        ["pair", "measure", "bins", "difference", "95 % interval", "p", "p (Holm)", "units"],
        [_pair_cells(pair) for pair in pairs],
    )
    if written is not None:
        typer.echo(written)


def _write(scores: list[Score], folder: Path, format: ReportFormat, pairs: Sequence[Difference]) -> Path:
    from brainfit.report.write import write_comparison

    return write_comparison(
        scores, folder, format, pairs=pairs, command=shlex.join(["brainfit", *sys.argv[1:]])
    )


def _row(folder: Path, score: Score) -> dict[str, Any]:
    summary = score.to_dict()
    names = (
        "model",
        "layer",
        "mapping",
        "control",
        "weights",
        "region",
        "recording",
        "simulated",
        "seed",
        "headline",
        "notices",
        "pooled",
    )
    return {"run": str(folder), **{name: summary[name] for name in names}, "windows": summary["windows"]}


def _cells(score: Score) -> list[str]:
    from brainfit.figures.labels import map_name, weights_name

    info, pooled = score.info, score.pooled
    interval = " to ".join(map(number, pooled["image_driven_ci95"]))
    texts = [info["model"], info["layer"], map_name(score), weights_name(score)]
    return [*texts, number(pooled["image_driven"]), interval, number(pooled["normalized"])]


def _pair_cells(pair: Difference) -> list[str]:
    return [
        f"{pair.first + 1} - {pair.second + 1}",
        pair.measure.replace("_", "-").replace("plain", "with time course"),
        pair.window,
        number(pair.difference, "+"),
        " to ".join(number(bound, "+") for bound in pair.ci95),
        _p_value(pair.p),
        _p_value(pair.p_holm),
        str(pair.n_units),
    ]


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else number(p)
