"""Options that several commands have, each said once."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from brainfit.execution import Execution


class Device(StrEnum):
    """Where the model runs."""

    cpu = "cpu"
    cuda = "cuda"


class Precision(StrEnum):
    """In which a model computes."""

    float32 = "float32"
    bfloat16 = "bfloat16"


class Mapping(StrEnum):
    """Maps from a layer's features to responses."""

    ridge = "ridge"
    sgd = "sgd"
    pls = "pls"
    factorized = "factorized"


class Control(StrEnum):
    """Controls that make a claim about time honest."""

    per_bin = "per-bin"
    time_shuffled = "time-shuffled"
    graded = "graded"


Model = Annotated[
    str,
    typer.Option(help="A name of `brainfit list models`, package.module:factory or path/to/file.py:factory."),
]
Layer = Annotated[
    str | None,
    typer.Option(
        help="The model's layer; auto: the one that most of the region's units choose on the training "
        "images.",
        show_default="the one it commits to for the region",
    ),
]
ByMapping = Annotated[
    Mapping | None,
    typer.Option(
        help="The map from features to responses; ridge is exact, sgd the paper's.", show_default="ridge"
    ),
]
UnderControl = Annotated[
    Control | None,
    typer.Option(
        help="Change the time course of the features, or fit a map for each bin.", show_default="none"
    ),
]
Project = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Map so many random projections of the layer's features, to save memory; it costs score.",
        show_default="all features",
    ),
]
Images = Annotated[
    int | None,
    typer.Option(min=8, help="Use so many images only; a score takes 16 or more.", show_default="all"),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        min=1, help="Pixels a side, for models that offer a choice.", show_default="the model's own"
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Images that go through the model together.",
        show_default="16, or fewer if memory is short",
    ),
]
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
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]


def execution(
    *,
    device: Device = Device.cpu,
    precision: Precision = Precision.float32,
    batch_size: int | None = None,
    no_cache: bool = False,
) -> Execution:
    """Gather the options of where and how the work runs, with progress bars."""
    from brainfit.execution import Execution

    return Execution(device.value, precision.value, batch_size, cache=not no_cache, progress=True)
