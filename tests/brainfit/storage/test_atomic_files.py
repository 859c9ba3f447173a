"""New files appear whole or not at all, whatever their writer raises."""

import os

import pytest

from brainfit.storage.atomic_files import open_no_link, replaced


@pytest.mark.parametrize("error", [RuntimeError("NetCDF: HDF error"), OSError(28, "No space left on device")])
def test_a_failed_writer_leaves_only_the_earlier_file(tmp_path, error):
    path = tmp_path / "a.nc"
    path.write_text("earlier")

    def write():
        with replaced(path) as new:
            new.write_text("half")
            raise error

    with pytest.raises(OSError, match=r"NetCDF: HDF error \(is the disk full|No space left"):
        write()
    assert path.read_text() == "earlier"
    assert [item.name for item in tmp_path.iterdir()] == ["a.nc"]


def test_a_bug_in_a_writer_keeps_its_traceback(tmp_path):
    with pytest.raises(RuntimeError, match="a bug"), replaced(tmp_path / "a"):
        raise RuntimeError("a bug")


def test_a_full_disk_is_one_error(small_disk):
    import numpy as np
    import xarray as xr

    data = xr.Dataset({"a": ("x", np.random.default_rng(0).random(1_000_000))})
    with pytest.raises(OSError, match=r"NetCDF|No space"), replaced(small_disk / "a.nc") as new:
        data.to_netcdf(new, engine="netcdf4")
    assert list(small_disk.iterdir()) == []


def test_the_name_of_a_temporary_file_cannot_be_predicted(tmp_path):
    names = set()
    for _ in range(3):
        with replaced(tmp_path / "a") as new:
            new.write_text("")
            names.add(new)
            assert new.parent.stat().st_mode & 0o077 == 0
    assert len(names) == 3


@pytest.mark.parametrize("mode", ["rb", "xb", "ab", "rb+"])
def test_symbolic_links_are_never_followed(tmp_path, mode):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(OSError, match=r"Too many levels|File exists"), open_no_link(tmp_path / "link", mode):
        pass
    assert (tmp_path / "file").read_text() == "kept"


def test_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with open_no_link(tmp_path / "pipe", "rb") as file:
        assert not os.path.isfile(file.fileno())  # noqa: PTH113
