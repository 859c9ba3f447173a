"""``brainfit cache``: what is kept on disk, and how to be rid of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from brainfit.cli.output import note, print_json, print_table
from brainfit.support.messages import format_bytes

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def cache() -> None:
    """See and remove what brainfit keeps on disk.

    Example: brainfit cache info
    """


@app.command()
def info(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Say where the cache is, and how much of what it holds.

    Features are kept up to a limit (BRAINFIT_CACHE_LIMIT, 20GB by default), and then those that were least
    recently used go. What was fetched, such as weights, stays until it is removed.

    Example: brainfit cache info
    """
    from brainfit.features.store import FOLDER
    from brainfit.storage.cache_folder import contents, folder
    from brainfit.storage.size_limit import size_limit

    limit, held = size_limit(), contents()
    facts: dict[str, Any] = {"folder": str(folder()), "limit_bytes": limit, "bytes": sum(held.values())}
    if as_json:
        print_json({**facts, "parts": held})
        return
    rows = [
        [name, format_bytes(size), f"at most {format_bytes(limit)}" if name == FOLDER else ""]
        for name, size in held.items()
    ]
    print_table(["part", "size", ""], rows, title=facts["folder"])


@app.command()
def clear(
    features: Annotated[
        bool, typer.Option("--features", help="Remove the features of models: they can be computed again.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Remove what was fetched, too, such as weights and recordings.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Remove what is kept: the features of models, or all of it.

    Example: brainfit cache clear
    """
    if features and everything:
        raise typer.BadParameter("--all removes features, too; give one of --features and --all")
    from brainfit.features.store import open_store
    from brainfit.storage import cache_folder as kept

    freed = open_store().clear()
    if everything:
        freed += kept.clear()
    if as_json:
        print_json({"folder": str(kept.folder()), "freed_bytes": freed})
    else:
        note(f"removed {format_bytes(freed)} from {kept.folder()}")
