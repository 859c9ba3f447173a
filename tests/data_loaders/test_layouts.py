"""The layout of a file is detected from its content, whatever its name."""

import os
import pickle
import resource
import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from matlab_files import write_v73
from scipy.io import savemat
from tiny import tiny_recording

from brainfit.errors import BrainfitError, ContractError, IntegrityError, ResourceError
from brainfit.registry.lookup import load_recording
from data_loaders.files import child, isolation
from data_loaders.layouts import LAYOUTS, layout_of, read
from data_loaders.netcdf.recording import to_netcdf


def npz(path, **more):
    tiny = tiny_recording()
    arrays = {"responses": tiny.responses.values, "images": tiny.stimuli.values, "region": "pIT", **more}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def plain(path, **how):
    tiny = tiny_recording()
    xr.Dataset(
        {
            "responses": (tiny.responses.dims, tiny.responses.values),
            "images": (tiny.stimuli.dims, tiny.stimuli.values / 255 if how else tiny.stimuli.values),
            "region": ((), "pIT"),
        }
    ).to_netcdf(path, **how)


def brainio(path, **how):
    with netCDF4.Dataset(path, "w", **how) as data:
        data.createDimension("neuroid", 2)
        data.createDimension("presentation", 3)
        data.createVariable("whatever", "f4", ("neuroid", "presentation"))


def hvm(path, **how):
    with h5py.File(path, "w", **how) as file:
        file["image_meta/category"] = np.array([b"Cars"])
        file.create_group("neural_meta")


def nwb(path):
    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.7.0"


def matlab(path, write):
    tiny = tiny_recording()
    write(path, responses=tiny.responses.values, images=tiny.stimuli.values, region="pIT")


WRITERS = {
    "matlab": [
        lambda path: matlab(path, write_v73),
        lambda path: matlab(path, lambda path, **arrays: savemat(path, arrays, appendmat=False)),
    ],
    "npz": [npz],
    "netcdf": [
        plain,
        lambda path: to_netcdf(tiny_recording(), path),
        lambda path: plain(path, format="NETCDF3_CLASSIC", engine="netcdf4"),
        lambda path: plain(path, format="NETCDF3_64BIT", engine="netcdf4"),
    ],
    "brainio": [brainio, lambda path: brainio(path, format="NETCDF3_CLASSIC")],
    "hvm": [hvm, lambda path: hvm(path, userblock_size=1024)],
    "nwb": [nwb],
}


@pytest.mark.parametrize("suffix", [".nc", ".npz", ".h5", "", ".txt"])
@pytest.mark.parametrize(("layout", "write"), [(k, one) for k, some in WRITERS.items() for one in some])
def test_a_layout_is_detected_from_the_content_of_the_file(tmp_path, layout, write, suffix):
    path = tmp_path / f"mine{suffix}"
    write(path)
    assert layout_of(path) == layout


def test_every_layout_is_tested():
    assert set(WRITERS) == set(LAYOUTS)


@pytest.mark.parametrize("write", [npz, *WRITERS["netcdf"], *WRITERS["matlab"]])
def test_a_recording_is_equal_in_every_layout(tmp_path, write):
    write(tmp_path / "mine.data")
    for got in (read(tmp_path / "mine.data"), load_recording(tmp_path / "mine.data")):
        np.testing.assert_array_equal(got.responses.values, tiny_recording().responses.values)
        scale = 255 if got.stimuli.dtype.kind == "f" else 1  # netCDF-3 has no uint8
        np.testing.assert_allclose(got.stimuli.values * scale, tiny_recording().stimuli.values)


OPTIONS: dict[str, dict[str, None]] = {
    "brainio": {"stimuli": None, "regions": None},
    "hvm": {},
    "nwb": {"presentations": None, "regions": None},
}


