"""``brainfit list``: what can be named."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from brainfit.cli.output import print_json, print_table
from brainfit.registry import lookup


class What(StrEnum):
    """What there is to list."""

    models = "models"
    recordings = "recordings"
    benchmarks = "benchmarks"


_NO_ROOM = {What.models: (), What.recordings: (), What.benchmarks: ("recording", "region", "summary")}
"""Facts that a name says already, or of which a table has no room; --json has them."""


def list_names(
    what: Annotated[What, typer.Argument(help="What to list.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False,
) -> None:
    """List the models, recordings or benchmarks that have a name.

    Nothing is loaded, so a name that is listed may still want data or weights that are not here.

    Example: brainfit list models --json
    """
    entries = {
        What.models: lookup.list_models,
        What.recordings: lookup.list_recordings,
        What.benchmarks: lookup.list_benchmarks,
    }[what]()
    rows = [{"name": name, **asdict(entry)} for name, entry in entries.items()]
    for row in rows:
        for ours in ("target", "options"):  # how it is built is no fact about it
            row.pop(ours, None)
    if as_json:
        print_json(rows)
    else:
        columns = [key for key in rows[0] if key not in _NO_ROOM[what]] if rows else ["name"]
        print_table(
            [column.replace("_", " ") for column in columns],
            [[_cell(row[column]) for column in columns] for row in rows],
        )


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case tuple() if len(value) > 4:
            return f"{value[0]} … {value[-1]}"
        case tuple():
            return ", ".join(map(str, value))
    return str(value)
