"""Read TensorFlow's checkpoints ("tensor bundles") without TensorFlow; nothing in them is ever executed.

A checkpoint ``model.ckpt`` is ``model.ckpt.index``, a table (`model_zoo.weights.leveldb_table`) of each
variable's type, shape and position, and ``model.ckpt.data-00000-of-00001`` and so on, the raw numbers. The
table has a protocol buffer for each variable, `BundleEntryProto`, by its name, and one for all,
`BundleHeaderProto`, by "".

See docs/decisions/0005-own-checkpoint-reader.md for what is not read, and why this reader is our own.

References
----------
.. [1] github.com/tensorflow/tensorflow, core/protobuf/tensor_bundle.proto.
.. [2] protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import math
import mmap
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from brainfit.errors import IntegrityError
from brainfit.storage.atomic_files import regular_file
from brainfit.support.messages import printable, reason

from .leveldb_table import Unreadable, masked_crc, read_table, take, varint

_LARGEST_INDEX, _LARGEST_LIST = 4 << 20, 1 << 20  # bytes; a variable takes about a hundred
_MOST_DIMS, _LARGEST = 32, 1 << 48  # dimensions and numbers of a variable, before numpy computes with them

_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 10: "|b1", 19: "<f2"}
# Tags of fields: 8 x their number, plus 0 for a varint, 1 for eight bytes, 2 for any bytes, 5 for four.
_NUM_SHARDS, _ENDIANNESS = 8, 16  # of the header
_DTYPE, _SHAPE, _SHARD, _OFFSET, _SIZE, _CRC, _SLICES = 8, 18, 24, 32, 40, 53, 58  # of an entry
_DIM, _LENGTH = 18, 8  # of a shape, and of a dimension


class Variable(NamedTuple):
    """A variable's entry in the index.

    Attributes
    ----------
    dtype, shape
        As numpy has them.
    shard, offset, size
        Number of its data file, from 0; position of its bytes in it; and their number.
    crc
        Their checksum.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int


def read_checkpoint(path: Path) -> dict[str, np.ndarray]:
    """Return all variables of a checkpoint by their names, once all checksums are known to be right.

    Parameters
    ----------
    path
        ``…/model.ckpt``, or ``…/model.ckpt.index``, or a folder that holds one checkpoint, or several and
        TensorFlow's file ``checkpoint``, which names the newest.

    Returns
    -------
    dict
        Read-only arrays of float16, float32, float64, int32, int64 or bool; the files, mapped into memory.

    Raises
    ------
    IntegrityError
        If there is no checkpoint, or it is damaged or has something that is not read here.
    """
    index, variables, shards = _open(path)
    with _reading(index):
        content = {shard: _map(file) for shard, file in shards.items()}
        sizes = defaultdict(int)
        for row in variables.values():
            sizes[row.shard] += row.size
        if overfull := [shards[shard].name for shard, size in sizes.items() if size > len(content[shard])]:
            raise Unreadable(f"{overfull[0]} has fewer bytes than its variables; it may be cut off")
        return {name: _values(name, row, content[row.shard]) for name, row in variables.items()}


def checkpoint_files(path: Path) -> list[Path]:
    """Return the files of a checkpoint, the index first; path and errors as for `read_checkpoint`."""
    index, _, shards = _open(path)
    return [index, *shards.values()]


@contextmanager
def _reading(index: Path) -> Iterator[None]:
    """Name the checkpoint in errors about unreadable content."""
    try:
        yield
    except Unreadable as error:
        raise IntegrityError(f"cannot read the TensorFlow checkpoint {index}: {error}") from error


def _open(path: Path) -> tuple[Path, dict[str, Variable], dict[int, Path]]:
    """Return the index file, what it says of the variables, and the data files that they lie in."""
    index = _find(path)
    with _reading(index):
        rows = dict(read_table(_content(index, _LARGEST_INDEX)))
        header = _fields(rows.pop(b"", b""))
        if _last(header, _ENDIANNESS):
            raise Unreadable("it is big-endian, wanted little-endian")
        messages = {_name(key): message for key, message in rows.items()}
        variables = {name: _variable(name, message) for name, message in messages.items()}
        n_shards = _last(header, _NUM_SHARDS)
        used = sorted({row.shard for row in variables.values()})
        if used and used[-1] >= n_shards:
            raise Unreadable(f"a variable lies in data file {used[-1]}, counted from 0, of {n_shards}")
    start, total = index.name.removesuffix(".index"), f"of-{n_shards:05d}"
    return index, variables, {k: index.with_name(f"{start}.data-{k:05d}-{total}") for k in used}


