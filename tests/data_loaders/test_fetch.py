"""Published recordings are fetched whole or not at all, and found by name."""

import hashlib
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_recording
from typer.testing import CliRunner
from web import serving

from brainfit.cli.app import app
from brainfit.errors import IntegrityError, UnknownNameError
from brainfit.registry import lookup
from brainfit.storage import http_ranges
from brainfit.storage.download import RETRIES
from data_loaders.catalog import CATALOG
from data_loaders.published import PUBLISHED, PublishedFile, PublishedRecording, fetch, stored

CONTENT = {
    "stimulus_a.csv": b"stimulus_id\n" * 300,
    "stimulus_a.zip": np.random.default_rng(0).bytes(60_000),
    "assy_a.nc": np.random.default_rng(1).bytes(300_000),
}
NAME, ASSEMBLY = "majaj2015", "assy_a.nc"


def table(web, content):
    """Serve these files, and return the table entry that publishes them."""
    files = {
        name.rpartition(".")[2]: PublishedFile(web.serve(f"/{name}", body), hashlib.sha1(body).hexdigest())
        for name, body in content.items()
    }
    return PublishedRecording(files["nc"], files["csv"], files["zip"], gigabytes=5.9)


@pytest.fixture
def web(monkeypatch):
    with serving() as server:
        monkeypatch.setitem(PUBLISHED, NAME, table(server, CONTENT))
        yield server


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """Return the cache folder of recordings in BrainIO's layout."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("BRAINFIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("brainfit.storage.download.WAIT_S", 0.0)
    monkeypatch.setattr(lookup, "_REGISTERED", {"model": {}, "recording": {}, "benchmark": {}})
    return tmp_path / "cache" / "recordings" / "brainio"


def run(*arguments):
    return CliRunner().invoke(app, ["data", "fetch", *map(str, arguments)], prog_name="brainfit")


def assert_refused(result, *says):
    """Check for one line with the reason; progress bars may precede it."""
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    lines = result.stderr.splitlines()
    assert sum(line.startswith("brainfit: ") for line in lines) == 1
    assert lines[-1].startswith("brainfit: error: ")
    for one in says:
        assert one in lines[-1]


def names(folder):
    return {path.name for path in folder.iterdir() if path.suffix not in (".lock", ".sha256")}


# The table


def test_published_recordings_are_in_the_catalogue():
    assert set(CATALOG) == {"simulated", "simulated-v1", *PUBLISHED}
    for name in PUBLISHED:
        assert f"brainfit data fetch {name}" in CATALOG[name].summary
        assert CATALOG[name].simulated is False


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_addresses_and_hashes_are_well_formed(name):
    base = "https://brainscore-storage.s3.amazonaws.com/brainio-brainscore"
    published = PUBLISHED[name]
    for file, kind in zip(published.files, ("stimulus_.*.csv", "stimulus_.*.zip", "assy_.*.nc"), strict=True):
        assert re.fullmatch(f"{base}/{kind}", file.url)
        assert "." not in file.name.rpartition(".")[0]
        assert re.fullmatch("[0-9a-f]{40}", file.sha1)


def test_majaj2015_is_the_file_published_by_brain_score():
    hashes = {
        file.name: file.sha1[:8]
        for name in ("majaj2015", "majaj2015-static")
        for file in PUBLISHED[name].files
    }
    assert hashes == {
        "assy_dicarlo_MajajHong2015_temporal_public.nc": "093ac35b",
        "assy_dicarlo_MajajHong2015_public.nc": "13d28ca0",
        "stimulus_hvm-public.csv": "5ca7a3da",
        "stimulus_hvm-public.zip": "8aa44e03",
    }


def test_the_table_is_read_without_heavy_imports(tmp_path):
    code = (
        "import sys, data_loaders.published, data_loaders.catalog\n"
        "print(*{'torch', 'numpy', 'xarray', 'urllib.request'} & {*sys.modules})"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == []
    assert not list(tmp_path.iterdir())


# Fetching


def test_a_recording_is_fetched_once_and_verified_afterwards(web, folder):
    assert stored(NAME) is None
    assert not folder.exists()
    for _ in range(2):
        result = run(NAME)
        assert (result.exit_code, result.stdout) == (0, f"{folder / ASSEMBLY}\n"), result.output
    assert {name: (folder / name).read_bytes() for name in names(folder)} == CONTENT
    assert sorted(web.asked) == sorted((f"/{name}", 0) for name in CONTENT)
    assert stored(NAME) == folder / ASSEMBLY
    (folder / ASSEMBLY).write_bytes(b"another")
    assert_refused(run(NAME), ASSEMBLY, "is not what it should be", "delete it")


def test_a_recording_can_be_fetched_into_another_folder(web, folder, tmp_path):
    result = run(NAME, "--to", "here")
    assert result.stdout == f"{Path('here', ASSEMBLY)}\n"
    assert names(tmp_path / "here") == set(CONTENT)
    assert not folder.exists()
    assert stored(NAME) is None


def test_files_placed_by_hand_are_used(web, folder):
    folder.mkdir(parents=True)
    for name, body in CONTENT.items():
        (folder / name).write_bytes(body)
    assert run(NAME).exit_code == 0
    assert not web.asked


def test_an_interrupted_fetch_resumes(web, folder):
    web.pages[f"/{ASSEMBLY}"].cuts = [100_000] * (RETRIES + 1)
    assert_refused(run(NAME), "ended after 100000 of 300000 bytes", "ask again later")
    assert stored(NAME) is None
    assert not (folder / ASSEMBLY).exists()
    web.pages[f"/{ASSEMBLY}"].cuts.clear()
    web.asked.clear()
    assert run(NAME).exit_code == 0
    assert web.asked == [(f"/{ASSEMBLY}", 100_000)]
    assert (folder / ASSEMBLY).read_bytes() == CONTENT[ASSEMBLY]


def test_a_file_with_a_wrong_hash_is_not_kept(web, folder):
    body = CONTENT[ASSEMBLY][::-1]
    web.serve(f"/{ASSEMBLY}", body)
    wanted = PUBLISHED[NAME].assembly.sha1
    assert_refused(run(NAME), f"got sha1 {hashlib.sha1(body).hexdigest()}, wanted {wanted} as published")
    assert ASSEMBLY not in names(folder)


def test_a_missing_file_is_named_with_the_place_to_put_it(web, folder):
    url = PUBLISHED[NAME].assembly.url
    del web.pages[f"/{ASSEMBLY}"]
    assert_refused(run(NAME), "the server says 404", url, f"put it at {folder / ASSEMBLY} by hand")


def test_an_offline_machine_is_one_line(monkeypatch, folder):
    def no_name(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(socket, "getaddrinfo", no_name)
    first = PUBLISHED[NAME].table
    address = f"cannot download {first.name} from {first.url}"
    by_hand = f"put it at {folder / first.name} by hand"
    assert_refused(run(NAME), address, "connect this machine to the web", by_hand)


def test_a_silent_server_is_one_line(web, folder, monkeypatch):
    monkeypatch.setattr(http_ranges, "TIMEOUT_S", 0.1)
    web.pages[f"/{ASSEMBLY}"].pause = 50_000
    assert_refused(run(NAME), "timed out", "goes on where it ended")
    web.go_on.set()
    assert run(NAME).exit_code == 0


def test_only_one_of_two_simultaneous_processes_downloads(web, folder):
    files = [(file.url, file.sha1) for file in PUBLISHED[NAME].files]
    code = (
        "import data_loaders.published as p, brainfit.cli\n"
        f"csv, zipped, nc = (p.PublishedFile(*one) for one in {files!r})\n"
        f"p.PUBLISHED[{NAME!r}] = p.PublishedRecording(nc, csv, zipped)\n"
        "brainfit.cli.main()"
    )
    web.pages["/stimulus_a.csv"].pause = 100
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code, "data", "fetch", NAME], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    assert web.came.wait(60)
    time.sleep(1.0)  # time for the other to wait, or to send a second request
    web.go_on.set()
    for one in both:
        out, _ = one.communicate(timeout=60)
        assert (one.returncode, out) == (0, f"{folder / ASSEMBLY}\n")
    assert sorted(web.asked) == sorted((f"/{name}", 0) for name in CONTENT)


def test_an_unwritable_cache_is_named(web, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BRAINFIT_CACHE", str(tmp_path / "file"))
    assert_refused(run(NAME), "set BRAINFIT_CACHE to a folder that can be written")
    assert not web.asked


@pytest.mark.parametrize("call", [fetch, stored])
def test_an_unknown_name_is_refused(call, folder):
    with pytest.raises(
        UnknownNameError, match="unknown published recording 'majaj2016'; did you mean 'majaj2015'"
    ):
        call("majaj2016")
    assert_refused(run("majaj2016"), "did you mean 'majaj2015'")
    assert not folder.exists()


# Loading


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_missing_recording_names_the_command_that_fetches_it(name):
    with pytest.raises(IntegrityError, match=f"run `brainfit data fetch {name}`.*--recording PATH"):
        lookup.load_recording(name)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_fetched_recording_is_found_by_name(web, monkeypatch, tmp_path, name):
    brainio_write = pytest.importorskip("data_loaders.brainio.write")
    tiny = tiny_recording()
    brainio_write.to_brainio(tiny, tmp_path / "made", identifier="b")
    made = {path.name: path.read_bytes() for path in (tmp_path / "made").iterdir()}
    monkeypatch.setitem(PUBLISHED, name, table(web, made))
    assert run(name).exit_code == 0
    got = lookup.load_recording(name).select_region("pIT")
    assert got.name == name
    order = np.argsort(tiny.responses["image_id"].values)
    wanted = tiny.select_region("pIT").select_images(order)
    np.testing.assert_allclose(got.responses.values, wanted.responses.values, rtol=1e-6)
    np.testing.assert_array_equal(got.stimuli.values, wanted.stimuli.values)


@pytest.mark.parametrize("end", [".csv", ".zip", ".nc"])
def test_a_changed_fetched_file_is_detected_on_loading(web, folder, monkeypatch, tmp_path, end):
    """The times of the file do not change, as after a disk error or with a tool that restores them."""
    brainio_write = pytest.importorskip("data_loaders.brainio.write")
    brainio_write.to_brainio(tiny_recording(), tmp_path / "made", identifier="b")
    made = {path.name: path.read_bytes() for path in (tmp_path / "made").iterdir()}
    monkeypatch.setitem(PUBLISHED, NAME, table(web, made))
    assert run(NAME).exit_code == 0
    path = next(path for path in folder.iterdir() if path.suffix == end)
    content, times = bytearray(path.read_bytes()), path.stat()
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(IntegrityError, match=f"{path.name} is not what it should be: .*; delete it"):
        lookup.load_recording(NAME)
