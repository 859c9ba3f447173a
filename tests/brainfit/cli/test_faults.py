"""A score that runs out of memory prints one line, leaves no partial files, and can be run again.

Other faults: test_resume.py (kills, damage, runs at once), test_store.py (full and read-only disks).
"""

import multiprocessing
import os
import re
import signal
import sys

import pytest
import torch
from killed import score_to
from starved import STAGES, score_in
from typer.testing import CliRunner

from brainfit.cli.app import app
from brainfit.errors import IntegrityError, ResourceError
from brainfit.features.shards import read_shard
from brainfit.registry import lookup
from brainfit.support.out_of_memory import out_of_memory
from data_loaders.files import child

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["brainfit.scoring.score", "brainfit.report"])
MIB = 2**20
ROOMS = (12, 16, 20, 24, 32, 64)
SAYS = "brainfit: error: "


def in_process(function, *arguments, seconds=240):
    """Return the exit status, or None if the process did not end and was killed."""
    process = PROCESSES.Process(target=function, args=arguments)
    process.start()
    process.join(seconds)
    status = process.exitcode
    process.kill()
    process.join()
    return status


def lines(folder):
    return [line for line in (folder / "stderr").read_text().splitlines() if line.startswith("brainfit: ")]


def shards(cache):
    return {path: path.stat().st_ino for path in sorted(cache.glob("features/*.shard"))}


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def goes_on(folder, cache, wanted):
    """Check that the next run, with enough memory, reuses whole files and gives the same bytes."""
    left = shards(cache)
    for path in left:
        read_shard(path, path.stem)
    assert in_process(score_to, folder, str(cache)) == 0
    assert left.items() <= shards(cache).items()
    return files(folder) == wanted


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wanted") / "run"
    assert in_process(score_to, folder, None) == 0
    return files(folder)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of addresses are Linux's")
@pytest.mark.parametrize("takes", ["torch", "numpy"])
@pytest.mark.parametrize("stage", STAGES)
def test_an_allocation_that_fails_is_one_line(tmp_path, wanted, stage, takes):
    folder, cache = tmp_path / "cli", tmp_path / "cache"
    assert in_process(score_in, 2**33, stage, takes, folder, cache) == 1
    said = (folder / "stderr").read_text()
    (error,) = (line for line in lines(folder) if line.startswith(SAYS))
    assert error == lines(folder)[-1] == said.splitlines()[-1]
    assert "Traceback" not in said
    assert re.search(r"memory ran out: (16384\.0 MiB|16\.0 GiB) more could not be had; lower --batch", error)
    if stage == "write_report":
        assert error.endswith(f"the score was kept in {folder / 'runs' / 'run'}")
        assert {path.name for path in (folder / "runs" / "run").iterdir()} == {"score.nc", "score.json"}
    else:
        assert list((folder / "runs").iterdir()) == []
    assert bool(shards(cache)) == (stage != "fit")
    assert goes_on(tmp_path / "run", cache, wanted)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of addresses are Linux's")
def test_running_out_of_memory_anywhere_leaves_no_partial_files(tmp_path, wanted):
    """The message depends on the library that runs out of memory: some crash, some lose the error.

    Python itself waits forever for a new thread that lacks the memory to report its start; such a process is
    killed.
    """
    cache = tmp_path / "cache"
    for room in ROOMS:
        folder = tmp_path / str(room)
        code = in_process(score_in, room * MIB, "none", "nothing", folder, cache, seconds=60)
        runs = [path.name for path in (folder / "runs").glob("[!.]*")]  # a crash may leave a hidden folder
        assert runs in ([], ["run"]), room
        if code == 0:
            assert "report.html" in {path.name for path in (folder / "runs" / "run").iterdir()}
        assert sum(line.startswith(SAYS) for line in lines(folder)) <= 1
        for path in shards(cache):
            read_shard(path, path.stem)
    assert goes_on(tmp_path / "run", cache, wanted)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError(), "memory ran out: an allocation failed; lower --batch-size"),
        (MemoryError("Unable to allocate 3.50 GiB for an array with shape (9,)"), "ran out: 3.50 GiB more"),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: "
                "you tried to allocate 524288 bytes. Error code 12 (Cannot allocate memory)"
            ),
            "memory ran out: 0.5 MiB more could not be had",
        ),
        (
            torch.OutOfMemoryError(
                "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 9 GiB.\nOf it"
            ),
            "the GPU's memory ran out: 20.00 GiB more could not be had; lower --batch-size, or use --device",
        ),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `x`"),
            "the GPU's memory ran out: CUDA",
        ),
        (
            ImportError("libtorch_cpu.so: failed to map segment from shared object"),
            "memory ran out: libtorch",
        ),
        (OSError(12, "Cannot allocate memory"), "memory ran out: Cannot allocate memory"),
        (RuntimeError("can't start new thread"), "memory ran out: can't start new thread"),
        (ResourceError("as it was"), "as it was"),
    ],
)
def test_memory_errors_of_every_library_become_one_line(error, says):
    after = ValueError("then")
    after.__context__ = error
    message = out_of_memory(error)
    assert isinstance(message, ResourceError)
    assert str(message).startswith(says) or says in str(message)
    assert str(message).isprintable()
    assert str(out_of_memory(after)) == str(message)


@pytest.mark.parametrize(
    "error", [ValueError("bad"), RuntimeError("shape mismatch"), OSError(28, "No space")]
)
def test_other_errors_are_not_reported_as_memory_errors(error):
    assert out_of_memory(error) is None


def test_the_command_exits_with_1_and_bugs_keep_their_traceback(monkeypatch):
    def run(error):
        def fail():
            raise error

        monkeypatch.setattr(lookup, "list_models", fail)
        return CliRunner().invoke(app, ["list", "models"], prog_name="brainfit")

    done = run(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    assert done.exit_code == 1
    assert done.stderr.startswith("brainfit: error: the GPU's memory ran out: 2.00 GiB")
    assert len(done.stderr.splitlines()) == 1
    bug = ZeroDivisionError("a bug")
    assert run(bug).exception is bug


def test_a_reading_process_killed_or_out_of_memory_is_one_line(tmp_path, isolated_readers):
    path = tmp_path / "one.nwb"
    with pytest.raises(
        ResourceError, match=r"read .*one\.nwb was killed \(signal 9\), probably because memory"
    ):
        child.in_child(path, signal.raise_signal, signal.SIGKILL)
    with pytest.raises(ResourceError, match=r"^memory ran out: an allocation failed; lower"):
        child.in_child(path, bytearray, 2**62)
    with pytest.raises(IntegrityError, match="crashed the HDF5 library"):
        child.in_child(path, os.abort)
