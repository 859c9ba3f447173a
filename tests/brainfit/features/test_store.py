"""Stored features are read bit by bit or reported as damaged, and the folder stays within its limit."""

import errno
import logging
import os
import shutil
import stat as stat_module
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ContractError, IntegrityError
from brainfit.features import store as feature_store
from brainfit.features.shards import read_shard, write_shard
from brainfit.features.store import FeatureStore, open_store, prepare_cache, temporary_store
from brainfit.storage import cache_folder
from brainfit.storage.size_limit import DEFAULT_LIMIT, size_limit
from brainfit.support.memory import PeakMemory

WRONG = "its (checksum|length) is wrong|it is not a shard"
KEYS = [f"{'near' if k % 2 else 'far':-<16}-{k}" for k in range(10)]


def some(seed=0, dtype=torch.float32, n_images=4, n_features=2000):
    torch.manual_seed(seed)
    image, later = (torch.randn(n_images, n_features // 5, 5).to(dtype) for _ in range(2))
    return Trajectory((torch.zeros_like(image[:1]), image, later), (0, 0, 1, 2, 1))


def same_bits(a, b):
    return a.index == b.index and all(
        x.dtype == y.dtype and x.shape == y.shape and torch.equal(x, y)
        for x, y in zip(a.blocks, b.blocks, strict=True)
    )


def store_at(folder, limit=10**9):
    store = FeatureStore(folder, limit, "do something")
    store.prepare()
    return store


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_stored_features_are_read_bit_by_bit(tmp_path, dtype):
    seen = some(dtype=dtype)
    store = store_at(tmp_path)
    assert store.get("a") is None
    assert store.size_of("a") is None
    store.put("a", seen)
    assert same_bits(store.get("a"), seen)
    assert [item.name for item in tmp_path.iterdir() if item.suffix == ".shard"] == ["a.shard"]
    assert store.size_of("a") == (tmp_path / "a.shard").stat().st_size


@torch.inference_mode()
def test_blocks_may_share_memory_and_have_any_layout(tmp_path):
    memory = torch.randn(3, 4, 5, 6).to(memory_format=torch.channels_last)
    seen = Trajectory((memory, memory[:, :, :, :].flip(0), memory[:1].expand(3, -1, -1, -1)), (0, 1, 2))
    write_shard(tmp_path / "x", "key", seen)
    assert same_bits(read_shard(tmp_path / "x", "key"), seen)


def test_special_numbers_keep_their_bits(tmp_path):
    block = torch.tensor([[-0.0, 1e-42, 3.4e38, 1.0000001]])
    write_shard(tmp_path / "x", "key", Trajectory((block,), (0,)))
    (again,) = read_shard(tmp_path / "x", "key").blocks
    assert again.view(torch.int32).tolist() == block.view(torch.int32).tolist()


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    path = tmp_path_factory.mktemp("shard") / "x"
    write_shard(path, "key", some())
    return path, path.read_bytes()


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_detected(shard, data):
    path, whole = shard
    at, bits = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(1, 255))
    path.write_bytes(whole[:at] + bytes([whole[at] ^ bits]) + whole[at + 1 :])
    with pytest.raises(IntegrityError, match=WRONG):
        read_shard(path, "key")


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_other_length_is_detected(shard, data):
    path, whole = shard
    path.write_bytes(
        whole[: data.draw(st.integers(0, len(whole) - 1))]
        if data.draw(st.booleans())
        else whole + data.draw(st.binary(min_size=1, max_size=20))
    )
    with pytest.raises(IntegrityError, match=WRONG):
        read_shard(path, "key")


def test_another_file_under_the_name_is_detected(shard):
    path, whole = shard
    path.write_bytes(whole)
    with pytest.raises(IntegrityError, match="it holds something else"):
        read_shard(path, "another key")


def test_a_damaged_file_is_removed_with_one_note(tmp_path, caplog):
    store = store_at(tmp_path)
    store.put("a", some())
    path = tmp_path / "a.shard"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with caplog.at_level(logging.INFO):
        assert store.get("a") is None
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert str(path) in record.getMessage()
    assert "damaged" in record.getMessage()
    assert "\n" not in record.getMessage()
    assert not path.exists()


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EMFILE, errno.EACCES])
def test_a_temporarily_unreadable_file_is_neither_removed_nor_replaced(tmp_path, caplog, monkeypatch, number):
    store = store_at(tmp_path)
    for key in "ab":
        store.put(key, some())
    before = {item.name: item.stat().st_ino for item in tmp_path.glob("*.shard")}

    def broken(path, key):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(feature_store, "read_shard", broken)
    for key in "ab":
        assert store.get(key) is None
        store.put(key, some(1))
    (record,) = caplog.records
    assert os.strerror(number) in record.getMessage()
    assert {item.name: item.stat().st_ino for item in tmp_path.glob("*.shard")} == before
    monkeypatch.undo()
    assert same_bits(store_at(tmp_path).get("a"), some())


