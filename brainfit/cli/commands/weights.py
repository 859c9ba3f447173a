"""``brainfit weights``: fetch, convert and describe trained weights."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from brainfit.cli import options
from brainfit.cli.output import note, print_fact, print_json, print_table, user_code
from brainfit.registry import lookup, plugins
from brainfit.support.messages import printable

_SIZE = 224
"""Image size in pixels that nearly all published weights were trained on."""

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def _filled(text: str) -> str:
    """Refuse an empty text, such as an unset shell variable, which as a path would be the current folder."""
    if not text:
        raise typer.BadParameter("got an empty text, wanted a path")
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

    Converts them and prints their path. Weights that were fetched before are not fetched again.

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
        typer.Option(help=f"Model that the weights are for. {options.MODEL_HELP}"),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write; its name ends in .safetensors.")],
    image_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Side in pixels of the images that the weights were trained on.",
            show_default=f"{_SIZE}, or the model's own where it offers no choice",
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Convert weights to a file that --weights takes.

    Every name and shape must match the model. No code in the file is run.

    Example: brainfit weights convert model.ckpt --model gru_intermediate -o mine.safetensors
    """
    with user_code():
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
    """Describe weights.

    Without a name, lists the published weights with their models and which were fetched.

    Example: brainfit weights info mine.safetensors
    """
    if name is not None:
        facts = _describe(_zoo("weights.load:find_weights")(name))
        if as_json:
            print_json(facts)
            return
        for fact, value in facts.items():
            print_fact(fact.replace("_", " "), _text(value))
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
        columns = ["name", "model", "image_size", "fetched"]  # a table has no room for the source
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
