import os
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tf_bundle as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from brainfit.errors import IntegrityError
from model_zoo.weights.tf_checkpoint import checkpoint_files, read_checkpoint

GOLDEN = Path(__file__).parents[2] / "golden"
CKPT = GOLDEN / "ckpt" / "rgc_intermediate"
VARIABLES = {
    "a/weights": np.arange(6, dtype=np.float32).reshape(1, 2, 3),
    "a/weights/Momentum": -np.ones((1, 2, 3), np.float32),
    "b": np.array([1.5, np.inf], np.float16),
    "empty": np.zeros((0, 3), np.float64),
    "flags": np.array([True, False]),
    "global_step": np.array(123456789012, np.int64),
    "größe/名前": np.array([[-7]], np.int32),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with a fresh copy of a checkpoint that TensorFlow wrote."""
    folder = tmp_path_factory.mktemp("checkpoint")
    shutil.copytree(CKPT, folder, dirs_exist_ok=True)
    return folder


def same(got, wanted):
    return got.keys() == wanted.keys() and all(
        got[name].dtype == wanted[name].dtype and np.array_equal(got[name], wanted[name]) for name in wanted
    )


def refusal(path):
    with pytest.raises(IntegrityError) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_checksum_of_the_test_writer_is_the_standard_crc32c():
    assert tf.crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize("path", [CKPT, CKPT / "model.ckpt", CKPT / "model.ckpt.index"])
def test_a_checkpoint_of_tensorflow_is_read_as_written(path):
    with np.load(GOLDEN / "rgc_intermediate_224.npz") as file:
        wanted = {key[4:]: file[key] for key in file if key.startswith("var/")}
    assert len(wanted) == 148
    assert same(read_checkpoint(path), wanted)
    assert [file.name for file in checkpoint_files(path)] == [
        "model.ckpt.index",
        "model.ckpt.data-00000-of-00001",
    ]


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20),
        arrays.arrays(
            st.sampled_from(sorted(tf.DTYPES)).map(np.dtype), arrays.array_shapes(min_dims=0, max_side=3)
        ).filter(lambda values: not np.isnan(values).any()),
        max_size=12,
    ),
    st.integers(1, 3),
    st.integers(1, 5),
    st.integers(1, 4),
)
@example(VARIABLES, 3, 2, 2)
@example({f"layer/{k:04d}/weights": np.float32(k) for k in range(300)}, 2, 16, 16)
def test_a_checkpoint_of_any_arrays_is_read_as_written(
    tmp_path_factory, variables, n_shards, per_block, interval
):
    prefix = tmp_path_factory.mktemp("written") / "model.ckpt-10"
    tf.write(prefix, variables, n_shards, per_block=per_block, interval=interval)
    wanted = {name: np.asarray(values) for name, values in variables.items()}
    assert same(read_checkpoint(prefix), wanted)
    assert len(checkpoint_files(prefix)) == 1 + min(n_shards, len(wanted))


def test_arrays_are_memory_mapped_and_read_only(tmp_path):
    tf.write(tmp_path / "m", {"a": np.ones(3, np.float32)})
    with pytest.raises(ValueError, match="read-only"):
        read_checkpoint(tmp_path)["a"][0] = 2


def test_among_several_checkpoints_the_one_named_by_the_folder_is_read(tmp_path):
    for step in (1, 2, 12):
        tf.write(tmp_path / f"model.ckpt-{step}", {"step": np.int64(step)})
    assert "3 TensorFlow checkpoints" in refusal(tmp_path)
    text = 'model_checkpoint_path: "{}model.ckpt-2"\nall_model_checkpoint_paths: "model.ckpt-12"\n'
    for start in ("", "/of/another/machine/"):
        (tmp_path / "checkpoint").write_text(text.format(start))
        assert read_checkpoint(tmp_path) == {"step": 2}
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-3"\n')
    assert "3 TensorFlow checkpoints" in refusal(tmp_path)


def test_missing_files_are_named(tmp_path):
    assert "0 TensorFlow checkpoints" in refusal(tmp_path)
    assert "would have a file" in refusal(tmp_path / "model.ckpt")
    tf.write(tmp_path / "m", VARIABLES, n_shards=2)
    (tmp_path / "m.data-00001-of-00002").unlink()
    assert "m.data-00001-of-00002: No such file" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["m.index", "m.data-00000-of-00001"])
def test_a_pipe_is_refused_without_waiting(tmp_path, name):
    tf.write(tmp_path / "m", VARIABLES)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    assert "it is a pipe" in refusal(tmp_path)


def test_an_endless_list_of_checkpoints_is_refused(tmp_path):
    for step in (1, 2):
        tf.write(tmp_path / f"model.ckpt-{step}", {"step": np.int64(step)})
    with (tmp_path / "checkpoint").open("wb") as file:
        file.truncate(1 << 40)
    assert "more than 1048576 bytes" in refusal(tmp_path)


def test_names_in_messages_are_short_and_printable(tmp_path):
    (tmp_path / "m.index").write_bytes(tf.table([(b"", tf.header(1)), (b"\x1b" * 1000, GOOD)]))
    assert len(refusal(tmp_path)) < 300 + len(str(tmp_path))
    (tmp_path / "m.index").write_bytes(tf.table([(b"", tf.header(1)), (b"a" * 1000, b"")]))
    assert len(refusal(tmp_path)) < 300 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (tf.entry(7, (1,), 0, 0, 4, 0), "a is of TensorFlow's type 7"),
        (tf.entry(14, (2,), 0, 0, 4, 0), "a is of TensorFlow's type 14"),
        (b"", "a is of TensorFlow's type 0"),
        (tf.entry(1, (1,), 0, 0, 4, 0) + tf.field(7, b""), "partitioned"),
        (tf.entry(1, (1,), 1, 0, 4, 0), "data file 1, counted from 0, of 1"),
        (tf.entry(1, (1,), 0, 1, 4, 0), "beyond the end"),
        (tf.entry(1, (1,), 0, -4, 4, 0), "beyond the end"),
        (tf.entry(1, (2,), 0, 0, 8, 0), "fewer bytes than its variables"),
        (tf.entry(1, (2**40,), 0, 0, 2**42, 0), "fewer bytes than its variables"),
        (tf.entry(1, (2**40,), 0, 0, 4, 0), "not what its shape"),
        (tf.entry(1, (-1,), 0, 0, 4, 0), "too many numbers"),
        (tf.entry(1, (0, 2**40, 2**40), 0, 0, 0, 0), "too many numbers"),
        (tf.entry(1, (1,) * 70, 0, 0, 4, 0), "70 dimensions"),
        (tf.entry(1, (1,), 0, 0, 4, 0), "not what its checksum says"),
        (tf.entry(1, (1,), 0, 0, 4, 0)[:-2], "points beyond its end"),
        (b"\x0b", "unknown kind"),
        (b"\xff" * 10 + b"\x01", "more than ten bytes"),
    ],
)
def test_impossible_variables_are_refused(tmp_path, row, says):
    (tmp_path / "m.data-00000-of-00001").write_bytes(bytes(4))
    (tmp_path / "m.index").write_bytes(tf.table([(b"", tf.header(1)), (b"a", row)]))
    tracemalloc.start()
    assert says in refusal(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


GOOD = tf.entry(1, (), 0, 0, 4, tf.masked(bytes(4)))


@pytest.mark.parametrize(
    ("rows", "options", "says"),
    [
        ([(b"", tf.header(1, big_endian=1))], {}, "big-endian"),
        ([(b"", tf.header(1)), (b"a", GOOD)], {"kind": 1}, "compressed"),
        ([(b"a", GOOD)], {}, "data file 0, counted from 0, of 0"),
        ([(b"", tf.header(1)), (b"b", GOOD), (b"a", GOOD)], {}, "not sorted"),
        ([(b"", tf.header(1)), (b"a", GOOD), (b"a", GOOD)], {"per_block": 1}, "not sorted"),
        ([(b"", tf.header(1)), (b"a", GOOD), (b"b", GOOD)], {}, "fewer bytes than its variables"),
        ([(b"", tf.header(1)), (b"a\n", GOOD)], {}, "not printable"),
        ([(b"", tf.header(1)), (b"\xff", GOOD)], {}, "not printable"),
        ([(b"", tf.header(1)), (b"a" * 1025, GOOD)], {}, "longer than 1024 bytes"),
        ([(b"", tf.header(1))], {"change": lambda number, block: b"\xff" * 8}, "beyond its end"),
        ([(b"", tf.header(1))], {"change": lambda number, block: b"\1\0\0" + bytes(4)}, "damaged"),
        ([(b"", bytes(5 << 20))], {}, "more than 4194304 bytes"),
    ],
)
def test_unreadable_indexes_are_refused(tmp_path, rows, options, says, monkeypatch):
    if says.startswith("more than"):
        monkeypatch.setattr(tf, "masked", lambda data: 0)  # checksums are slow here, and never read
    (tmp_path / "m.data-00000-of-00001").write_bytes(bytes(4))
    (tmp_path / "m.index").write_bytes(tf.table(rows, **options))
    assert says in refusal(tmp_path)


def test_blocks_that_overlap_are_refused(tmp_path):
    handle = tf.varint(0) + tf.varint(len(tf.entries([], 1)))
    loop = tf.entries([(b"%03d" % k, handle) for k in range(200)], 1)
    data = tf.table([], change=lambda number, block: loop if number else block)
    (tmp_path / "m.index").write_bytes(data)
    assert "overlap" in refusal(tmp_path)


def outcome(path):
    """Return the variables that are read, or None if the file is refused."""
    try:
        return read_checkpoint(path)
    except IntegrityError:
        return None


def test_a_changed_byte_of_the_index_is_detected_or_harmless(place, rng):
    whole, wanted = (CKPT / "model.ckpt.index").read_bytes(), read_checkpoint(CKPT)
    footer = len(whole) - 48
    for at in [*rng.choice(footer, 80, replace=False), *range(footer, len(whole))]:
        changed = whole[at] ^ int(rng.integers(1, 256))
        (place / "model.ckpt.index").write_bytes(whole[:at] + bytes([changed]) + whole[at + 1 :])
        got = outcome(place)
        if got is not None:  # the byte belongs to the handle of the meta block or to the padding
            assert at >= footer
            assert same(got, wanted)


def test_a_truncated_index_is_detected(place, rng):
    whole = (CKPT / "model.ckpt.index").read_bytes()
    for size in [0, 47, 48, len(whole) - 1, *rng.choice(len(whole), 40)]:
        (place / "model.ckpt.index").write_bytes(whole[:size])
        refusal(place)


def test_a_changed_or_truncated_data_file_is_detected(place, rng):
    shutil.copy(CKPT / "model.ckpt.index", place)
    data = "model.ckpt.data-00000-of-00001"
    whole = (CKPT / data).read_bytes()
    for at in [0, len(whole) - 1, *rng.choice(len(whole), 30)]:
        changed = bytes([whole[at] ^ int(rng.integers(1, 256))])
        for content in (whole[:at] + changed + whole[at + 1 :], whole[:at]):
            (place / data).write_bytes(content)
            refusal(place)


def test_forged_content_with_valid_checksums_raises_only_our_errors(tmp_path, rng):
    """Checksums protect against damage, not against forgery: a forged file has valid checksums."""
    outcomes = []
    for _ in range(600):
        number = rng.integers(4)

        def change(k, block, number=number):
            if k != number:
                return block
            changed = bytearray(block)
            for at in rng.integers(len(block), size=rng.integers(1, 4)):
                changed[at] = rng.choice([0, 1, 127, 128, 255, rng.integers(256)])
            return bytes(changed[: rng.integers(len(block))] if rng.random() < 0.2 else changed)

        tf.write(tmp_path / "m", dict(list(VARIABLES.items())[:5]), per_block=3, change=change)
        outcomes.append(outcome(tmp_path))
    assert 0 < sum(got is None for got in outcomes) < len(outcomes)


def test_random_bytes_are_refused(tmp_path, rng):
    for k in range(200):
        (tmp_path / "m.index").write_bytes(rng.bytes(rng.integers(200)) + tf.MAGIC * (k % 2))
        refusal(tmp_path)