@pytest.mark.parametrize("layout", ["brainio", "hvm", "nwb"])
def test_the_loader_of_the_layout_is_called(tmp_path, monkeypatch, layout):
    loader = pytest.importorskip(f"data_loaders.{layout}.recording")
    called = []
    monkeypatch.setattr(loader, f"from_{layout}", lambda *given, **options: called.append((given, options)))
    path = tmp_path / "mine.nc"
    WRITERS[layout][0](path)
    read(path)
    assert called == [((path,), OPTIONS[layout])]


@pytest.mark.parametrize("write", [WRITERS["netcdf"][0], WRITERS["netcdf"][1], npz, WRITERS["netcdf"][2]])
def test_hdf5_and_netcdf_read_in_another_process_give_the_same(tmp_path, monkeypatch, write):
    asked = []

    def in_child(path, function, *arguments):
        asked.append(path)
        return child.in_child(path, function, *arguments)

    path = tmp_path / "mine.dat"
    write(path)
    here = read(path)
    monkeypatch.delenv("BRAINFIT_CHILD")
    monkeypatch.setattr(isolation, "in_child", in_child)
    there = read(path)
    assert asked == ([path] if path.read_bytes().startswith((b"\x89HDF", b"CDF")) else [])
    assert there.responses.identical(here.responses)
    assert there.stimuli.identical(here.stimuli)
    assert (there.name, there.simulated, there.provenance) == (here.name, here.simulated, here.provenance)


def test_a_library_that_hangs_on_a_file_times_out(tmp_path, monkeypatch, isolated_readers):
    path = tmp_path / "mine.nc"
    hvm(path)
    monkeypatch.setattr(child, "_SECONDS", 0.01)
    with pytest.raises(IntegrityError, match=r"reading .*mine\.nc did not end within"):
        read(path)


def test_a_reading_process_does_not_start_another(tmp_path):
    assert child.in_child(tmp_path, os.getpid) == os.getpid()


@pytest.mark.parametrize("name", ["pickle.py", "numpy.py", "h5py.py", "dask.py", "sitecustomize.py"])
def test_reading_imports_nothing_from_the_current_folder(tmp_path, name, isolated_readers):
    """``python -c`` and the interactive prompt put the current folder first on the path."""
    WRITERS["netcdf"][0](tmp_path / "mine.nc")
    (tmp_path / name).write_text("open('ran', 'w').close()")
    code = (
        "import sys; from data_loaders.layouts import read\n"
        "sys.path.insert(0, '')\n"
        "print(read('mine.nc').n_images)"
    )
    command = [sys.executable, "-P", "-c", f"import h5py, netCDF4, xarray; {code}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == tiny_recording().n_images
    assert not (tmp_path / "ran").exists()


def test_a_child_process_searches_the_package_folder_last(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), "/elsewhere"])
    safe = child._safe_path()
    assert safe == ["/elsewhere", str(Path(child.__file__).parents[2])]


def allocate(n_bytes):
    return len(bytearray(n_bytes))


@pytest.mark.parametrize(
    ("function", "argument", "error"),
    [
        (allocate, 2**60, ResourceError),
        (os._exit, 3, RuntimeError),
        (sys.exit, "std::bad_alloc", ResourceError),
    ],
)
def test_a_failed_child_process_names_the_reason(tmp_path, function, argument, error, isolated_readers):
    with pytest.raises(error) as caught:
        child.in_child(tmp_path / "mine.h5", function, argument)
    assert error is RuntimeError or "memory ran out" in str(caught.value)


