"""Options and arguments that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from brainfit.contracts import vocabulary
from brainfit.contracts.vocabulary import IT_REGIONS, REGIONS

if TYPE_CHECKING:
    from brainfit.contracts.recording import Recording as LoadedRecording
    from brainfit.execution import Execution


MODEL_HELP = "A name of `brainfit list models`, package.module:factory or path/to/file.py:factory."
REGION_HELP = (
    f"One of {', '.join(REGIONS)}, or IT for all of IT ({', '.join(IT_REGIONS)} and units known no finer), "
    "or one that --regions declares."
)
_SIZE_HELP = "Side of the images in pixels, for models that offer a choice."

Model = Annotated[str, typer.Option(help=MODEL_HELP)]
Region = Annotated[str, typer.Option(help=REGION_HELP)]
Recording = Annotated[
    str, typer.Option(help="A name of `brainfit list recordings` or the path of a recording's file.")
]
Presentations = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Name of the table of presentations in an NWB file that has several.",
        show_default="the only one",
    ),
]
Regions = Annotated[
    str | None,
    typer.Option(
        metavar="NAME=REGION,…",
        help="Region to take for each area of the recording that is no standard region, as in "
        "VISp=V1,VISl=V2; NAME alone keeps an area as a region of its own, for which a layer is named.",
        show_default="standard regions only",
    ),
]
OnMs = Annotated[
    int | None,
    typer.Option(
        "--on-ms",
        min=1,
        help="Duration of the image in ms.",
        show_default="the recording's own, else 100",
    ),
]
OffMs = Annotated[
    int | None,
    typer.Option(
        "--off-ms",
        min=0,
        help="Duration of the gray after the image in ms.",
        show_default="the recording's own, else 150",
    ),
]
Split = Annotated[
    vocabulary.Split | None,
    typer.Option(
        help="Use the recording's own split into training and test images, or draw one.",
        show_default="the recording's own if it has one",
    ),
]
Layer = Annotated[
    str | None,
    typer.Option(
        help="A layer of the model, or auto for the one that most units of the region choose on the training "
        "images.",
        show_default="the layer that the model's author assigned to the region",
    ),
]
Mapping = Annotated[
    vocabulary.MappingName | None,
    typer.Option(
        help="Regression from features to responses; sgd is the paper's.",
        show_default=vocabulary.MAPPINGS[0],
    ),
]
Control = Annotated[
    vocabulary.ControlName | None,
    typer.Option(
        help="Change the time course of the features, or fit a regression for each time bin.",
        show_default="none",
    ),
]
Project = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of random projections of the features; saves memory and lowers the score.",
        show_default="all features",
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        help="random, or random:SEED for another seed than --seed; a .safetensors file; a folder of "
        "`brainfit train`; or a name of `brainfit weights info`.",
        show_default="trained weights for the _mini models, otherwise random",
    ),
]
Images = Annotated[
    int | None,
    typer.Option(min=8, help="Number of images to use; a score takes 16 or more.", show_default="all images"),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the split, the resampling and random weights.")]
ImageSize = Annotated[int | None, typer.Option(min=1, help=_SIZE_HELP, show_default="the model's own")]
BatchSize = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of images that go through the model together.",
        show_default="16, or fewer if memory is short",
    ),
]
Device = Annotated[vocabulary.Device, typer.Option(help="Device that the model runs on.")]
Precision = Annotated[
    vocabulary.Precision,
    typer.Option(
        help="Floating-point type that the model computes in; bfloat16 is faster, and changes "
        "the score a little."
    ),
]
NoCache = Annotated[
    bool,
    typer.Option(
        "--no-cache",
        help="Neither keep the model's features nor use those that were kept; see `brainfit cache info`.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]


def loader_options(**given: object) -> dict[str, Any]:
    """Return the options of a recording's loader that were given."""
    return {name: value for name, value in given.items() if value is not None}


def load_recording(
    name: str,
    *,
    images: int | None = None,
    regions: str | None = None,
    on_ms: int | None = None,
    off_ms: int | None = None,
    split: vocabulary.Split | None = None,
    **loader: object,
) -> LoadedRecording:
    """Load a recording with the options of a command; the presentation and split replace its own.

    Parameters
    ----------
    name
        Name or path of the recording.
    images
        Number of images of a recording that is generated.
    regions, on_ms, off_ms, split
        The options of these names.
    **loader
        Options of the recording's loader; None where they were not given.
    """
    from brainfit.contracts.presentation import Presentation
    from brainfit.registry import lookup

    declared = None if regions is None else _declaration(regions)
    options = loader_options(regions=declared, **loader)
    recording = lookup.load_recording(name, n_images=images, **options)
    if (on_ms, off_ms) != (None, None) and recording.on_ms is None:
        default = Presentation()
        on_ms = default.on_ms if on_ms is None else on_ms
        off_ms = default.off_ms if off_ms is None else off_ms
    return recording.presented(on_ms=on_ms, off_ms=off_ms, split=split)


def _declaration(text: str) -> dict[str, str]:
    """Return the declaration of regions that ``NAME=REGION,…`` writes."""
    declared = {}
    for part in text.split(","):
        name, equals, region = (word.strip() for word in part.partition("="))
        if not name or (equals and not region) or name in declared:
            raise typer.BadParameter(
                f"--regions is written NAME=REGION,NAME=REGION,… with each NAME once, got {text!r}"
            )
        declared[name] = region or name
    return declared


def execution(
    *,
    device: vocabulary.Device = vocabulary.DEVICES[0],
    precision: vocabulary.Precision = vocabulary.PRECISIONS[0],
    batch_size: int | None = None,
    no_cache: bool = False,
) -> Execution:
    """Return the options for where and how the work runs, with progress bars."""
    from brainfit.execution import Execution

    return Execution(device, precision, batch_size, cache=not no_cache, progress=True)
