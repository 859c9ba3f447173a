"""What commands print: results on stdout, notes on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import typer

from brainfit.errors import PluginError


def print_json(value: Any) -> None:
    """Print a result for programs: one JSON value, undefined numbers as null."""
    typer.echo(json.dumps(value, indent=2, allow_nan=False))


def note(line: str) -> None:
    """Tell the user something that is not the result."""
    sys.stderr.write(f"brainfit: {' '.join(line.split())}\n")


@contextmanager
def others_code() -> Iterator[None]:
    """Run code that may be a user's: what it prints is no result, and it does not end the command."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except SystemExit as error:
        raise PluginError(f"the model's or the recording's code called sys.exit({error.code!r})") from error


def print_table(columns: list[str], rows: list[list[str]], title: str | None = None) -> None:
    """Print a table for people; long texts are wrapped to the terminal."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title and escape(title), title_justify="left", title_style="bold", box=SIMPLE)
    for position, column in enumerate(columns):
        table.add_column(column, no_wrap=position == 0, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    Console().print(table)
