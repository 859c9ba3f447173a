"""Scores in files: read back the same, or refused in one line."""

import hashlib
import json

import netCDF4
import numpy as np
import pytest
import xarray as xr
from fake_scores import fake_score

from brainfit.errors import IntegrityError
from brainfit.scoring.result import DIMS, INFO, Score


@pytest.fixture(scope="module")
def score():
    return fake_score(n_units=3, n_images=5)


@pytest.fixture
def path(score, tmp_path):
    score.to_netcdf(tmp_path / "score.nc")
    return tmp_path / "score.nc"


def refused(path, says):
    with pytest.raises(IntegrityError, match=says) as caught:
        Score.from_netcdf(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_what_is_read_is_what_was_written(score, path):
    again = Score.from_netcdf(path)
    xr.testing.assert_identical(again.data, score.data)
    assert {name: v.dtype for name, v in again.data.variables.items()} == {
        name: v.dtype for name, v in score.data.variables.items()
    }
    assert again.info == score.info
    again.to_netcdf(path)
    xr.testing.assert_identical(Score.from_netcdf(path).data, score.data)


def test_strings_byte_order_and_attributes_of_any_kind_are_read_back(score, path):
    data = score.data.assign_coords(
        animal=("unit", np.array(["é", "", "wide"], "U40"), {"list": [1], "names": ["a", "b"], "n": 3}),
        array=("unit", np.array(["x", "y", "z"], object)),
        variation=("image", np.arange(5, dtype=">i2")),
        time_bin_start=score.data["time_bin_start"].astype(">f4").assign_attrs(units="ms"),
    )
    data["time_bin_end"].encoding = {"dtype": "int16", "scale_factor": 100.0}
    Score(data.assign_attrs(note="whole"), score.info).to_netcdf(path)
    again = Score.from_netcdf(path).data
    assert again.attrs == {"note": "whole"}
    for name in data.variables:
        np.testing.assert_array_equal(again[name].values, data[name].values)


def test_the_table_of_variables_is_the_documented_one(score):
    assert Score.__doc__
    undocumented = {name for name in DIMS if name not in Score.__doc__ and "window_" not in name}
    assert undocumented == {"time_bin_start", "time_bin_end", "image_id", "unit_id"}
    assert all(key in Score.__doc__ for key in INFO)
    assert {name: score.data[name].dims for name in DIMS} == DIMS


def test_any_reader_of_netcdf_reads_the_file(score, path):
    xr.testing.assert_equal(xr.load_dataset(path, engine="netcdf4"), score.data)


def test_no_changed_bit_goes_unseen(path, rng):
    whole = path.read_bytes()
    for n in rng.integers(0, len(whole), 300):
        path.write_bytes(whole[:n] + bytes([whole[n] ^ (1 << rng.integers(8))]) + whole[n + 1 :])
        refused(path, "sha256 differs|not a brainfit score, or cut short")


def test_a_good_file_is_read_where_a_damaged_one_was(score, path):
    whole = path.read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        refused(path, "sha256 differs|not a brainfit score, or cut short")
        path.write_bytes(whole)
        xr.testing.assert_identical(Score.from_netcdf(path).data, score.data)


def test_a_file_that_was_changed_is_refused(path):
    with netCDF4.Dataset(path, "a") as file:
        file["window_normalized"][0, 0] = 0.99
    refused(path, "not a brainfit score|sha256 differs")


@pytest.mark.parametrize(
    ("attribute", "value", "says"),
    [
        ("brainfit_score", 2, "not a brainfit score of format 1"),
        ("brainfit_score", [1, 2], "cannot read"),
        ("brainfit_score", "one", "not a brainfit score of format 1"),
        ("info", "{", "cannot read"),
        ("info", "[]", "lacks model"),
        ("info", "3", "cannot read"),
        ("info", 3, "cannot read"),
    ],
)
def test_a_foreign_attribute_is_refused(path, attribute, value, says):
    with netCDF4.Dataset(path, "a") as file:
        file.setncattr(attribute, value)
    content = path.read_bytes()
    path.write_bytes(content + b"\nbrainfit sha256 " + hashlib.sha256(content).hexdigest().encode())
    refused(path, says)


def test_a_score_that_is_not_whole_is_refused(score, path):
    Score(score.data.drop_vars(["alpha", "unit_id"]), score.info).to_netcdf(path)
    refused(path, "lacks unit_id, alpha")
    Score(score.data.transpose(), score.info).to_netcdf(path)
    refused(path, "lacks response")
    Score(score.data, {"model": "m"}).to_netcdf(path)
    refused(path, "lacks recording, benchmark")


def test_other_files_are_refused(tmp_path):
    xr.Dataset({"x": ("y", [1.0])}).to_netcdf(tmp_path / "other.nc", engine="netcdf4")
    refused(tmp_path / "other.nc", "not a brainfit score")
    (tmp_path / "text.nc").write_text(json.dumps({"model": 1}))
    (tmp_path / "sealed.nc").write_bytes(b"\nbrainfit sha256 " + hashlib.sha256(b"").hexdigest().encode())
    for name in ("text.nc", "sealed.nc", "absent.nc", "."):
        refused(tmp_path / name, "cannot read")