@pytest.mark.parametrize(("umask", "mode"), [(0o002, 0o664), (0o077, 0o600), (0o022, 0o644)])
def test_the_mode_of_files_follows_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        store_at(tmp_path).put("a", some())
    finally:
        os.umask(before)
    assert (tmp_path / "a.shard").stat().st_mode & 0o777 == mode


def test_symbolic_links_are_neither_read_nor_written_through(tmp_path, caplog):
    outside = tmp_path / "outside"
    write_shard(outside, "a", some(1))
    before = outside.read_bytes()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "a.shard").symlink_to(outside)
    store = store_at(tmp_path / "store")
    assert store.get("a") is None
    assert "it is a link" in caplog.text
    store.put("a", some())
    assert same_bits(store.get("a"), some())
    assert outside.read_bytes() == before


@pytest.mark.parametrize(
    ("mode", "owner", "group", "trusted"),
    [
        (0o755, "me", "mine", True),
        (0o775, "me", "mine", True),
        (0o755, 0, "another", True),
        (0o777, "me", "mine", False),
        (0o1777, 0, "another", False),
        (0o755, "another", "mine", False),
        (0o775, "another", "another", False),
        (0o2775, "another", "mine", True),
    ],
)
@pytest.mark.parametrize("parts", [(), ("features",)])
def test_folders_that_others_may_write_are_not_trusted(
    monkeypatch, caplog, parts, mode, owner, group, trusted
):
    ids = {"me": os.geteuid(), "mine": os.getegid(), "another": 54321}
    open_store().folder.mkdir(parents=True)
    real = Path.stat

    def stat(self, **options):
        facts = list(real(self, **options))
        if self == cache_folder.folder(*parts):
            facts[0], facts[4], facts[5] = stat_module.S_IFDIR | mode, ids.get(owner, 0), ids[group]
        return os.stat_result(facts)

    monkeypatch.setattr(Path, "stat", stat)
    assert prepare_cache() is trusted
    assert len(caplog.records) == (not trusted)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_disk_is_one_error_without_partial_files(tmp_path, monkeypatch, number):
    store = store_at(tmp_path)
    store.put("a", some())

    def full(handle):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(IntegrityError, match=f"cannot write features to .*{os.strerror(number)}; do some"):
        store.put("b", some())
    monkeypatch.undo()
    assert sorted(item.name for item in tmp_path.iterdir()) == [".lock", "a.shard"]
    assert same_bits(store.get("a"), some())


def test_an_impossible_folder_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(IntegrityError, match=r"cannot write features to .*; do something"):
        store_at(tmp_path / "file" / "features")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(IntegrityError, match="Permission denied"):
        store_at(tmp_path)
    tmp_path.chmod(0o700)


def aged(folder, names):
    """Make these files the least recently used, in this order."""
    for k, name in enumerate(names):
        os.utime(folder / f"{name}.shard", (1e9 + k, 1e9 + k))


def size_of(folder, key):
    return (folder / f"{key}.shard").stat().st_size


def kept(folder):
    return {item.stem for item in folder.glob("*.shard")}


def test_the_least_recently_used_files_are_removed_first(tmp_path):
    for key in KEYS:
        store_at(tmp_path).put(key, some())
    size = size_of(tmp_path, KEYS[0])
    aged(tmp_path, KEYS)
    reader = store_at(tmp_path)
    reader.get(KEYS[0])  # reading counts as use
    reader.close()
    store = store_at(tmp_path, limit=int(8.5 * size))
    store.put("new", some())
    assert kept(tmp_path) == {KEYS[0], *KEYS[4:], "new"}
    store.close()
    assert sum(shard.size for shard in store.shards()) <= store.limit


def test_files_in_use_by_the_running_score_are_kept(tmp_path):
    store = store_at(tmp_path)
    for key in KEYS[:4]:
        store.put(key, some())
    size = size_of(tmp_path, KEYS[0])
    aged(tmp_path, KEYS[:4])
    running = store_at(tmp_path, limit=int(3.5 * size))
    for key in KEYS[:3]:
        assert running.get(key)
    aged(tmp_path, KEYS[:4])
    running.put("new", some())
    assert kept(tmp_path) == set(KEYS[:3])  # files in use fill the limit, so nothing is added
    assert running.get("new") is None
    running.close()
    assert sum(shard.size for shard in running.shards()) <= running.limit


def test_batches_of_the_same_layer_are_removed_last(tmp_path):
    """They were finished by a killed run, and the new run has yet to reach them."""
    for key in KEYS:
        store_at(tmp_path).put(key, some())
    aged(tmp_path, [*KEYS[1::2], *KEYS[::2]])
    size = size_of(tmp_path, KEYS[0])
    store = FeatureStore(tmp_path, int(8.5 * size), "do something")
    store.prepare([KEYS[1]])
    store.put(f"{KEYS[1][:16]}-new", some())
    assert set(KEYS[1::2]) <= kept(tmp_path)


def test_a_limit_of_zero_keeps_nothing(tmp_path):
    store = store_at(tmp_path, limit=0)
    store.put("a", some())
    assert store.room() == 0
    assert kept(tmp_path) == set()


