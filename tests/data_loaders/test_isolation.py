"""Readers of HDF5 and netCDF files work in a process of their own, within limits of time and memory."""

# h5py types a member of a file as a group, data set or type.
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false

import resource
import struct
import sys

import h5py
import numpy as np
import pytest

from brainfit.errors import BrainfitError, ContractError, IntegrityError, ResourceError
from data_loaders.brainio.recording import from_brainio
from data_loaders.files import child, isolation
from data_loaders.files.hdf5 import Hdf5File
from data_loaders.files.isolation import isolated
from data_loaders.hvm import from_hvm
from data_loaders.layouts import layout_of, read
from data_loaders.netcdf import from_netcdf
from data_loaders.nwb import from_nwb

READERS = [from_brainio, from_hvm, from_netcdf, from_nwb, layout_of, read]
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits data")


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "mine.h5", "w") as file:
        file["x"] = np.arange(10)
    return tmp_path / "mine.h5"


@pytest.mark.parametrize("start", [b"\x89HDF\r\n\x1a\n", b"CDF\x01", b"CDF\x02", b"CDF\x05"])
@pytest.mark.parametrize("reader", READERS)
def test_every_public_reader_starts_a_process_before_it_opens_a_file(tmp_path, monkeypatch, reader, start):
    asked = []
    monkeypatch.setattr(isolation, "in_child", lambda path, *arguments: asked.append(path))
    path = tmp_path / "mine.nc"
    path.write_bytes(start + bytes(100))
    assert reader(path) is None
    assert reader(str(path)) is None
    assert asked == [path, path]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"text"])
def test_other_files_start_no_process(tmp_path, monkeypatch, reader, content):
    monkeypatch.setattr(isolation, "in_child", None)
    path = tmp_path / "mine.nc"
    path.write_bytes(content)
    if reader is layout_of and content.startswith(b"PK"):
        assert reader(path) == "npz"
    else:
        with pytest.raises(BrainfitError, match="mine"):
            reader(path)


@isolated
def arguments_of(path, *arguments, **options):
    """Return the arguments, in whichever process this runs."""
    return path, arguments, options


@isolated
def never_ends(path):
    """Run until the process is stopped."""
    while True:
        pass


def test_arguments_and_results_pass_between_the_processes(path, isolated_readers):
    assert arguments_of(path, 1, window=(0, 250.5)) == (path, (1,), {"window": (0, 250.5)})


def test_arguments_that_cannot_be_passed_to_a_process_are_refused(path, isolated_readers):
    with pytest.raises(ContractError, match=r"mine\.h5: .*generator.*; give plain values"):
        arguments_of(path, (k for k in "ab"))


def test_a_reader_that_never_ends_is_stopped(path, monkeypatch, isolated_readers):
    monkeypatch.setattr(child, "_SECONDS", 1)
    with pytest.raises(IntegrityError, match=r"reading .*mine\.h5 did not end within 1 s"):
        never_ends(path)


def allocate(n_bytes):
    """Return a function that reserves addresses without using their memory."""
    return lambda: np.empty(n_bytes, np.uint8).nbytes


@needs_linux
def test_memory_far_beyond_what_a_file_declares_is_refused_and_the_limit_is_named(path):
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with pytest.raises(ResourceError, match=r"mine\.h5 takes more than 1\.1 GB of memory, .* may be damaged"):
        isolation._limited(path, True, allocate(3 * 2**30))
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert isolation._limited(path, True, allocate(2**29)) == 2**29


@needs_linux
def test_a_file_that_unpacks_to_far_more_than_its_size_has_room_for_it(path):
    with h5py.File(path, "a") as file:
        file.create_dataset("zeros", (300, 2**20), "u1", chunks=(1, 2**20), compression="gzip")[:] = 0
    assert path.stat().st_size < 2**20
    assert isolation._limited(path, True, allocate(3 * 2**30)) == 3 * 2**30


@needs_linux
def test_a_lower_limit_of_the_user_stays_and_is_not_called_damage(path):
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (isolation._data_bytes() + 2**28, hard))
        with pytest.raises(MemoryError) as caught:
            isolation._limited(path, True, allocate(2**29))
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    assert not isinstance(caught.value, ResourceError)


def test_a_chunk_that_claims_more_bytes_than_its_file_is_refused_unread(path):
    """Its size stands in the index of chunks, which no checksum protects in old versions of HDF5."""
    with h5py.File(path, "a") as file:
        data = file.create_dataset("packed", data=np.arange(1000), chunks=(1000,), compression="gzip")
        size = data.id.get_chunk_info(0).size
    content = path.read_bytes()
    key = struct.pack("<IIQ", size, 0, 0)  # size of the chunk, mask of filters, position
    assert content.count(key) == 1
    path.write_bytes(content.replace(key, struct.pack("<IIQ", 2**32 - 16, 0, 0)))
    with (
        pytest.raises(IntegrityError, match=r"packed takes \d+ of its \d+ bytes"),
        Hdf5File.at(path).opened(),
    ):
        pass
