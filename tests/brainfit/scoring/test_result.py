"""Scores in files are read back equal, or refused in one line."""

import hashlib
import json
import tempfile

import netCDF4
import numpy as np
import pytest
import xarray as xr
from fake_scores import fake_score
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import from_dtype, scalar_dtypes

from brainfit.errors import ContractError, IntegrityError
from brainfit.scoring.result import DIMS, INFO, Score
from brainfit.scoring.result_base import labelled


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


def test_a_score_is_read_as_written(score, path):
    again = Score.from_netcdf(path)
    xr.testing.assert_identical(again.data, score.data)
    assert {name: v.dtype for name, v in again.data.variables.items()} == {
        name: v.dtype for name, v in score.data.variables.items()
    }
    assert again.info == score.info
    again.to_netcdf(path)
    xr.testing.assert_identical(Score.from_netcdf(path).data, score.data)


def test_text_byte_orders_and_attributes_are_read_back(score, path):
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


def test_the_variables_are_the_documented_ones(score):
    assert Score.__doc__
    undocumented = {name for name in DIMS if name not in Score.__doc__ and "window_" not in name}
    assert undocumented == {"time_bin_start", "time_bin_end", "image_id", "unit_id"}
    assert all(key in Score.__doc__ for key in INFO)
    assert {name: score.data[name].dims for name in DIMS} == DIMS


def test_other_readers_of_netcdf_read_the_file(score, path):
    xr.testing.assert_equal(xr.load_dataset(path, engine="netcdf4"), score.data)


def test_every_changed_bit_is_detected(path, rng):
    whole = path.read_bytes()
    for n in rng.integers(0, len(whole), 300):
        path.write_bytes(whole[:n] + bytes([whole[n] ^ (1 << rng.integers(8))]) + whole[n + 1 :])
        refused(path, "sha256 differs|not a result of brainfit, or cut short")


def test_a_repaired_file_is_read_under_the_same_name(score, path):
    whole = path.read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        refused(path, "sha256 differs|not a result of brainfit, or cut short")
        path.write_bytes(whole)
        xr.testing.assert_identical(Score.from_netcdf(path).data, score.data)


def test_a_file_that_was_changed_is_refused(path):
    with netCDF4.Dataset(path, "a") as file:
        file["window_normalized"][0, 0] = 0.99
    refused(path, "not a result of brainfit|sha256 differs")


@pytest.mark.parametrize(
    ("attribute", "value", "says"),
    [
        (
            "brainfit_format",
            1,
            "it has format 1 of brainfit 0.1.0, this brainfit reads format 2; compute it again",
        ),
        ("brainfit_format", [1, 2], "cannot read"),
        ("brainfit_format", "one", "it has format one"),
        ("brainfit_result", "NoiseCeiling", "as a Score: it is a NoiseCeiling"),
        ("info", '{"control": 3}', "lacks model, .*control"),
        ("info", "{", "cannot read"),
        ("info", "[]", "cannot read"),
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


def test_an_incomplete_score_is_refused(score, path):
    Score(score.data.drop_vars(["alpha", "unit_id"]), score.info).to_netcdf(path)
    refused(path, "lacks unit_id, alpha")
    Score(score.data.transpose(), score.info).to_netcdf(path)
    refused(path, "lacks response")
    Score(score.data, {"model": "m"}).to_netcdf(path)
    refused(path, "lacks recording, benchmark")


def test_other_files_are_refused(tmp_path):
    xr.Dataset({"x": ("y", [1.0])}).to_netcdf(tmp_path / "other.nc", engine="netcdf4")
    refused(tmp_path / "other.nc", "not a result of brainfit")
    (tmp_path / "text.nc").write_text(json.dumps({"model": 1}))
    (tmp_path / "sealed.nc").write_bytes(b"\nbrainfit sha256 " + hashlib.sha256(b"").hexdigest().encode())
    for name in ("text.nc", "sealed.nc", "absent.nc", "."):
        refused(tmp_path / name, "cannot read")


def test_a_score_in_the_first_format_is_refused_in_one_line(score, path):
    data = score.data.drop_vars(["unit", "time_bin"]).assign_attrs(
        brainfit_score=1, info=json.dumps(score.info)
    )
    data.to_netcdf(path, engine="netcdf4")
    content = path.read_bytes()
    path.write_bytes(content + b"\nbrainfit sha256 " + hashlib.sha256(content).hexdigest().encode())
    refused(path, "it has format 1 of brainfit 0.1.0, this brainfit reads format 2; compute it again")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | scalar_dtypes().flatmap(from_dtype)
    | st.dates(),
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(st.text() | st.integers(), values, max_size=3)
        | st.tuples(values)
        | st.builds(lambda value: np.array([value, value], object), values)
    ),
    max_leaves=8,
)


@settings(max_examples=25, deadline=None)
@given(JSON)
def test_any_provenance_can_be_written_and_read(value):
    made = fake_score(n_units=1, n_images=2, provenance={"from a recording": value})
    with tempfile.TemporaryDirectory() as folder:
        made.to_netcdf(f"{folder}/score.nc")
        again = Score.from_netcdf(f"{folder}/score.nc").info["provenance"]
        made.to_json(f"{folder}/score.json")
    assert json.dumps(again) == json.dumps(made.info["provenance"])


def test_bins_and_units_are_selected_by_label(score):
    r = score.data["r"]
    np.testing.assert_array_equal(
        r.sel(time_bin=101, method="nearest"), r.isel(time_bin=list(score.data["time_bin_start"]).index(100))
    )
    np.testing.assert_array_equal(r.sel(unit="Tito_P_001"), r.isel(unit=1))
    assert r["time_bin"].attrs["units"] == "ms"


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["A", "B"]), st.sampled_from("xy")), min_size=1)
)
def test_labels_of_units_are_unique_for_any_ids(units):
    ids, animals, arrays = zip(*units, strict=True)
    coords = {"unit_id": ids, "animal": animals, "array": arrays}
    found = labelled(xr.Dataset(coords={name: ("unit", list(values)) for name, values in coords.items()}))
    labels = found["unit"].values.tolist()
    assert len(set(labels)) == len(units)
    assert all(unit in label for unit, label in zip(ids, labels, strict=True))
    assert labelled(found).identical(found)


@pytest.mark.parametrize("dims", [(), ("window", "unit"), ("image", "unit", "time_bin"), ("unit",)])
def test_a_table_has_a_row_for_each_combination(score, dims):
    frame, rows = score.frame(*dims), dims or ("unit", "time_bin")
    assert len(frame) == np.prod([score.data.sizes[dim] for dim in rows])
    assert not frame.duplicated(list(rows)).any()
    for name in frame.columns.intersection(list(score.data.data_vars)):
        for _, row in frame.sample(5, random_state=0, replace=True).iterrows():
            one = score.data[name].isel(image=row["image"]) if "image" in rows else score.data[name]
            at = {dim: row[dim] for dim in rows if dim != "image"}
            np.testing.assert_equal(one.sel(at).item(), row[name])


def test_a_table_over_other_dims_is_refused(score):
    with pytest.raises(ContractError, match=r"no variable has dims image; choose from .*unit, time_bin"):
        score.frame("image")


def test_the_repr_fits_a_screen(score):
    lines = repr(score).splitlines()
    assert len(lines) < 12
    assert max(map(len, lines)) <= 110
    assert "nan" not in repr(fake_score(n_units=3, n_images=5, reliable=False))