def test_old_partial_files_of_killed_processes_are_removed(tmp_path):
    for name, age in ((".old.shard.x.part", 2 * feature_store.STALE_S), (".new.shard.x.part", 1)):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (time.time() - age, time.time() - age))
    store = store_at(tmp_path)
    assert [shard.path.name for shard in store.shards()] == [".new.shard.x.part"]
    assert store.clear() == 4
    assert store.shards() == []


def test_a_claimed_length_is_not_trusted(tmp_path):
    head = b'{"key": "key", "index": [0], "bytes": 100000000000}\n'
    (tmp_path / "x").write_bytes(head + b"00000000")
    with pytest.raises(IntegrityError, match="its length is wrong"):
        read_shard(tmp_path / "x", "key")


def test_a_shard_of_an_earlier_format_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(b'{"key": "key", "index": [0]}\nabc12345678')
    with pytest.raises(IntegrityError, match="it is not a shard"):
        read_shard(tmp_path / "x", "key")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_refused_without_waiting(tmp_path):
    store = store_at(tmp_path)
    os.mkfifo(tmp_path / "a.shard")
    assert store.get("a") is None
    store.put("a", some())
    assert same_bits(store.get("a"), some())


def test_reading_needs_memory_for_two_copies(tmp_path):
    block = torch.zeros(25_000_000)
    write_shard(tmp_path / "x", "key", Trajectory((block,), (0,)))
    with PeakMemory() as watch:
        seen = read_shard(tmp_path / "x", "key")
    assert watch.peak < 2.2 * seen.blocks[0].nbytes


def test_a_folder_removed_meanwhile_is_created_again(tmp_path):
    store = store_at(tmp_path / "features")
    store.put("a", some())
    shutil.rmtree(tmp_path / "features")
    assert store.get("a") is None
    store.put("b", some())
    assert same_bits(store.get("b"), some())


def test_a_file_removed_while_being_written_is_written_again(tmp_path, monkeypatch):
    store, replace, cleared = store_at(tmp_path), os.replace, []

    def clear_first(*names):
        if not cleared:
            cleared.append(store_at(tmp_path).clear())
        replace(*names)

    monkeypatch.setattr(os, "replace", clear_first)
    store.put("a", some())
    assert cleared[0] > 0
    assert same_bits(store.get("a"), some())


def test_partial_files_from_a_future_clock_are_removed(tmp_path):
    (tmp_path / ".a.shard.x.part").write_bytes(b"half")
    os.utime(tmp_path / ".a.shard.x.part", (4e9, 4e9))
    assert store_at(tmp_path).shards() == []


def test_a_symbolic_link_to_a_folder_works(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    store_at(tmp_path / "link").put("a", some())
    assert same_bits(store_at(tmp_path / "there").get("a"), some())


def test_thousands_of_files_are_handled_quickly(tmp_path):
    for k in range(3000):
        (tmp_path / f"{k}.shard").write_bytes(b"x")
    begun = time.monotonic()
    store = store_at(tmp_path)
    assert store.room() > 0
    assert time.monotonic() - begun < 2


WRITER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_store import KEYS, same_bits, some, store_at
store = store_at(Path(sys.argv[2]), limit=int(sys.argv[3]))
for turn in range(10):
    for k, key in enumerate(KEYS):
        seen = store.get(key)
        assert seen is None or same_bits(seen, some(k))
        store.put(key, some(k))
        if turn % 3 == 2:
            store.close()
"""


@pytest.mark.slow
def test_simultaneous_processes_do_not_disturb_each_other(tmp_path):
    tests = os.path.dirname(__file__)  # noqa: PTH120
    size = 70_000
    arguments = [sys.executable, "-c", WRITER, tests, str(tmp_path / "two"), str(6 * size)]
    running = [subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in running:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
        assert said == ""
    store = store_at(tmp_path / "two", limit=6 * size)
    store.close()
    for k, key in enumerate(KEYS):
        seen = store.get(key)
        assert seen is None or same_bits(seen, some(k))


def test_a_temporary_store_is_removed_afterwards():
    with temporary_store() as store:
        store.put("a", some())
        assert same_bits(store.get("a"), some())
        folder = store.folder
    assert not folder.exists()


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [
        ("20GB", 20e9),
        ("0", 0),
        (" 1.5 m ", 1.5e6),
        ("7", 7),
        ("2tb", 2e12),
        ("12kB", 12e3),
        ("", DEFAULT_LIMIT),
        ("9" * 400, 1e18),
    ],
)
def test_limits_are_read_with_and_without_units(monkeypatch, text, bytes_):
    monkeypatch.setenv("BRAINFIT_CACHE_LIMIT", text)
    assert size_limit() == bytes_
    assert open_store().limit == bytes_


@pytest.mark.parametrize("text", ["much", "-1", "1PB", "20 %", "1e9"])
def test_an_invalid_limit_is_refused(monkeypatch, text):
    monkeypatch.setenv("BRAINFIT_CACHE_LIMIT", text)
    with pytest.raises(ContractError, match=r"BRAINFIT_CACHE_LIMIT is .*; wanted a size such as 20GB"):
        size_limit()
