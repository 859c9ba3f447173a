"""``brainfit draw``: draw the layers and connections of a model."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brainfit.cli import options
from brainfit.cli.output import print_json, user_code
from brainfit.cli.pictures import SUFFIXES, check_picture, save_picture
from brainfit.errors import ContractError
from brainfit.registry import lookup

if TYPE_CHECKING:
    from brainfit.contracts.diagram import Wiring


def draw(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help=options.MODEL_HELP,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help=f"File to write ({', '.join(SUFFIXES)}); an existing one is replaced.",
            show_default="the model's name, .svg",
        ),
    ] = None,
    image_size: options.ImageSize = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the layers and connections as one JSON object.")
    ] = False,
) -> None:
    """Draw the layers and connections of a model.

    Example: brainfit draw median_convrnn -o median.pdf
    """
    if out is not None:
        check_picture(out)
    wiring = _wiring(model, {} if image_size is None else {"image_size": image_size})
    path = Path(re.sub(r"[^\w.+-]", "_", wiring.model) + ".svg") if out is None else out
    from brainfit.figures import schematic

    save_picture(schematic(wiring), path)
    if as_json:
        print_json({"file": str(path), **asdict(wiring)})
    else:
        typer.echo(path)


def _wiring(name: str, given: dict[str, int]) -> Wiring:
    from brainfit.contracts.diagram import Wiring
    from brainfit.support.foreign_errors import foreign_code

    with user_code():
        net = lookup.load_model(name, **given)
        method = getattr(net, "wiring", None)
        with foreign_code(f"model {name!r}: wiring() failed:"):
            wiring = method() if callable(method) else None
    if not isinstance(wiring, Wiring):
        raise ContractError(
            f"model {name!r} cannot be drawn: it has no method wiring() that returns a "
            "brainfit.contracts.diagram.Wiring"
        )
    return wiring
