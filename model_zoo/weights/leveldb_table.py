"""Read a table as LevelDB writes it: sorted keys and values, in blocks with checksums, uncompressed.

.. code-block:: text

    table    block ... block, meta block, index block, footer
    block    entry ... entry, restart offset (4) ..., number of restarts (4) | type (1), checksum (4)
    entry    bytes shared with the key before, further bytes of the key, bytes of the value, the two
    footer   handle of the meta block, handle of the index block, zeros up to 40 bytes, magic number (8)
    handle   offset and size of a block

The values of the index block are the handles of the blocks before. Numbers are varints unless stated
otherwise: seven bits a byte, the lowest first; the eighth bit is set if more bytes follow.

References
----------
.. [1] github.com/google/leveldb, doc/table_format.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import google_crc32c
import numpy as np

_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER, _TRAILER = 48, 5  # bytes
_LONGEST_KEY = 1024  # bytes: keys grow from what they share, so that a small file could fill the memory


class Unreadable(Exception):
    """Why a file cannot be read."""


def read_table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a table, in the order of the keys.

    Raises
    ------
    Unreadable
        If it is damaged or compressed. Whatever the bytes are, each is read a few times at the most.
    """
    if len(data) < _FOOTER or not data.endswith(_MAGIC):
        raise Unreadable("its index does not end as one does; it may be cut off")
    _, at = _handle(data, len(data) - _FOOTER)  # of the meta block, which holds nothing that is needed
    (offset, size), _ = _handle(data, at)
    end, before = 0, None
    for _, value in _block(data, offset, size):
        (offset, size), _ = _handle(value, 0)
        if offset < end:
            raise Unreadable("the blocks of its index overlap")
        end = offset + size
        for key, content in _block(data, offset, size):
            if before is not None and key <= before:
                raise Unreadable("its index is not sorted")
            before = key
            yield key, content


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number, below 2^70, that begins at `at`, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        byte = take(data, at, 1)[0]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise Unreadable("its index holds a number of more than ten bytes")


def take(data: bytes, at: int, size: int) -> bytes:
    """Return `size` bytes from `at` on, and refuse a table that ends before."""
    if at < 0 or size < 0 or at + size > len(data):
        raise Unreadable("its index points beyond its end")
    return data[at : at + size]


def masked_crc(data: bytes | np.ndarray) -> int:
    """Return the CRC-32C as it is stored, rotated and shifted."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a block."""
    block = take(data, offset, size)
    trailer = take(data, offset + size, _TRAILER)
    if masked_crc(block + trailer[:1]) != int.from_bytes(trailer[1:], "little"):
        raise Unreadable("a block of its index is not what its checksum says")
    if trailer[0]:
        raise Unreadable("its index is compressed, wanted one that is not, as TensorFlow writes it")
    restarts = int.from_bytes(take(block, size - 4, 4), "little")
    entries = take(block, 0, size - 4 * (restarts + 1))
    at, key = 0, b""
    while at < len(entries):
        shared, at = varint(entries, at)
        further, at = varint(entries, at)
        length, at = varint(entries, at)
        if shared > len(key) or shared + further > _LONGEST_KEY:
            raise Unreadable(f"its index has a name that is damaged, or longer than {_LONGEST_KEY} bytes")
        key = key[:shared] + take(entries, at, further)
        yield key, take(entries, at + further, length)
        at += further + length


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Return offset and size of a block, and where the handle ends."""
    offset, at = varint(data, at)
    size, at = varint(data, at)
    return (offset, size), at
