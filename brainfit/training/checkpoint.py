"""Write checkpoints whole or not at all, and find the last good one.

    checkpoints/step-00001200.pt    weights, optimizer, averaged weights, step, recipe and what was trained on

The last two are kept: where the newest is damaged, the run goes on from the one before.
"""

from __future__ import annotations

import logging
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from brainfit.errors import ContractError, IntegrityError
from brainfit.storage.atomic_files import replaced
from brainfit.support.messages import printable, reason

FOLDER = "checkpoints"
_KEPT = 2
_log = logging.getLogger(__name__)


def save_checkpoint(run: Path, step: int, values: dict[str, Any]) -> Path:
    """Write a checkpoint to a run folder and remove all but the last two.

    Raises
    ------
    IntegrityError
        If it cannot be written; the ones before are still there.
    """
    folder = run / FOLDER
    path = folder / f"step-{step:08d}.pt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replaced(path) as new, new.open("wb") as file:
            torch.save({**values, "step": step}, file)
            file.flush()
            os.fsync(file.fileno())
        for old in sorted(folder.glob("step-*.pt"))[:-_KEPT]:
            old.unlink()
    except (OSError, RuntimeError) as error:  # torch's writer raises RuntimeError on a full disk
        raise IntegrityError(
            f"cannot write the checkpoint {printable(path)}: {reason(error)}; free the disk and run the same "
            "command again: it continues from the checkpoint before"
        ) from error
    return path


def load_checkpoint(run: Path) -> dict[str, Any] | None:
    """Return the newest checkpoint of a run folder that can be read, or None if it has none.

    Raises
    ------
    IntegrityError
        If there are checkpoints and none can be read.
    """
    paths = sorted((run / FOLDER).glob("step-*.pt"), reverse=True)
    for path in paths:
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
            _log.warning(
                "the checkpoint %s is damaged (%s); the one before is used", path.name, reason(error)
            )
    if paths:
        raise IntegrityError(
            f"no checkpoint of {printable(run)} can be read; remove the folder {FOLDER} there to begin anew"
        )
    return None


def require_same(values: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise unless a checkpoint is of the run that is asked for.

    Parameters
    ----------
    values
        The checkpoint.
    wanted
        Values of the run for ``model``, ``task`` and each field of the recipe.

    Raises
    ------
    ContractError
        If something differs: the message names it.
    """
    held = values["identity"]
    different = [
        f"{name} {held.get(name)}, not {now}" for name, now in wanted.items() if held.get(name) != now
    ]
    if different:
        raise ContractError(
            f"the folder has a checkpoint of another run: {'; '.join(different)}; "
            "give the same settings to continue it, or another --out"
        )
