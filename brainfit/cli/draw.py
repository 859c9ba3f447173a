"""``brainfit draw``: the layers and connections of a model as a picture."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brainfit import registry
from brainfit.cli.output import others_code, print_json
from brainfit.errors import ContractError, IntegrityError

if TYPE_CHECKING:
    from brainfit.wiring import Wiring

# No dates or versions in the files: the same model gives the same bytes.
FORMATS = {".svg": {"Date": None}, ".png": {"Software": None}, ".pdf": {"CreationDate": None}}


def draw(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A name of `brainfit list models`, package.module:factory or path/to/file.py:factory.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help=f"The file ({', '.join(FORMATS)}); one that is there is replaced.",
            show_default="the model's name, .svg",
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            min=1, help="Pixels a side, for models that offer a choice.", show_default="the model's own"
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the layers and connections, too, as one JSON object.")
    ] = False,
) -> None:
    """Draw the layers and connections of a model.

    Example: brainfit draw median_convrnn -o median.pdf
    """
    if out is not None:
        _check_suffix(out)
    wiring = _wiring(model, {} if image_size is None else {"image_size": image_size})
    path = Path(re.sub(r"[^\w.+-]", "_", wiring.model) + ".svg") if out is None else out
    _write(wiring, path)
    if as_json:
        print_json({"file": str(path), **asdict(wiring)})
    else:
        typer.echo(path)


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() not in FORMATS:
        raise ContractError(
            f"cannot draw to {str(path)!r}: wanted a file that ends in {' or '.join(FORMATS)}"
        )


def _wiring(name: str, options: dict[str, int]) -> Wiring:
    from brainfit.model_contract import foreign_code
    from brainfit.wiring import Wiring

    with others_code():
        net = registry.load_model(name, **options)
        method = getattr(net, "wiring", None)
        with foreign_code(f"model {name!r}: wiring() failed:"):
            wiring = method() if callable(method) else None
    if not isinstance(wiring, Wiring):
        raise ContractError(
            f"model {name!r} cannot be drawn: it has no method wiring() that returns a brainfit.wiring.Wiring"
        )
    return wiring


def _write(wiring: Wiring, path: Path) -> None:
    """Draw to a file beside `path`, and move it there once it is whole."""
    import matplotlib as mpl

    from brainfit.figures import schematic
    from brainfit.report.write import SAVING

    figure = schematic(wiring).figure()
    suffix = path.suffix.lower()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".brainfit-", dir=path.parent) as folder:
            drawn = Path(folder, "drawn")
            with mpl.rc_context(SAVING):
                figure.savefig(drawn, format=suffix[1:], metadata=FORMATS[suffix])
            os.replace(drawn, path)
    except OSError as error:
        raise IntegrityError(f"cannot write to {path}: {error.strerror or error}") from error
