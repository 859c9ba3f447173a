"""Missing values: netCDF4-python and xarray are the oracles; sentinels and unwritten chunks are refused."""

import warnings

import h5py
import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from brainfit.errors import ContractError
from brainfit.support.lazy_arrays import lazy_variable
from data_loaders.files.missing import check_bins, check_responses, check_written, decoding, unmask

STORED = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]


@pytest.mark.parametrize("dtype", STORED)
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"_FillValue": 7},
        {"missing_value": 7},
        {"missing_value": [7, 9]},
        {"_FillValue": 7, "missing_value": 9},
        {"valid_range": [2, 11]},
        {"valid_min": 3},
        {"valid_max": 9, "_FillValue": 4},
        {"scale_factor": 0.5, "add_offset": -3.0},
        {"scale_factor": 0.25, "_FillValue": 7, "missing_value": 2},
    ],
    ids=str,
)
def test_stored_numbers_decode_as_netcdf4_decodes_them(tmp_path, dtype, attributes):
    """Some values are left unwritten, so the type's default fill value occurs."""
    cast = {
        name: value if name in ("scale_factor", "add_offset") else np.array(value, dtype)
        for name, value in attributes.items()
    }
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as data:
        data.createDimension("x", 20)
        variable = data.createVariable("v", dtype, "x", fill_value=cast.pop("_FillValue", None))
        variable.set_auto_maskandscale(False)
        variable.setncatts(cast)
        variable[:14] = np.arange(14)
        if np.dtype(dtype).itemsize == 1:
            variable[14:] = 5
    with netCDF4.Dataset(tmp_path / "a.nc") as data:
        variable = data["v"]
        wanted = np.ma.filled(variable[:].astype(float), np.nan)
        variable.set_auto_maskandscale(False)
        found = decoding("v", variable.dtype, {k: variable.getncattr(k) for k in variable.ncattrs()})
        np.testing.assert_allclose(found.decode(variable[:]), wanted)


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4"])
@pytest.mark.parametrize("fill", [None, -1, 3, -56])
def test_unsigned_integers_of_netcdf3_decode_as_xarray_decodes_them(tmp_path, dtype, fill):
    path = tmp_path / "a.nc"
    with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC") as data:
        data.createDimension("x", 6)
        variable = data.createVariable("v", dtype, "x", fill_value=False if fill is None else fill)
        variable.setncattr("_Unsigned", "true")
        variable.set_auto_maskandscale(False)
        variable[:] = np.array([0, 3, 127, -128, -56, -1], dtype)
        attributes = {k: variable.getncattr(k) for k in variable.ncattrs()}
        decoded = decoding("v", variable.dtype, attributes).decode(variable[:])
    with xr.open_dataset(path, engine="scipy") as oracle:
        np.testing.assert_array_equal(decoded, oracle["v"].values.astype(float))
    assert decoded[4] == 2 ** (8 * np.dtype(dtype).itemsize) - 56 or fill == -56


def test_big_endian_numbers_keep_their_values_and_marks():
    found = decoding("v", np.dtype(">i2"), {"_FillValue": np.array([-5], ">i2")})
    np.testing.assert_array_equal(found.decode(np.array([1, -5, 300], ">i2")), [1, np.nan, 300])
    assert found.dtype.isnative


@pytest.mark.parametrize(
    ("dtype", "attributes", "message"),
    [
        ("f4", {"_FillValue": "none"}, "_FillValue is 'none'; wanted a number"),
        ("i2", {"missing_value": 1e20}, "which no int16 is"),
        ("i2", {"missing_value": np.nan}, "which no int16 is"),
        ("i1", {"_Unsigned": "maybe"}, "_Unsigned is 'maybe'; wanted true or false"),
        ("i2", {"valid_range": [1]}, "valid_range has 1 numbers"),
        ("i2", {"scale_factor": [1.0, 2.0]}, "scale_factor has 2 numbers"),
        ("i2", {"scale_factor": np.inf}, "must be finite"),
    ],
)
def test_inconsistent_attributes_are_refused(dtype, attributes, message):
    with pytest.raises(ContractError, match=message) as error:
        decoding("file: v", np.dtype(dtype), attributes)
    assert "\n" not in str(error.value)


NA = [1.0, np.nan, 3.0]


@pytest.mark.parametrize(
    "values",
    [
        np.ma.masked_equal([1, 2, 3], 2),
        np.ma.masked_equal(np.array([1, 2, 3], "f4"), 2),
        pd.array([1, None, 3], dtype="Int64"),
        pd.Series([1, None, 3], dtype="Float64"),
        np.array([1, None, 3.0], object),
    ],
)
def test_masked_entries_become_nan(values):
    np.testing.assert_array_equal(unmask(values), NA)


@pytest.mark.parametrize("value", [-9999, -999, -99, 9999, -32768, -32767, 9.96921e36, 1e20, -1e30, 3.4e38])
@pytest.mark.parametrize("rest", [(0, 20), (-4, 4), (0.0, 0.01)])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_numbers_that_mark_missing_values_are_named(value, rest, dtype):
    values = np.linspace(rest[0], rest[1], 60).astype(dtype).reshape(3, 20)
    check_responses("mine", values)
    values[1, 3:5] = value
    with pytest.raises(ContractError, match=r"mine: 2 values are .* seems to mark missing values"):
        check_responses("mine", values)
    values[0] = np.nan
    values[1, 3] = rest[0]
    with pytest.raises(ContractError, match=r"mine: 1 value is"):
        check_responses("mine", values)


