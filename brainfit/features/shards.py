"""Files that hold the features of one layer for one batch of images, and that reveal any damage.

A file has a line of JSON with its key, the trajectory's index and the length of the rest; the distinct
blocks, bit by bit, as `safetensors` writes them; and the CRC-32C of both in eight hexadecimal digits.
"""

from __future__ import annotations

import json
import os
import stat
from errno import ELOOP
from pathlib import Path
from uuid import uuid4

import google_crc32c
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ContractError, IntegrityError
from brainfit.storage.atomic_files import open_no_link

PART = ".part"
"""Suffix of a file that is being written, or whose writer was killed."""
_DIGITS = 8
_LONGEST_LINE = 2**20


def write_shard(path: Path, key: str, trajectory: Trajectory, *, durable: bool = True) -> int:
    """Write a trajectory to `path`, whole or not at all, and return the size of the file in bytes.

    Parameters
    ----------
    path
        Path of the file; an existing one is replaced. Its mode follows the umask.
    key
        Key with which `read_shard` must be called.
    trajectory
        Trajectory of any floating-point type, on any device.
    durable
        True to wait until the file would survive a loss of power.

    Raises
    ------
    OSError
        If the disk fails or is full; nothing is then left behind.
    """
    # Blocks may share memory, which safetensors does not write, so they are copied.
    copies = (
        block.detach().cpu().clone(memory_format=torch.contiguous_format) for block in trajectory.blocks
    )
    blocks = {str(k): block for k, block in enumerate(copies)}
    body = save(blocks)
    facts = {"key": key, "index": list(trajectory.index), "bytes": len(body)}
    line = json.dumps(facts).encode() + b"\n"
    new = path.with_name(f".{uuid4().hex}{PART}")
    try:
        with open_no_link(new, "xb") as file:
            file.write(line)
            file.write(body)
            file.write(_checksum(line, body))
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    if durable:
        _sync(path.parent)
    return len(line) + len(body) + _DIGITS


def read_shard(path: Path, key: str) -> Trajectory:
    """Return the trajectory that `write_shard` wrote, on the CPU.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    IntegrityError
        If the file is damaged; the message gives the reason without the file's name.
    OSError
        If it cannot be read now; it may be whole.
    """
    try:
        opened = open_no_link(path, "rb")
    except OSError as error:
        if error.errno == ELOOP:
            raise IntegrityError("it is a link") from error
        raise
    with opened as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise IntegrityError("it is not an ordinary file")
        size = facts.st_size
        line = file.readline(_LONGEST_LINE)
        try:
            header = json.loads(line)
            n_bytes = header["bytes"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise IntegrityError("it is not a shard") from error
        # Checked before anything is read, because a wrong length may be huge.
        if type(n_bytes) is not int or size != len(line) + n_bytes + _DIGITS:
            raise IntegrityError("its length is wrong")
        body, digits = file.read(n_bytes), file.read()
    if _checksum(line, body) != digits:
        raise IntegrityError("its checksum is wrong")
    if header.get("key") != key:
        raise IntegrityError("it holds something else")
    try:
        blocks = load(body)
        return Trajectory(tuple(blocks[str(k)] for k in range(len(blocks))), tuple(header["index"]))
    except (SafetensorError, ValueError, KeyError, TypeError, ContractError) as error:
        raise IntegrityError("it is not a shard") from error


def _checksum(*parts: bytes) -> bytes:
    value = 0
    for part in parts:
        value = google_crc32c.extend(value, part)
    return f"{value:08x}".encode()


def _sync(folder: Path) -> None:
    """Make a new name in a folder survive a loss of power, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