def _find(path: Path) -> Path:
    if not os.path.isdir(path):  # noqa: PTH112 - unlike Path, it takes any name
        index = path if path.suffix == ".index" else path.with_name(f"{path.name}.index")
        if not os.path.isfile(index):  # noqa: PTH113
            raise IntegrityError(f"there is no TensorFlow checkpoint {path}: it would have a file {index}")
        return index
    found = sorted(path.glob("*.index"))
    newest = path / "checkpoint"
    if len(found) > 1 and newest.is_file():
        with _reading(newest):
            text = _content(newest, _LARGEST_LIST).decode("utf-8", "replace")
        named = re.search(r'^model_checkpoint_path: "(?:[^"\n]*/)?([^"/\n]+)"', text, re.MULTILINE)
        found = [index for index in found if named and index.name == f"{named[1]}.index"] or found
    if len(found) != 1:
        raise IntegrityError(f"{path} holds {len(found)} TensorFlow checkpoints (files .index), wanted one")
    return found[0]


def _content(path: Path, largest: int) -> bytes:
    if regular_file(path) > largest:
        raise Unreadable(f"it has more than {largest} bytes")
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(reason(error)) from error


def _name(key: bytes) -> str:
    name = key.decode("utf-8", "replace")
    if not name.isprintable() or name.encode() != key:  # which it is not if a byte was replaced
        raise Unreadable(f"the name of a variable is not printable: {printable(repr(key))}")
    return name


def _variable(name: str, message: bytes) -> Variable:
    fields, name = _fields(message), printable(name)
    dtype = _last(fields, _DTYPE)
    if dtype not in _DTYPES:
        raise Unreadable(
            f"{name} is of TensorFlow's type {dtype}, wanted float, double, half, int32, int64 or bool"
        )
    if _SLICES in fields:
        raise Unreadable(f"{name} is stored in slices (a partitioned variable), wanted it in one piece")
    dims = _fields(_last(fields, _SHAPE, b""))[_DIM]
    shape = tuple(_last(_fields(dim), _LENGTH) for dim in dims)
    if len(shape) > _MOST_DIMS or math.prod(max(length, 1) for length in shape) > _LARGEST:
        raise Unreadable(f"{name} claims to have {len(shape)} dimensions or too many numbers")
    shard, offset, size = (_last(fields, tag) for tag in (_SHARD, _OFFSET, _SIZE))
    if size != math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize:
        raise Unreadable(f"{name} has {size} bytes, which is not what its shape {shape} takes")
    crc = int.from_bytes(_last(fields, _CRC, b""), "little")
    return Variable(np.dtype(_DTYPES[dtype]), shape, shard, offset, size, crc)


def _fields(message: bytes) -> defaultdict[int, list[Any]]:
    """Return the values of a protocol buffer by their tags: numbers, or bytes, as the tag says."""
    fields: defaultdict[int, list[Any]] = defaultdict(list)
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        value, at = varint(message, at) if tag & 7 in (0, 2) else (0, at)
        if tag & 7:
            size = {1: 8, 2: value, 5: 4}.get(tag & 7)
            if size is None:
                raise Unreadable("its index holds a field of an unknown kind")
            value, at = take(message, at, size), at + size
        fields[tag].append(value)
    return fields


def _last(fields: defaultdict[int, list[Any]], tag: int, default: int | bytes = 0) -> Any:
    """Return a field's value; one that is not written has its default."""
    return fields[tag][-1] if fields[tag] else default


def _map(path: Path) -> mmap.mmap | bytes:
    size = regular_file(path)
    try:
        with path.open("rb") as file:
            # An empty file cannot be mapped.
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
    except OSError as error:
        raise Unreadable(f"{path.name}: {reason(error)}") from error


def _values(name: str, row: Variable, shard: mmap.mmap | bytes) -> np.ndarray:
    if row.offset + row.size > len(shard):
        raise Unreadable(f"{printable(name)} lies beyond the end of its file, which may be cut off")
    raw = np.frombuffer(shard, np.uint8, row.size, row.offset) if row.size else np.empty(0, np.uint8)
    if masked_crc(raw) != row.crc:
        raise Unreadable(f"{printable(name)} is not what its checksum says")
    return raw.view(row.dtype).reshape(row.shape)