def test_sentinels_on_both_sides_are_both_found():
    values = np.append(np.linspace(0, 5, 50), [-9999, 9999])
    with pytest.raises(ContractError, match="seems to mark missing values"):
        check_responses("mine", values)


@pytest.mark.parametrize("scale", [1e14, 1e200])
def test_many_different_large_numbers_are_responses(scale):
    values = np.random.default_rng(0).normal(size=(20, 5))
    check_responses("mine", values * scale)
    check_responses("mine", values * np.array([1, 1, 1, 1, scale]))


@pytest.mark.parametrize("low", [-1000, 0, -99.0])
def test_a_value_within_the_range_of_the_others_is_a_response(low):
    check_responses("rates", np.append(np.linspace(low, 1200, 500), [999, -99]))


@pytest.mark.parametrize("values", [[], [np.nan, np.nan], [0.0], [-7.5]])
def test_few_values_are_accepted(values):
    check_responses("mine", np.array(values))


def test_infinite_values_are_counted():
    with pytest.raises(ContractError, match="mine: 2 infinite values"):
        check_responses("mine", np.array([1, np.inf, -np.inf, np.nan]))


@pytest.mark.parametrize("chunks", [(2, 5), None])
def test_unwritten_values_are_not_zeros(tmp_path, chunks):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("whole", data=np.ones((4, 5)), chunks=chunks)
        lacking = file.create_dataset("lacking", (4, 5), "f4", chunks=chunks)
        as_nan = file.create_dataset("nan", (4, 5), "f4", chunks=chunks, fillvalue=np.nan)
        if chunks:
            lacking[:2], as_nan[:2] = 1, 1
    with h5py.File(tmp_path / "a.h5") as file:
        for name, data in file.items():
            plain = decoding(name, data.dtype, {})
            if name == "lacking":
                with pytest.raises(ContractError, match=r"lacking: .* never written and would read as 0"):
                    check_written(name, data, plain)
                plain = decoding(name, data.dtype, {"_FillValue": np.float64(0)})
            check_written(name, data, plain)


def test_unwritten_netcdf_values_are_missing(tmp_path):
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as data:
        data.createDimension("x", 10)
        data.createVariable("filled", "f4", "x", chunksizes=(2,))[:4] = 1
        data.createVariable("unfilled", "f4", "x", chunksizes=(2,), fill_value=False)[:4] = 1
    with h5py.File(tmp_path / "a.nc") as file, warnings.catch_warnings():
        warnings.simplefilter("error")
        filled, unfilled = file["filled"], file["unfilled"]
        assert isinstance(filled, h5py.Dataset)
        assert isinstance(unfilled, h5py.Dataset)
        check_written("v", filled, decoding("v", filled.dtype, {}))
        assert np.isnan(decoding("v", filled.dtype, {}).decode(filled[...])[4:]).all()
        with pytest.raises(ContractError, match="3 of 5 chunks were never written"):
            check_written("v", unfilled, decoding("v", unfilled.dtype, {}))


@pytest.mark.parametrize(
    "attributes",
    [
        {"valid_range": [5, -5]},
        {"valid_min": 5, "valid_max": -5},
        {"valid_min": 5, "valid_range": [0, 4]},
        {"valid_range": [np.nan, 4.0]},
    ],
    ids=str,
)
def test_a_range_in_which_no_number_is_valid_is_refused(attributes):
    with pytest.raises(ContractError, match="responses: no number is valid from"):
        decoding("responses", np.dtype("f4"), attributes)


def labelled(values):
    """Return responses with the coordinates that `check_bins` reads."""
    dims = ("image", "trial", "unit", "time_bin") if values.ndim == 4 else ("image", "unit", "time_bin")
    start = 10.0 * np.arange(values.shape[-1])
    edges = {"time_bin_start": ("time_bin", start), "time_bin_end": ("time_bin", start + 10)}
    return xr.DataArray(values, dims=dims, coords=edges)


@given(st.one_of(arrays(bool, (3, 2, 3, 4)), arrays(bool, (3, 3, 2))))
def test_exactly_the_bins_without_any_value_are_named(known):
    """The oracle looks at the whole array at once."""
    empty = np.flatnonzero(~known.reshape(-1, known.shape[-1]).any(axis=0))
    responses = labelled(np.where(known, 1.0, np.nan))
    if not empty.size:
        check_bins(responses)
        return
    with pytest.raises(ContractError) as caught:
        check_bins(responses)
    if empty.size == known.shape[-1]:
        assert "all responses are NaN" in str(caught.value)
    else:
        spans = ", ".join(f"{k} ({10 * k}-{10 * k + 10} ms)" for k in empty)
        assert f"{spans} {'are' if empty.size > 1 else 'is'} NaN in every trial" in str(caught.value)


def test_only_one_image_of_one_unit_is_read_of_a_sound_recording():
    asked = []

    def read(*positions):
        asked.append(tuple(map(len, positions)))
        return np.zeros(asked[-1])

    lazy = lazy_variable(("image", "unit", "time_bin"), (10**5, 10**4, 3), np.dtype(float), read)
    check_bins(xr.DataArray(lazy, coords=labelled(np.zeros((1, 1, 3))).coords))
    assert asked == [(1, 1, 3)]
