"""`brainfit data` and `brainfit check` on recordings: their output, and errors for invalid files."""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr
from brainio_files import trial_level
from hvm_file import hvm_arrays, write_hvm
from nwb_file import LOCATIONS, write_nwb
from tiny import TinyModel, tiny_recording
from typer.testing import CliRunner

from brainfit.cli.app import app
from brainfit.registry import lookup
from data_loaders.netcdf.recording import from_netcdf, to_netcdf

ROOT = os.geteuid() == 0


@pytest.fixture(autouse=True)
def _place(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("BRAINFIT_CACHE", str(tmp_path / "cache"))
    tiny = {"model": {"tiny": TinyModel}, "recording": {"tiny": tiny_recording}, "benchmark": {}}
    monkeypatch.setattr(lookup, "_REGISTERED", tiny)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="brainfit")


def done(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def assert_one_line(result, *says):
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("brainfit: error: ")
    for one in says:
        assert one in line


def arrays(n_images=16, **change: Any):
    tiny = tiny_recording(n_images)
    given = {
        "responses": tiny.responses.values,
        "images": tiny.stimuli.values,
        **{
            name: tiny.responses[name].values
            for name in ("region", "animal", "object_name", "image_id", "unit_id")
        },
        **change,
    }
    return {key: value for key, value in given.items() if value is not None}


# Help


@pytest.mark.parametrize("command", [[], ["fetch"], ["info"], ["convert"]])
def test_help_has_an_example(command):
    help_text = done("data", *command, "--help").stdout
    assert f"Example: brainfit data {' '.join(command)}" in help_text


@pytest.mark.slow
def test_help_and_lists_have_no_heavy_imports():
    for arguments in (
        ["data", "--help"],
        ["data", "fetch", "nobody"],
        ["list", "recordings"],
        ["list", "benchmarks"],
    ):
        code = (
            f"import sys; sys.argv[1:] = {arguments}\n"
            "from brainfit.cli import main\n"
            "try: main()\n"
            "finally: print([m for m in ('torch', 'numpy', 'xarray') if m in sys.modules])"
        )
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert result.stdout.splitlines()[-1] == "[]"


# Info


def test_regions_declared_on_the_command_line_are_taken():
    np.savez("mine.npz", **arrays(region=["VISp"] * 3 + ["V4"] * 3))
    assert_one_line(run("data", "info", "mine.npz"), "unknown region 'VISp'", "--regions VISp=V1")
    facts = json.loads(done("data", "info", "mine.npz", "--regions", "VISp=V1", "--json").stdout)
    assert set(facts["units"]) == {"V1", "V4"}
    facts = json.loads(done("data", "info", "mine.npz", "--regions", "VISp", "--json").stdout)
    assert set(facts["units"]) == {"VISp", "V4"}
    assert "written NAME=REGION" in run("data", "info", "mine.npz", "--regions", "VISp=").output


def test_info_describes_a_file():
    np.savez("mine.npz", **arrays())
    found = json.loads(done("data", "info", "mine.npz", "--json").stdout)
    assert found["layout"] == "npz"
    assert found["units"] == {"V4": {"a": 3}, "pIT": {"a": 3}}
    assert found["images"] == {"n": 16, "pixels": 32, "dtype": "uint8", "objects": 2, "variations": [0]}
    assert found["trials"] == {"min": 4, "max": 4}
    assert found["time_bins"] == {
        "n": 25,
        "start_ms": 0,
        "end_ms": 250,
        "width_ms": [10, 10],
        "overlap": False,
    }
    assert found["values"]["kind"] == "negative too, so normalised"
    assert found["values"]["nan_percent"] == 0
    assert found["read"] == {"units": 6, "of": 6}
    assert found["simulated"] is False
    assert {region: score["cannot_be_scored"] for region, score in found["scores"].items()} == {
        "V4": None,
        "pIT": None,
    }
    text = done("data", "info", "mine.npz").stdout
    assert "layout: npz\n" in text
    assert "units: V4 3 (a 3); pIT 3 (a 3)\n" in text
    assert "time bins: 25 from 0 to 250 ms, each 10 ms wide\n" in text
    assert "trials: 4 to 4 per image\n" in text


def test_info_lists_what_would_be_dropped_and_why():
    responses = np.random.default_rng(0).poisson(3, (32, 4, 6, 40)).astype(float)
    responses[:, :, 1] = 4.0
    responses[5, 2:] = np.nan
    responses[7] = np.nan
    start = np.arange(40) * 10.0 - 50
    np.savez("mine.npz", **arrays(32, responses=responses, time_bin_start=start, time_bin_end=start + 20))
    found = json.loads(done("data", "info", "mine.npz", "--json").stdout)
    assert found["values"]["kind"] == "counts"
    assert found["trials"] == {"min": 0, "max": 4}
    assert found["time_bins"]["overlap"] is True
    assert found["time_bins"]["width_ms"] == [20, 20]
    v4, pit = found["scores"]["V4"], found["scores"]["pIT"]
    assert {row["what"]: row["n"] for row in v4["dropped"]} == {"time bins": 15, "images": 1}
    assert {row["what"]: row["n"] for row in pit["dropped"]} == {"time bins": 15, "images": 1, "units": 1}
    text = done("data", "info", "mine.npz").stdout
    assert "20 ms wide, overlapping (each is taken by its centre)" in text
    assert (
        "pIT: can be scored; left out: 15 time bins, outside the presentation's 0 to 250 ms; 1 images" in text
    )


def test_info_names_the_reason_why_a_file_cannot_be_scored():
    np.savez("mine.npz", **arrays(responses=tiny_recording().responses.values[:, 0]))
    text = done("data", "info", "mine.npz").stdout
    assert "trials: averaged, so there is no noise ceiling\n" in text
    assert "V4: cannot be scored: recording 'mine' has no single trials" in text


def test_info_describes_a_named_recording():
    found = json.loads(done("data", "info", "tiny", "--json").stdout)
    assert "layout" not in found
    assert found["simulated"] is True
    assert "recording: tiny (simulated)" in done("data", "info", "tiny").stdout
    assert_one_line(run("data", "info", "tinny"), "did you mean 'tiny'")
    assert_one_line(run("data", "info", "majaj2015"), "brainfit data fetch majaj2015")


def test_info_shows_the_provenance_of_the_loader(monkeypatch):
    said = {
        "source": "there\x1b",
        "rate": float("nan"),
        "unit": np.float32(1),
        "dropped": [{"what": "units", "n": 40, "why": "poor"}, "or so"],
    }
    tiny = dataclasses.replace(tiny_recording(), provenance=said)
    monkeypatch.setitem(lookup._REGISTERED["recording"], "tiny", lambda: tiny)
    found = json.loads(done("data", "info", "tiny", "--json").stdout)
    assert found["left_out"] == said["dropped"][:1]
    assert found["provenance"]["rate"] is None
    text = done("data", "info", "tiny").stdout
    assert "left out by the loader: 40 units, poor\n" in text
    assert "its source: there\\x1b\n" in text


def test_only_some_units_of_a_large_recording_are_read(monkeypatch):
    monkeypatch.setattr("brainfit.analyses.recording_summary.SAMPLE_BYTES", 1)
    found = json.loads(done("data", "info", "tiny", "--json").stdout)
    assert found["read"] == {"units": 2, "of": 6}
    assert [score["cannot_be_scored"] for score in found["scores"].values()] == [None, None]


# Check


@pytest.mark.parametrize("n_bins", [1, 25])
def test_check_describes_what_it_read(n_bins):
    bins: dict[str, Any] = {"time_bin_start": [70.0], "time_bin_end": [170.0]} if n_bins == 1 else {}
    np.savez("mine.npz", **arrays(responses=tiny_recording(n_bins=n_bins).responses.values, **bins))
    found = json.loads(done("check", "mine.npz", "--json").stdout)
    assert found["ok"] is True
    assert found["read"] == "responses of 6 of 6 units"


@pytest.mark.parametrize("name", ["a:b.nc", "a b ö.nc", "c:mine", "folder/with:colon", "link.nc"])
def test_any_file_name_is_accepted(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    to_netcdf(tiny_recording(), path if name != "link.nc" else tmp_path / "there.nc")
    if name == "link.nc":
        path.symlink_to("there.nc")
    assert json.loads(done("check", name, "--json").stdout)["ok"] is True
    assert json.loads(done("data", "info", name, "--json").stdout)["layout"] == "netcdf"
    done("data", "convert", name, "new.nc")


def test_a_name_without_a_file_may_be_a_factory():
    Path("mine.py").write_text("from tiny import tiny_recording as make")
    assert json.loads(done("check", "./mine.py:make", "--json").stdout)["ok"] is True
    assert "layout" not in json.loads(done("data", "info", "mine.py:make", "--json").stdout)


def test_there_is_no_progress_bar_without_a_terminal():
    late = tiny_recording().responses.values
    late[9] = np.inf  # beyond the images that are read before there is a bar
    plain(responses=(TRIALS, late))(Path("mine.nc"))
    assert_one_line(run("data", "info", "mine.nc"), "infinite")
    assert_one_line(run("data", "convert", "mine.nc", "new.nc"), "infinite")
    assert done("data", "info", "tiny").stderr == ""
    assert len(done("data", "convert", "tiny", "new.nc").stderr.splitlines()) == 1


# Convert


@pytest.mark.parametrize("source", ["tiny", "mine.npz", "mine.nc"])
def test_a_converted_recording_reads_the_same(source):
    np.savez("mine.npz", **arrays())
    to_netcdf(tiny_recording(), "mine.nc")
    before = {name: Path(name).read_bytes() for name in ("mine.npz", "mine.nc")}
    result = done("data", "convert", source, "new.nc")
    assert result.stdout == "new.nc\n"
    assert f"converted {source}: 16 images, 4 trials, 6 units, 25 time_bins" in result.stderr
    wanted, got = lookup.load_recording(source), from_netcdf("new.nc")
    assert got.responses.identical(wanted.responses)
    assert got.stimuli.identical(wanted.stimuli)
    assert (got.name, got.simulated, got.provenance) == (wanted.name, wanted.simulated, wanted.provenance)
    assert before == {name: Path(name).read_bytes() for name in ("mine.npz", "mine.nc")}


def test_convert_replaces_a_file_only_on_request():
    Path("new.nc").write_text("mine")
    assert_one_line(run("data", "convert", "tiny", "new.nc"), "new.nc is there already", "--force")
    assert Path("new.nc").read_text() == "mine"
    done("data", "convert", "tiny", "new.nc", "--force")
    assert from_netcdf("new.nc").name == "tiny"


def test_converting_to_brainio_and_back_gives_the_same():
    pytest.importorskip("data_loaders.brainio.write")
    assert done("data", "convert", "tiny", "folder", "--to", "brainio").stdout == "folder/assy_tiny.nc\n"
    assert_one_line(run("data", "convert", "tiny", "folder", "--to", "brainio"), "folder")
    both = run("data", "convert", "tiny", "folder", "--to", "brainio", "--force")
    assert both.exit_code == 2
    assert "never replaced" in both.stderr
    Path("images.csv").write_bytes(Path("folder/stimulus_tiny.csv").read_bytes())
    Path("images.zip").write_bytes(Path("folder/stimulus_tiny.zip").read_bytes())
    done("data", "convert", "folder/assy_tiny.nc", "new.nc", "--stimuli", "images.csv")
    got, tiny = from_netcdf("new.nc"), tiny_recording()
    order = np.argsort(tiny.responses["image_id"].values)
    np.testing.assert_allclose(got.responses.values, tiny.responses.values[order], rtol=1e-6)
    np.testing.assert_array_equal(got.stimuli.values, tiny.stimuli.values[order])
    assert json.loads(done("data", "info", "folder/assy_tiny.nc", "--json").stdout)["layout"] == "brainio"


def write_nwb_session(path, rng):
    n = 6
    onsets = np.arange(1, 19) * 0.5
    spikes = [np.sort(rng.uniform(0, 10, 400)) for _ in LOCATIONS]
    pixels = {f"im{k}": rng.integers(0, 256, (8, 8, 3), np.uint8) for k in range(n)}
    write_nwb(path, spikes=spikes, onsets=onsets, images=[f"im{k % n}" for k in range(18)], pixels=pixels)


@pytest.mark.parametrize("layout", ["brainio", "hvm", "nwb"])
def test_every_layout_is_described_checked_and_converted(tmp_path, rng, layout):
    path = tmp_path / "source"
    if layout == "brainio":
        path = trial_level(tmp_path)[0]
    elif layout == "hvm":
        write_hvm(path, hvm_arrays(rng))
    else:
        write_nwb_session(path, rng)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    found = json.loads(done("data", "info", path, "--json").stdout)
    assert found["layout"] == layout
    wanted = lookup.load_recording(path)
    assert sum(n for of in found["units"].values() for n in of.values()) == wanted.responses.sizes["unit"]
    assert json.loads(done("check", path, "--json").stdout)["ok"] is True
    done("data", "convert", path, "new.nc")
    got = from_netcdf("new.nc")
    assert got.responses.identical(wanted.responses)
    assert got.stimuli.identical(wanted.stimuli)
    assert got.provenance == json.loads(json.dumps(wanted.provenance))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


def test_a_full_disk_leaves_no_files(monkeypatch):
    def full(path, mode):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(netCDF4, "Dataset", full)
    assert_one_line(
        run("data", "convert", "tiny", "new.nc"), "cannot write new.nc: No space left on device; free some"
    )
    assert not list(Path.cwd().iterdir())


# Hostile files


def npz(**change):
    def write(path):
        with path.open("wb") as file:
            np.savez(file, **arrays(**change))

    return write


def cut(write, share):
    def short(path):
        write(path)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    return short


def ours(path):
    to_netcdf(tiny_recording(), path)


def plain(**change):
    def write(path):
        tiny = tiny_recording()
        variables = {
            "responses": (tiny.responses.dims, tiny.responses.values),
            "images": (tiny.stimuli.dims, tiny.stimuli.values),
            "region": ("unit", tiny.responses["region"].values),
            **change,
        }
        xr.Dataset({key: value for key, value in variables.items() if value is not None}).to_netcdf(path)

    return write


def damaged(path):
    ours(path)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 255
    path.write_bytes(whole)


NAN = np.full((16, 4, 6, 25), np.nan)
TRIALS = ("image", "trial", "unit", "time_bin")
HOSTILE = {
    "empty": (Path.touch, "it is empty"),
    "text": (lambda path: path.write_text("a,b\n1,2\n"), "cannot tell the layout"),
    "folder": (Path.mkdir, "Is a directory"),
    "pipe": (os.mkfifo, "a pipe"),
    "magic of zip": (lambda path: path.write_bytes(b"PK\x03\x04" + b"\0" * 100), "cannot read"),
    "magic of hdf5": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 100), "cannot read"),
    "half an npz": (cut(npz(), 0.5), "cannot read"),
    "half a netcdf": (cut(ours, 0.5), "cannot read"),
    "nearly a netcdf": (cut(ours, 0.999), "cannot read"),
    "damaged netcdf": (damaged, "cannot read"),
    "half by hand": (cut(plain(), 0.5), "cannot read"),
    "npz without region": (npz(region=None), "region is missing"),
    "npz without images": (npz(images=None), "images"),
    "netcdf without region": (plain(region=None), "region is missing"),
    "netcdf without images": (plain(images=None), "'images' is missing"),
    "npz, ids twice": (npz(image_id=["i"] * 16), "unique"),
    "netcdf, ids twice": (plain(unit_id=("unit", ["u"] * 6)), "unique"),
    "npz of NaN": (npz(responses=NAN), "NaN"),
    "netcdf of NaN": (plain(responses=(TRIALS, NAN)), "all responses are NaN"),
    "pickle": (npz(region=np.array(["V4", None, 3, {}, 5, 6], object)), "Python objects"),
}


@pytest.mark.parametrize("command", [["check"], ["data", "info"], ["data", "info", "--json"]])
@pytest.mark.parametrize("kind", HOSTILE)
def test_an_invalid_file_is_one_line_and_is_left_unchanged(tmp_path, command, kind):
    write, says = HOSTILE[kind]
    path = tmp_path / "mine.dat"
    write(path)
    before = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    assert_one_line(run(*command, path), says, "mine")
    assert before == (hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None)
    assert [item.name for item in tmp_path.iterdir()] == ["mine.dat"]


@pytest.mark.skipif(ROOT, reason="root may read anything")
def test_an_unreadable_file_is_one_line(tmp_path):
    path = tmp_path / "mine.npz"
    npz()(path)
    path.chmod(0)
    assert_one_line(run("check", path), "Permission denied")


@pytest.mark.parametrize("name", ["none.nc", "none.npz", "none.h5", "none.hdf5", "none.nwb", "folder/none"])
def test_a_missing_file_is_one_line(name):
    for command in (["check"], ["data", "info"]):
        assert_one_line(run(*command, name), "there is no such file")
