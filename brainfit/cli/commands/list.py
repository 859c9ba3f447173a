"""``brainfit list``: list the models, recordings and benchmarks that have a name."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from brainfit.cli.output import print_json, print_table
from brainfit.contracts.vocabulary import CATALOG_KINDS, CatalogKind
from brainfit.registry import lookup

_NO_ROOM = {"models": ("layers", "image_sizes"), "benchmarks": ("recording", "region", "summary")}
"""Facts that only --json lists: the name includes them, or a table has no room for them."""


def list_names(
    kind: Annotated[
        CatalogKind | None,
        typer.Argument(
            metavar="[KIND]", help=f"One of {', '.join(CATALOG_KINDS)}.", show_default="the names of all"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the models, recordings or benchmarks that have a name.

    Nothing is loaded, so a listed name may still need data or weights that are not on this machine.

    Example: brainfit list models --json
    """
    entries_of = {
        "models": lookup.list_models,
        "recordings": lookup.list_recordings,
        "benchmarks": lookup.list_benchmarks,
    }
    if kind is None:
        names = {each: list(entries()) for each, entries in entries_of.items()}
        if as_json:
            print_json(names)
        else:
            print_table(["kind", "names"], [[each, ", ".join(found)] for each, found in names.items()])
        return
    entries = entries_of[kind]()
    rows = [{"name": name, **asdict(entry)} for name, entry in entries.items()]
    for row in rows:
        for internal in ("target", "options"):
            row.pop(internal, None)
    if as_json:
        print_json(rows)
    else:
        columns = [key for key in rows[0] if key not in _NO_ROOM.get(kind, ())] if rows else ["name"]
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
