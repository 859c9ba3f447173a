"""``brainfit data``: fetch, describe and convert recordings."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brainfit.cli import options
from brainfit.cli.commands.check import list_dropped, preview_lines
from brainfit.cli.output import note, print_fact, print_json, user_code
from brainfit.contracts.vocabulary import WRITTEN_LAYOUTS, WrittenLayout
from brainfit.registry import lookup, plugins
from brainfit.support.messages import format_bytes, printable

if TYPE_CHECKING:
    from brainfit.contracts.recording import Recording

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def data() -> None:
    """Fetch, describe and convert recordings.

    Example: brainfit data info my_recording.nc
    """


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A published recording of `brainfit list recordings`.")],
    to: Annotated[
        Path | None, typer.Option(help="Folder to put it in.", show_default="brainfit's cache")
    ] = None,
) -> None:
    """Download a published recording.

    Prints its path. A file that was fetched before is checked and not fetched again; an interrupted download
    is continued.

    Example: brainfit data fetch majaj2015
    """
    typer.echo(_loaders("published:fetch")(name, to, progress=sys.stderr.isatty()))


@app.command()
def info(
    name: Annotated[
        str,
        typer.Argument(metavar="PATH|NAME", help="A recording's file, or a name as for `brainfit score`."),
    ],
    presentations: options.Presentations = None,
    regions: options.Regions = None,
    images: options.Images = None,
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
) -> None:
    """Describe a recording, and what a score would say of it.

    Prints what a score of each region would refuse, leave out or remark. All images are read, and all
    responses of a small recording; of a large one, the responses of some units of each region and animal.
    Steps are of 10 ms.

    Example: brainfit data info my_recording.nc
    """
    from brainfit.analyses.recording_summary import describe_recording
    from brainfit.contracts.recording import recording_facts

    with user_code():
        recording = options.load_recording(name, images=images, presentations=presentations, regions=regions)
        facts = describe_recording(
            recording,
            n_images=images,
            seed=seed,
            progress=sys.stderr.isatty(),
        )
    if name not in lookup.list_recordings() and lookup.is_recording_file(name):
        layout = _loaders("layouts:layout_of")(name)
        facts = {"file": name, "layout": layout, "file_bytes": Path(name).stat().st_size, **facts}
    facts["provenance"] = dict(recording.provenance)
    if as_json:  # NaN becomes null, and any object in the provenance becomes text
        print_json(json.loads(json.dumps(facts, default=str), parse_constant=lambda _: None))
        return
    for fact, value in _lines(facts, recording_facts(recording)):
        print_fact(fact, printable(value, longest=1000))


@app.command()
def convert(
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="A recording's file in any layout, or a name.")
    ],
    target: Annotated[
        Path, typer.Argument(metavar="DEST", help="File to write; with --to brainio, a folder.")
    ],
    stimuli: Annotated[
        Path | None,
        typer.Option(
            help="CSV of the stimuli of a BrainIO recording, with its zip beside it.",
            show_default="the one beside SRC",
        ),
    ] = None,
    presentations: options.Presentations = None,
    regions: options.Regions = None,
    to: Annotated[WrittenLayout, typer.Option(help="Layout to write.")] = WRITTEN_LAYOUTS[0],
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a recording to one netCDF file, or in BrainIO's layout.

    The file holds the whole recording. Prints its path. SRC is only read, a few responses at a time.

    Example: brainfit data convert ventral_neural_data.hdf5 hvm.nc
    """
    if force and to == "brainio":
        raise typer.BadParameter(
            "--force does not apply to --to brainio, whose files are never replaced; choose another folder"
        )
    with user_code():
        recording = options.load_recording(
            source, stimuli=stimuli, presentations=presentations, regions=regions
        )
        if to == "netcdf":
            written = _loaders("netcdf.recording:to_netcdf")(
                recording, target, overwrite=force, progress=sys.stderr.isatty()
            )
        else:
            identifier = re.sub(r"[^A-Za-z0-9._-]", "_", recording.name).lstrip(".-") or "recording"
            written = _loaders("brainio.write:to_brainio")(recording, target, identifier=identifier)
    note(f"converted {source}: {_size(recording)}")
    typer.echo(written)


def _loaders(target: str) -> Any:
    return plugins.own_attribute("data_loaders", target)


def _size(recording: Recording) -> str:
    return ", ".join(f"{size} {dim}s" for dim, size in recording.responses.sizes.items())


def _lines(facts: dict[str, Any], known: dict[str, str]) -> list[tuple[str, object]]:
    """Return each fact with its text for one line; `known` are the facts of the labels alone."""
    values, trials, read = (facts[key] for key in ("values", "trials", "read"))
    if trials is not None:
        known = {**known, "trials": f"{trials['min']} to {trials['max']} per image"}
    lines: list[tuple[str, object]] = []
    if "file" in facts:
        lines = [
            ("file", f"{facts['file']}, {format_bytes(facts['file_bytes'])}"),
            ("layout", facts["layout"]),
        ]
    lines += [
        ("recording", f"{facts['name']}{' (simulated)' if facts['simulated'] else ''}"),
        *known.items(),
        (
            "values",
            f"{values['kind']}: {values['min']:.4g} to {values['max']:.4g}, {values['nan_percent']:g} % NaN, "
            f"{values['dtype']}, {format_bytes(facts['responses_bytes'])}",
        ),
        ("left out by the loader", list_dropped(facts["left_out"])),
    ]
    for region, preview in facts["scores"].items():
        lines += [(region, line) for line in preview_lines(preview)]
    lines.append(("read for this", f"responses of {read['units']} of {read['of']} units"))
    texts = {key: value for key, value in facts["provenance"].items() if isinstance(value, str)}
    return [*lines, *((f"its {key}", value) for key, value in texts.items())]
