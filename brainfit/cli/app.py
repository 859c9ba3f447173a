"""The `brainfit` command: its subcommands, global options and the handling of errors."""

from __future__ import annotations

import traceback
from signal import SIGINT
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
from brainfit.cli.commands.train import train
from brainfit.cli.commands.weights import app as weights
from brainfit.cli.output import note
from brainfit.cli.parsing import COMMAND_LINE, Command
from brainfit.errors import BrainfitError
from brainfit.support.out_of_memory import out_of_memory

_LIGHT = {"list"}
"""Commands that load no numerical library. All others are refused at once where memory does not hold
those libraries, because loading them there can crash or hang Python instead of raising an error."""
_RESUMABLE = {
    "score": "finished batches are kept",
    "layers": "finished batches are kept",
    "train": "the last checkpoint is kept",
    "data fetch": "the bytes received so far are kept",
    "weights fetch": "the bytes received so far are kept",
}


class _Group(TyperGroup):
    """Turns errors that a user can cause into one line on stderr and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            code = 128 + (error.args[0] if error.args else SIGINT)
            line = _interrupted(ctx)
        except Exception as error:  # memory may run out anywhere, in errors of many types
            known = error if isinstance(error, BrainfitError) else out_of_memory(error)
            if known is None:
                raise
            if ctx.params["debug"]:
                traceback.print_exc()
            code, line = 1, f"error: {known}"
            del known  # its traceback holds everything that the failed work held
        note(line)  # only here, where the memory that the error held is free again
        raise typer.Exit(code)


def _interrupted(ctx: Any) -> str:
    command, arguments = ctx.meta.get(COMMAND_LINE, ("", ()))
    if command not in _RESUMABLE or "--no-cache" in arguments:
        return "interrupted"
    return f"interrupted; {_RESUMABLE[command]}; run the same command again to go on"


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help, wrapped to the terminal
    context_settings={"help_option_names": ["-h", "--help"]},
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
app.command()(train)
app.add_typer(data, name="data")
app.add_typer(weights, name="weights")
app.add_typer(cache, name="cache")
app.command()(doctor)
for group in (app, data, weights, cache):
    for registered in group.registered_commands:
        registered.cls = Command
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
    debug: Annotated[bool, typer.Option("--debug", help="Print the traceback of an error, too.")] = False,
) -> None:
    """Score models of the visual system against neural recordings in time.

    Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 an error (one line on stderr),
    2 wrong usage, 130 interrupted by Ctrl-C.

    Example: brainfit score --model median_convrnn --region pIT
    """
    if ctx.invoked_subcommand not in _LIGHT:
        from brainfit.support.memory import check_start

        check_start()
