"""What one layer did for one batch of images, in one file that is whole or is found not to be.

A file has a line of JSON with its key, the trajectory's index and the length of what follows, the distinct
blocks bit by bit as `safetensors` writes them, and the CRC-32C of all that in eight hexadecimal digits.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import google_crc32c
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ContractError, IntegrityError
from brainfit.storage.atomic_files import regular_file

PART = ".part"
"""Ends the name of a file that is being written, or whose writer was killed."""
_DIGITS = 8
_LONGEST_LINE = 2**20


def write_shard(path: Path, key: str, trajectory: Trajectory, *, durable: bool = True) -> int:
    """Put a trajectory at `path`, whole or not at all, and return the bytes of the file.

    Parameters
    ----------
    path
        What is there is replaced.
    key
        What `read_shard` must be asked for.
    trajectory
        Of any floating-point type, on any device.
    durable
        Whether to wait until it would outlast a loss of power.

    Raises
    ------
    OSError
        If the disk fails or is full; nothing is then left behind.
    """
    # Copies: blocks may be parts of one memory, which safetensors does not write.
    copies = (
        block.detach().cpu().clone(memory_format=torch.contiguous_format) for block in trajectory.blocks
    )
    blocks = {str(k): block for k, block in enumerate(copies)}
    body = save(blocks)
    facts = {"key": key, "index": list(trajectory.index), "bytes": len(body)}
    line = json.dumps(facts).encode() + b"\n"
    handle, name = tempfile.mkstemp(PART, f".{path.name}.", path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(line)
            file.write(body)
            file.write(_checksum(line, body))
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if durable:
        _sync(path.parent)
    return len(line) + len(body) + _DIGITS


def read_shard(path: Path, key: str) -> Trajectory:
    """Return the trajectory that `write_shard` put there, on the CPU.

    Raises
    ------
    FileNotFoundError
        If there is none.
    IntegrityError
        If it is damaged, or cannot be read; it says why, without the file's name.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    size = regular_file(path)
    with path.open("rb") as file:
        line = file.readline(_LONGEST_LINE)
        try:
            facts = json.loads(line)
            n_bytes = facts["bytes"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise IntegrityError("it is no shard") from error
        # Before anything is read: a length that is wrong may be any.
        if type(n_bytes) is not int or size != len(line) + n_bytes + _DIGITS:
            raise IntegrityError("its length is wrong")
        body, digits = file.read(n_bytes), file.read()
    if _checksum(line, body) != digits:
        raise IntegrityError("its checksum is wrong")
    if facts.get("key") != key:
        raise IntegrityError("it holds something else")
    try:
        blocks = load(body)
        return Trajectory(tuple(blocks[str(k)] for k in range(len(blocks))), tuple(facts["index"]))
    except (SafetensorError, ValueError, KeyError, TypeError, ContractError) as error:
        raise IntegrityError("it is no shard") from error


def _checksum(*parts: bytes) -> bytes:
    value = 0
    for part in parts:
        value = google_crc32c.extend(value, part)
    return f"{value:08x}".encode()


def _sync(folder: Path) -> None:
    """Make the new name in a folder outlast a loss of power, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
