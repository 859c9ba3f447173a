"""Parse the arguments of every command, and lay out its help."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import typer
from typer.core import TyperCommand, TyperOption

COMMAND_LINE = "brainfit.command_line"
"""Key, in `Context.meta`, of the command's name without `brainfit` and its arguments."""
PANELS = {
    "Model": ("model", "weights", "image_size", "layer", "model_option"),
    "Recording": (
        *(
            "recording",
            "region",
            "benchmark",
            "presentations",
            "regions",
            "images",
            "on_ms",
            "off_ms",
            "split",
        ),
        *("test_fraction", "task", "task_option"),
    ),
    "Method": ("mapping", "control", "project", "seed", "recipe", "set_", "epochs"),
    "Computation": ("device", "precision", "batch_size", "workers", "minutes", "no_cache"),
    "Output": ("out", "report", "format", "figure", "as_json"),
}
"""Sections of the help of a command with many options, by the names of their parameters."""
MANY = 10
_WORDS = {
    r"<(int|float)( range)?>|INTEGER( RANGE)?|FLOAT( RANGE)?": "NUMBER",
    r"<(str|text)>": "TEXT",
    r"<(path|file|directory)>": "PATH",
    r"\bx>=(\d+)": r"\1 or more",
    r"\[default: \(([^]]*?)\)(?=[;\]])": r"[default: \1",
}
"""Words for people, by the pattern of what typer prints."""


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

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options; many options stand in sections of what they are about."""
        sections: dict[str, list[tuple[str, str]]] = {
            "Arguments": [],
            **{name: [] for name in PANELS},
            "Options": [],
        }
        parameters = self.get_params(ctx)
        grouped = len(parameters) > MANY
        panel_of = {parameter: name for name, members in PANELS.items() for parameter in members}
        for parameter in parameters:
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            if parameter.param_type_name == "argument":
                section = "Arguments"
            else:
                section = panel_of.get(parameter.name or "", "Options") if grouped else "Options"
            label, help_text = map(_in_words, record)
            if section == "Arguments":  # its name says what it is
                label = label.partition(" ")[0]
            sections[section].append((label, help_text))
        for name, records in sections.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)


def _in_words(text: str) -> str:
    for pattern, words in _WORDS.items():
        text = re.sub(pattern, words, text)
    return text
