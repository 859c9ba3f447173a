"""Parse the arguments of every command."""

from __future__ import annotations

from collections import Counter
from typing import Any

import typer
from typer.core import TyperCommand, TyperOption

COMMAND_LINE = "brainfit.command_line"
"""Key, in `Context.meta`, of the command's name without `brainfit` and its arguments."""


class Command(TyperCommand):
    """A command that refuses a repeated option instead of keeping its last value only."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments after checking that no option with one value is given twice."""
        ctx.meta[COMMAND_LINE] = (ctx.command_path.partition(" ")[2], tuple(args))
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for parameter, times in Counter(order).items():
            if not isinstance(parameter, TyperOption) or parameter.multiple or parameter.is_flag:
                continue
            if times > 1:
                raise typer.BadParameter(f"given {times} times, takes one value", ctx=ctx, param=parameter)
        return super().parse_args(ctx, args)
