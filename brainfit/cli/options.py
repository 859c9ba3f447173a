"""Options that several commands have, each said once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Device(StrEnum):
    """Where the model runs."""

    cpu = "cpu"
    cuda = "cuda"


class Precision(StrEnum):
    """In which a model computes."""

    float32 = "float32"
    bfloat16 = "bfloat16"


Model = Annotated[
    str,
    typer.Option(help="A name of `brainfit list models`, package.module:factory or path/to/file.py:factory."),
]
Images = Annotated[int | None, typer.Option(min=8, help="Use so many images only.", show_default="all")]
ImageSize = Annotated[
    int | None,
    typer.Option(
        min=1, help="Pixels a side, for models that offer a choice.", show_default="the model's own"
    ),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Images that go through the model together.")]
OnDevice = Annotated[Device, typer.Option("--device", help="Where the model runs.")]
InPrecision = Annotated[
    Precision,
    typer.Option(
        "--precision", help="In which the model computes; bfloat16 is faster and moves the score a little."
    ),
]
NoCache = Annotated[
    bool,
    typer.Option(
        "--no-cache",
        help="Do not keep the model's features, nor use those that were kept: see `brainfit cache info`.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
