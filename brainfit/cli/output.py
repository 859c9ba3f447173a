"""Output of commands: results on stdout, notes on stderr.

All text that can hold words of others (names, labels, errors, log records) is printed by the functions here,
which escape what a terminal would act on.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import typer

from brainfit.errors import PluginError
from brainfit.support.messages import one_line

_PACKAGES = ("brainfit", "model_zoo", "data_loaders", "benchmarks")
"""Packages whose log records a command prints."""


def print_json(value: Any) -> None:
    """Print a result as one JSON value, with undefined numbers as null."""
    typer.echo(json.dumps(value, indent=2, allow_nan=False))


def note(line: str) -> None:
    """Print a line on stderr that is not part of the result."""
    sys.stderr.write(f"brainfit: {one_line(line)}\n")


def print_fact(name: str, value: object, *, indent: str = "") -> None:
    """Print one line of a description on stdout."""
    typer.echo(f"{indent}{one_line(name)}: {one_line(value)}")


def number(value: float | None, sign: str = "") -> str:
    """Format a number of a table; an undefined one, None or NaN, is a dash."""
    return "–" if value is None or value != value else f"{value:{sign}.3f}"


@contextmanager
def user_code() -> Iterator[None]:
    """Run code that may be a user's: its prints go to stderr, and it cannot end the command.

    Log records of our packages are printed as notes.
    """
    try:
        with redirect_stdout(sys.stderr), _logged():
            yield
    except SystemExit as error:
        raise PluginError(f"the model's or the recording's code called sys.exit({error.code!r})") from error


@contextmanager
def _logged() -> Iterator[None]:
    loggers, handler = [logging.getLogger(name) for name in _PACKAGES], _Notes()
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.level, logger.propagate = level, propagate


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())


def print_table(columns: list[str], rows: list[list[str]], title: str | None = None) -> None:
    """Print a table for people; long texts are wrapped to the terminal."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    heading = None if title is None else escape(one_line(title))
    table = Table(title=heading, title_justify="left", title_style="bold", box=SIMPLE)
    for position, column in enumerate(columns):
        table.add_column(escape(_lines(column)), no_wrap=position == 0, overflow="fold")
    for row in rows:
        table.add_row(*(escape(_lines(cell)) for cell in row))
    Console().print(table)


def _lines(cell: str) -> str:
    return "\n".join(map(one_line, cell.split("\n")))
