"""``brainfit compare``: several runs beside each other, with paired tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brainfit import runs
from brainfit.cli.output import note, print_json, print_table

if TYPE_CHECKING:
    from brainfit.comparison import Difference
    from brainfit.result import Score


def compare(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN RUN ...", help="Folders that `brainfit score` wrote.")
    ],
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Compare runs on the same images and units, pair by pair.

    The difference is the median over units of one normalised score less the other. Its interval and
    p-value speak of new images and new units; Holm's method corrects p for the number of pairs.

    Example: brainfit compare runs/median_convrnn-pIT-conv7-ridge-seed0 runs/ff-pIT-conv4-ridge-seed0
    """
    from brainfit.comparison import compare as compute

    scores = [runs.read_run(folder) for folder in folders]
    pairs = compute(scores, seed=seed)
    if scores[0].info["simulated"]:
        note("the recording is simulated: the differences say nothing about a brain")
    if as_json:
        rows = [_row(folder, score) for folder, score in zip(folders, scores, strict=True)]
        print_json({"runs": rows, "differences": [pair.to_dict() for pair in pairs]})
        return
    print_table(
        ["", "model", "layer", "map", "weights", "normalized", "95 % interval", "image-\ndriven"],
        [[f"{k}", *_cells(score)] for k, score in enumerate(scores, start=1)],
        title=f"{scores[0].info['region']} of {scores[0].info['recording']}, pooled",
    )
    print_table(
        ["pair", "bins", "difference", "95 % interval", "p", "p (Holm)", "units"],
        [_pair_cells(pair) for pair in pairs],
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
        "pooled",
    )
    return {"run": str(folder), **{name: summary[name] for name in names}, "windows": summary["windows"]}


def _cells(score: Score) -> list[str]:
    info, pooled = score.info, score.pooled
    weights = info["weights"] if info["weights"].startswith("random") else info["weights"][:14]
    interval = " to ".join(map(_number, pooled["ci95"]))
    texts = [info["model"], info["layer"], _map(info), weights]
    return [*texts, _number(pooled["normalized"]), interval, _number(pooled["image_driven"])]


def _map(info: Mapping[str, Any]) -> str:
    """Name the map with what was done to the features before it."""
    projection = info["provenance"].get("fit", {}).get("projection")
    projected = f"project {projection['n_components']}" if projection else None
    return ", ".join(filter(None, [info["mapping"], info["control"], projected]))


def _pair_cells(pair: Difference) -> list[str]:
    return [
        f"{pair.first + 1} - {pair.second + 1}",
        pair.window,
        _number(pair.difference, "+"),
        " to ".join(_number(bound, "+") for bound in pair.ci95),
        _p_value(pair.p),
        _p_value(pair.p_holm),
        str(pair.n_units),
    ]


def _number(value: float, sign: str = "") -> str:
    return "–" if value != value else f"{value:{sign}.3f}"


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else _number(p)
