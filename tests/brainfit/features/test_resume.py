"""A run killed at any moment, or beside others, leaves whole files from which the next run continues."""

import multiprocessing
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from killed import N_BATCHES, score_to

from brainfit.features.shards import read_shard

# Each run is a fork of a process that has imported all, and computed nothing.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["brainfit.scoring.score"])


def started(folder, cache):
    process = PROCESSES.Process(target=score_to, args=(folder, cache and str(cache)))
    process.start()
    return process


def finished(folder, cache):
    shutil.rmtree(folder, ignore_errors=True)
    process = started(folder, cache)
    process.join(120)
    assert process.exitcode == 0
    return files(folder)


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def shards(cache: Path) -> list[Path]:
    return sorted(cache.glob("features/*.shard"))


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    return finished(tmp_path_factory.mktemp("wanted") / "run", None)


@pytest.mark.slow
def test_a_run_killed_at_any_moment_resumes_to_the_same_result(wanted, tmp_path):
    rng, cache, run = np.random.default_rng(0), tmp_path / "cache", tmp_path / "run"
    begun = time.monotonic()
    assert finished(run, cache) == wanted
    whole, kills, seen = time.monotonic() - begun, 0, set()
    while kills < 20:
        if len(shards(cache)) == N_BATCHES:
            shutil.rmtree(cache)
        shutil.rmtree(run, ignore_errors=True)
        process, left = started(run, cache), len(shards(cache))
        if kills % 2:  # during its work, however slow the machine is
            while process.is_alive() and len(shards(cache)) == left:
                time.sleep(0.001)
        time.sleep(rng.uniform(0, whole if kills % 2 == 0 else 0.3))
        kills += process.is_alive()
        process.kill()
        process.join(60)
        seen.add(len(shards(cache)))
        for path in shards(cache):
            read_shard(path, path.stem)
        if run.exists():
            assert files(run) == wanted
    assert len(seen) > 3  # some runs were killed during their work
    assert finished(run, cache) == wanted
    assert len(shards(cache)) == N_BATCHES


@pytest.mark.slow
def test_finished_batches_are_not_computed_again(wanted, tmp_path):
    cache, run = tmp_path / "cache", tmp_path / "run"
    process = started(run, cache)
    while len(shards(cache)) < 3:
        time.sleep(0.001)
    process.kill()
    process.join(60)
    left = {path: path.stat().st_ino for path in shards(cache)}
    assert len(left) < N_BATCHES
    assert finished(run, cache) == wanted
    assert {path: path.stat().st_ino for path in shards(cache) if path in left} == left


@pytest.mark.slow
def test_simultaneous_runs_on_one_cache_give_the_same_result(wanted, tmp_path):
    cache, runs = tmp_path / "cache", [tmp_path / f"run{k}" for k in range(3)]
    processes = [started(run, cache) for run in runs]
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    assert all(files(run) == wanted for run in runs)
    assert len(shards(cache)) == N_BATCHES


@pytest.mark.slow
def test_damage_at_any_position_is_repaired(wanted, tmp_path):
    rng, cache, run = np.random.default_rng(1), tmp_path / "cache", tmp_path / "run"
    finished(run, cache)
    for path in shards(cache)[::2]:
        raw = bytearray(path.read_bytes())
        raw[rng.integers(len(raw))] ^= int(rng.integers(1, 256))
        path.write_bytes(raw)
    assert finished(run, cache) == wanted
    for path in shards(cache):
        read_shard(path, path.stem)