def test_little_memory_gives_one_line(tmp_path):
    """With the smallest limit Python fails to start; with larger ones its libraries fail to load."""
    WRITERS["netcdf"][0](tmp_path / "mine.nc")
    code = "import sys; from data_loaders.files.child import answer_of; print(answer_of(sys.stdin.buffer))"
    call = pickle.dumps((read, (tmp_path / "mine.nc",)))
    for megabytes in (10, 60, 120, 250, 400):
        limit = (megabytes * 2**20, megabytes * 2**20)
        done = subprocess.run(
            [sys.executable, "-P", "-c", code], input=call, capture_output=True, check=False, timeout=120,
            env={**os.environ, **child._ONE_THREAD},
            preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_AS, limit),
        )  # fmt: skip
        if done.returncode:
            error = child._failure(Path("mine.nc"), done.returncode, done.stderr.decode())
            assert isinstance(error, ResourceError), f"{megabytes} MB: {error}"
            assert "\n" not in str(error)
        else:
            assert b"Recording 'mine'" in done.stdout or b"memory ran out" in done.stdout


def test_stimuli_are_refused_for_layouts_other_than_brainio(tmp_path):
    npz(tmp_path / "mine.npz")
    with pytest.raises(ContractError, match=r"has images of its own \(npz\); leave the stimuli out"):
        read(tmp_path / "mine.npz", stimuli="images.csv")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"),
        (b"P", "no zip, HDF5 or netCDF"),
        (b"responses,images\n", "no zip, HDF5 or netCDF"),
        (pickle.dumps({"responses": 1}), "no zip, HDF5 or netCDF"),
        (b"\0" * 5000 + b"\x89HDF\r\n\x1a\n", "no zip, HDF5 or netCDF"),
    ],
)
def test_an_unknown_layout_is_refused_with_a_list_of_layouts(tmp_path, content, says):
    path = tmp_path / "mine.nc"
    path.write_bytes(content)
    with pytest.raises(ContractError, match=says) as caught:
        layout_of(path)
    for wanted in (".npz", "'responses'", "'neuroid'", "'image_meta'", "'nwb_version'", "mine.nc"):
        assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"\x89HDF\r\n\x1a\n", b"CDF\x01", b"CDF\x02\0\0\0", b"CDF\x05" + b"\xff" * 90]
)
def test_a_file_with_only_the_signature_of_a_layout_is_damaged(tmp_path, content):
    path = tmp_path / "mine.nc"
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"cannot read .*mine\.nc"):
        read(path)


def test_hdf5_with_other_content_is_refused_with_its_content(tmp_path):
    path = tmp_path / "mine.h5"
    with h5py.File(path, "w") as file:
        file["spikes\x1b"] = [1, 2]
    with pytest.raises(ContractError, match=r"one that holds spikes\\x1b; wanted"):
        layout_of(path)


def test_a_zip_that_is_not_an_npz_is_refused(tmp_path):
    path = tmp_path / "mine.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(BrainfitError, match=r"mine\.zip"):
        read(path)


@pytest.mark.parametrize("name", ["absent.nc", "folder", "pipe"])
def test_missing_files_folders_and_pipes_are_refused(tmp_path, name):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(IntegrityError, match="cannot read"):
        read(tmp_path / name)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.sampled_from([b"", b"PK\x03\x04", b"CDF\x01", b"CDF\x02", b"CDF\x05", b"\x89HDF\r\n\x1a\n"]),
    rest=st.binary(max_size=300),
)
@example(start=b"\x89HDF\r\n\x1a\n", rest=bytes([2, 8, 8, 0]) + b"\xff" * 100)
def test_random_bytes_are_refused_in_one_line(tmp_path, start, rest):
    path = tmp_path / "mine.nc"
    path.write_bytes(start + rest)
    with pytest.raises(BrainfitError) as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("write", [npz, *WRITERS["netcdf"]])
def test_damaged_files_are_refused_in_one_line(tmp_path, rng, write):
    path = tmp_path / "mine.nc"
    write(path)
    whole = path.read_bytes()
    for n in rng.integers(0, min(len(whole), 3000), 40):  # within the header
        path.write_bytes(whole[:n] + bytes([whole[n] ^ (1 << rng.integers(8))]) + whole[n + 1 :])
        with suppress(BrainfitError):
            _ = read(path).responses.values
