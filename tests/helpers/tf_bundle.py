"""Write TensorFlow checkpoints from their specification, without using brainfit."""

import struct

import numpy as np

MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
DTYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "bool": 10, "float16": 19}


def _crc_table():
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


TABLE = list(_crc_table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32


def varint(number):
    number %= 2**64
    out = bytearray()
    while number > 127:
        out.append(number % 128 + 128)
        number //= 128
    return bytes([*out, number])


def field(number, value):
    """Encode a field of a protocol buffer; a default value is not written."""
    if isinstance(value, bytes):
        return varint(number * 8 + 2) + varint(len(value)) + value
    return varint(number * 8) + varint(value) if value else b""


def header(n_shards, big_endian=0):
    return field(1, n_shards) + field(2, big_endian) + field(3, field(1, 1))


def entry(dtype, shape, shard, offset, size, crc):
    dims = b"".join(field(2, field(1, length)) for length in shape)
    places = field(3, shard) + field(4, offset) + field(5, size)
    return field(1, dtype) + field(2, dims) + places + b"\x35" + struct.pack("<I", crc)


def entries(rows, interval):
    """Encode the rows of a block; every `interval`-th key is written in full."""
    out, restarts, before = b"", [], b""
    for k, (key, value) in enumerate(rows):
        shared = 0
        if k % interval:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        else:
            restarts.append(len(out))
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    return out + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


def table(rows, per_block=4, interval=3, kind=0, change=lambda number, block: block):
    """Encode a table; `change` may replace the content of any block; the last two are meta and index."""
    out, index = b"", []

    def add(block):
        nonlocal out
        block = change(len(index), block)
        handle = varint(len(out)) + varint(len(block))
        out += block + bytes([kind]) + struct.pack("<I", masked(block + bytes([kind])))
        return handle

    for k in range(0, len(rows), per_block):
        index.append((rows[k : k + per_block][-1][0], add(entries(rows[k : k + per_block], interval))))
    meta = add(entries([], interval))
    index.append((b"", b""))  # lets `change` distinguish the index from the meta block
    handles = meta + add(entries(index[:-1], 1))
    return out + handles.ljust(40, b"\0") + MAGIC


def write(prefix, variables, n_shards=1, **options):
    """Write a checkpoint of arrays, distributed over the shards in turn."""
    shards = [b""] * n_shards
    rows = {b"": header(n_shards)}
    for k, name in enumerate(sorted(variables)):
        values = np.asarray(variables[name])
        data, shard = values.tobytes(), k % n_shards
        place = (shard, len(shards[shard]), len(data), masked(data))
        rows[name.encode()] = entry(DTYPES[values.dtype.name], values.shape, *place)
        shards[shard] += data
    for k, data in enumerate(shards):
        prefix.with_name(f"{prefix.name}.data-{k:05d}-of-{n_shards:05d}").write_bytes(data)
    prefix.with_name(f"{prefix.name}.index").write_bytes(table(sorted(rows.items()), **options))
