"""``brainfit cache``: the contents of the cache on disk, and how to remove them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from brainfit.cli import options
from brainfit.cli.output import note, print_json, print_table
from brainfit.support.messages import format_bytes

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def cache() -> None:
    """Show or remove what brainfit keeps on disk.

    Example: brainfit cache info
    """


@app.command()
def info(as_json: options.AsJson = False) -> None:
    """Show where the cache is and how large its parts are.

    Features are kept up to a limit (BRAINFIT_CACHE_LIMIT, 20GB by default); beyond it the least recently used
    ones are removed. Fetched files, such as weights, stay until they are removed.

    Example: brainfit cache info
    """
    from brainfit.features.store import FOLDER
    from brainfit.storage.cache_folder import contents, folder
    from brainfit.storage.size_limit import size_limit

    limit, parts = size_limit(), contents()
    facts: dict[str, Any] = {"folder": str(folder()), "limit_bytes": limit, "bytes": sum(parts.values())}
    if as_json:
        print_json({**facts, "parts": parts})
        return
    rows = [
        [name, format_bytes(size), f"at most {format_bytes(limit)}" if name == FOLDER else ""]
        for name, size in parts.items()
    ]
    print_table(["part", "size", ""], rows, title=facts["folder"])


@app.command()
def clear(
    features: Annotated[
        bool,
        typer.Option(
            "--features",
            help="Remove the features of models only, which can be computed again; this is the default.",
        ),
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Remove fetched files, such as weights and recordings, too.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Remove the features of models, or everything, from the cache.

    Example: brainfit cache clear
    """
    if features and everything:
        raise typer.BadParameter("--all removes the features, too; give only one of --features and --all")
    from brainfit.features.store import open_store
    from brainfit.storage import cache_folder

    freed = open_store().clear()
    if everything:
        freed += cache_folder.clear()
    if as_json:
        print_json({"folder": str(cache_folder.folder()), "freed_bytes": freed})
    else:
        note(f"removed {format_bytes(freed)} from {cache_folder.folder()}")
