"""The `brainfit` command: its global options, and what becomes of errors."""

from __future__ import annotations

import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from brainfit.cli import completion
from brainfit.cli.commands.cache import app as cache
from brainfit.cli.commands.ceiling import ceiling
from brainfit.cli.commands.check import check
from brainfit.cli.commands.compare import compare
from brainfit.cli.commands.data import app as data
from brainfit.cli.commands.doctor import doctor
from brainfit.cli.commands.draw import draw
from brainfit.cli.commands.inter_animal import inter_animal
from brainfit.cli.commands.layers import layers
from brainfit.cli.commands.list import list_names
from brainfit.cli.commands.report import report
from brainfit.cli.commands.score import score
from brainfit.cli.commands.weights import app as weights
from brainfit.cli.output import note
from brainfit.errors import BrainfitError
from brainfit.support.out_of_memory import out_of_memory

_LOADS_TORCH = {"score", "check", "ceiling", "layers", "inter-animal", "draw"}
"""Commands refused where memory does not hold torch: loading it would crash Python instead of raising."""


class _Group(TyperGroup):
    """Turns what a user can do wrong into one line on stderr and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            line = "interrupted; no unfinished result was kept"
        except Exception as error:  # memory may run out anywhere, and is told in errors of many types
            told = error if isinstance(error, BrainfitError) else out_of_memory(error)
            if told is None:
                raise
            if ctx.params["debug"]:
                traceback.print_exc()
            line = f"error: {told}"
            del told  # it holds its traceback, and so all that the failed work held
        note(line)  # only here: what the error held, maybe all memory, is free again
        raise typer.Exit(1)


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help, wrapped to the terminal
)
app.command()(score)
app.command()(compare)
app.command()(report)
app.command("list")(list_names)
app.command()(check)
app.command()(draw)
app.command()(ceiling)
app.command()(layers)
app.command()(inter_animal)
app.add_typer(data, name="data")
app.add_typer(weights, name="weights")
app.add_typer(cache, name="cache")
app.command()(doctor)
completion.complete_names(app, {"check": {"name": completion.models_and_recordings}})
completion.complete_names(weights, {})
completion.complete_names(
    data,
    {
        "fetch": {"name": completion.published_recordings},
        "info": {"name": completion.recordings},
        "convert": {"source": completion.recordings},
    },
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from brainfit import __version__

        typer.echo(f"brainfit {__version__}")
        raise typer.Exit


@app.callback()
def brainfit(
    ctx: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
) -> None:
    """Score models of the visual system against neural recordings in time.

    Results go to stdout, all else to stderr. Exit codes: 0 done, 1 an error (one line on stderr),
    2 wrong usage.

    Example: brainfit score --model median_convrnn --region pIT
    """
    if ctx.invoked_subcommand in _LOADS_TORCH:
        from brainfit.support.memory import check_start

        check_start()
