"""``brainfit weights``: trained weights, fetched, converted and described."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from brainfit.cli import options
from brainfit.cli.output import note, others_code, print_json, print_table
from brainfit.registry import lookup, plugins
from brainfit.support.messages import printable

_SIZE = 224  # pixels: of nearly all published weights

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def _filled(text: str) -> str:
    """Refuse an empty text, as of a variable that is not set: as a path it would be the current folder."""
    if not text:
        raise typer.BadParameter("it is empty, wanted a path")
    return text


@app.callback()
def weights() -> None:
    """Fetch, convert and describe trained weights.

    Example: brainfit weights fetch rgc_intermediate
    """


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A name of `brainfit weights info`.")],
) -> None:
    """Download published weights.

    Converts them, and prints where they are. What has been fetched before is not fetched again.

    Example: brainfit weights fetch rgc_intermediate
    """
    typer.echo(_zoo("weights.published:fetch")(name))


@app.command()
def convert(
    source: Annotated[
        str,
        typer.Argument(
            callback=_filled,
            metavar="CKPT",
            help="A TensorFlow checkpoint (its .index file, or the name without), or a torch or "
            "safetensors file of a state_dict().",
        ),
    ],
    model: Annotated[
        str,
        typer.Option(help="What they are for: a name, package.module:factory or path/to/file.py:factory."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write; it ends on .safetensors.")],
    image_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Pixels a side that they were trained on.",
            show_default=f"{_SIZE}, or the model's own where it offers no choice",
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Convert weights to a file that --weights takes.

    Every name and shape must be that of the model. Nothing is unpickled that could run code.

    Example: brainfit weights convert model.ckpt --model gru_intermediate -o mine.safetensors
    """
    with others_code():
        chosen = {"image_size": image_size or _SIZE} if lookup.model_takes(model, "image_size") else {}
        net = lookup.load_model(model, **chosen)
    size = net.image_size if image_size is None else image_size
    _zoo("weights.convert:convert")(Path(source), net, out, image_size=size)
    if as_json:
        print_json(_describe(out))
    else:
        note(f"converted {source} for {net.name} at {size} pixels")
        typer.echo(out)


@app.command()
def info(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|FILE", help="Published weights that were fetched, or a .safetensors file."
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Say what is known of weights.

    Without a name: which are published, for which model, and whether they have been fetched.

    Example: brainfit weights info mine.safetensors
    """
    if name is not None:
        facts = _describe(_zoo("weights.load:find_weights")(name))
        if as_json:
            print_json(facts)
            return
        for fact, value in facts.items():
            typer.echo(f"{fact.replace('_', ' ')}: {_text(value)}")
        return
    stored = _zoo("weights.published:stored")
    rows = [
        {
            "name": name,
            "model": row.model,
            "image_size": row.image_size,
            "source": row.source,
            "fetched": stored(name) is not None,
        }
        for name, row in _zoo("weights.published:PUBLISHED").items()
    ]
    if as_json:
        print_json(rows)
    else:
        columns = ["name", "model", "image_size", "fetched"]  # the source has no room
        print_table(
            [column.replace("_", " ") for column in columns],
            [[_text(row[column]) for column in columns] for row in rows],
        )


def _zoo(target: str) -> Any:
    return plugins.own_attribute("model_zoo", target)


def _describe(path: Path) -> dict[str, Any]:
    facts = asdict(_zoo("weights.file:read_info")(path))
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"file": str(path), "sha256": sha256, **facts}


def _text(value: object) -> str:
    match value:
        case None | "":
            return "unknown"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case dict():
            return printable(
                ", ".join(f"{key} {item}" for key, item in value.items()) or "none", longest=1000
            )
    return printable(value, longest=1000)
