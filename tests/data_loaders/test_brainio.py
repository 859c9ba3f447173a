"""Recordings in BrainIO's netCDF layout: known values are read lazily; invalid files are refused."""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr
from brainio_files import trial_level, write_assembly, write_stimulus_set
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import TinyModel

import brainfit
from brainfit.contracts.recording import Recording
from brainfit.errors import ContractError, IntegrityError
from brainfit.scoring.responses import average_trials
from brainfit.support.lazy_arrays import lazy_variable
from data_loaders.arrays.recording import from_arrays
from data_loaders.brainio import presentations
from data_loaders.brainio.recording import from_brainio
from data_loaders.brainio.write import to_brainio
from data_loaders.files.variables import Variable
from data_loaders.trials import trial_table

ORDERS = [
    ("neuroid", "presentation", "time_bin"),
    ("presentation", "neuroid", "time_bin"),
    ("time_bin", "presentation", "neuroid"),
]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"old": True, "end_name": "time_bin_stop", "variable": "dicarlo.MajajHong2015.temporal"},
        {"old": True, "fixed_text": True, "leftovers": True},
        {"leftovers": True, "variable": "__xarray_dataarray_variable__"},
        {"dims": ORDERS[1]},
        {"dims": ORDERS[2], "zlib": True, "chunksizes": (2, 5, 3)},
        {"zlib": True, "chunksizes": (3, 4, 2)},
        {"presentation": {"image_id": None}},
    ],
)
def test_known_values_are_read(tmp_path, options):
    path, trials = trial_level(tmp_path, **options)
    recording = from_brainio(path)
    assert recording.responses.dtype == np.float32
    np.testing.assert_array_equal(recording.responses.values, trials)
    coords = {name: coord.values.tolist() for name, coord in recording.responses.coords.items()}
    assert coords["image_id"] == [f"im{i:03d}" for i in range(6)]
    assert coords["object_name"] == ["bear", "car"] * 3
    assert coords["variation"] == [0, 3, 6] * 2
    assert coords["rxy"] == np.linspace(-90, 90, 6).tolist()
    assert coords["unit_id"] == [f"Chabo_L_M_{u}" for u in range(8)]
    assert coords["region"] == ["V4", "pIT", "pIT", "cIT"] * 2
    assert coords["animal"] == ["Chabo", "Tito"] * 4
    assert coords["array"] == ["M", "A", "P", "M", "A", "P", "M", "A"]
    assert coords["time_bin_end"] == [20, 30, 40, 50, 60]
    pixels = np.random.default_rng(1).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(recording.stimuli.values, pixels)
    assert recording.stimuli["image_id"].values.tolist() == coords["image_id"]


def test_any_selection_equals_that_of_the_whole(tmp_path, rng):
    path, trials = trial_level(tmp_path, zlib=True, chunksizes=(3, 4, 2))
    whole = xr.DataArray(trials, dims=("image", "trial", "unit", "time_bin"))
    lazy = from_brainio(path).responses
    for some in (
        {"image": [4, 0, 4], "unit": [7, 7, 1], "time_bin": [3, 0, 0]},
        {"image": [0, 0, 4], "unit": [1, 7, 7], "time_bin": [0, 0, 3]},
        {"image": 2, "trial": slice(1, 3)},
        {"unit": rng.random(8) > 0.5, "time_bin": slice(None, None, -1)},
        {"image": []},
        {"trial": 3, "time_bin": -1},
    ):
        np.testing.assert_array_equal(lazy.isel(some).values, whole.isel(some).values)


def test_times_in_seconds_become_ms_and_overlap_is_noted(tmp_path):
    path, _ = trial_level(tmp_path, start=[-0.1, -0.09, 0.0, 0.07, 0.28], width=0.02)
    recording = from_brainio(path)
    assert recording.responses["time_bin_start"].values.tolist() == [-100, -90, 0, 70, 280]
    assert recording.responses["time_bin_end"].values.tolist() == [-80, -70, 20, 90, 300]
    said = "20 ms wide, 10 to 210 ms apart: overlapping, taken by their centre"
    assert recording.provenance["windows"] == said


@pytest.mark.parametrize(
    ("start", "width", "starts", "said"),
    [
        (np.arange(5.0) * 20, 20.0, None, "20 ms wide, 20 ms apart"),
        (np.arange(5.0) * 2, 4.0, None, "4 ms wide, 2 ms apart: overlapping, taken by their centre"),
        (np.arange(5.0) * 2, 5.0, None, "5 ms wide, 2 ms apart: overlapping, taken by their centre"),
        (np.arange(5.0) * 4, 4.0, None, "4 ms wide, 4 ms apart"),
        (np.arange(5.0) * 10, 5.0, None, "5 ms wide, 10 ms apart"),
        (np.arange(5.0) * 5, 5.0, [0, 10], "5 ms wide, one after the other: averaged to 10 ms"),
        (np.arange(5.0) * 5 + 15, 5.0, [20, 30], "5 ms wide, one after the other: averaged to 10 ms"),
        (np.arange(5.0), 1.0, None, "1 ms wide, 1 ms apart"),
    ],
)
def test_only_narrow_bins_without_overlap_are_averaged(tmp_path, monkeypatch, start, width, starts, said):
    monkeypatch.setattr(presentations, "_BLOCK_BYTES", 64)  # bins of one average lie in several pieces
    path, trials = trial_level(tmp_path, start=start, width=width, zlib=True, chunksizes=(4, 7, 3))
    recording = from_brainio(path)
    assert recording.provenance["windows"] == said
    if starts is None:
        np.testing.assert_array_equal(recording.responses.values, trials)
        return
    assert recording.responses["time_bin_start"].values.tolist() == starts
    assert recording.responses["time_bin_end"].values.tolist() == [at + 10 for at in starts]
    first = int(np.flatnonzero(start == starts[0])[0])
    pairs = trials[..., first : first + 4].reshape(*trials.shape[:3], 2, 2).mean(axis=-1)
    np.testing.assert_allclose(recording.responses.values, pairs, rtol=1e-6)
    for some in ([1, 0, 1], [0, 0, 1], [1, 1]):
        chosen = recording.responses.isel(time_bin=some).values
        np.testing.assert_array_equal(chosen, recording.responses.values[..., some])
    dropped = [{"what": "time bins", "n": 1, "why": "not in a whole bin of 10 ms"}]
    assert recording.provenance["dropped"] == dropped


def test_1_ms_bins_as_published_for_v1_and_v2_become_10_ms_bins(tmp_path):
    regions = {"subregion": None, "region": ["V1"] * 2 + ["V2"] * 2}
    options = {
        "n_units": 4,
        "n_bins": 300,
        "neuroid": regions,
        "start": np.arange(300) / 1000,
        "width": 0.001,
    }
    path, trials = trial_level(tmp_path, **options)
    recording = from_brainio(path).select_region("V2")
    assert recording.responses["time_bin_start"].values.tolist() == list(range(0, 300, 10))
    tens = trials[:, :, 2:].reshape(*trials.shape[:2], 2, 30, 10).mean(axis=-1)
    np.testing.assert_allclose(recording.responses.values, tens, rtol=0, atol=1e-6)


def averaged(folder, **options):
    ids = np.array(["b", "c", "a"])
    write_stimulus_set(folder, "lab.Mean", ids, {"object_name": ["x", "y", "z"]})
    values = np.arange(3.0 * 4 * 1).reshape(4, 3, 1)
    return write_assembly(folder / "assy_lab_Mean.nc", values, image=ids, **options), values


def test_images_that_occur_once_without_repetition_are_averages(tmp_path):
    path, values = averaged(tmp_path)
    recording = from_brainio(path)
    assert recording.responses.dims == ("image", "unit", "time_bin")
    np.testing.assert_array_equal(recording.responses.values, values[:, [2, 0, 1]].swapaxes(0, 1))
    assert recording.responses["object_name"].values.tolist() == ["z", "x", "y"]
    path, _ = averaged(tmp_path, repetition=[0, 0, 0])
    assert from_brainio(path).responses.dims == ("image", "trial", "unit", "time_bin")


def test_a_file_without_a_time_dim_has_one_bin(tmp_path):
    path, values = averaged(tmp_path, dims=("presentation", "neuroid"))
    with netCDF4.Dataset(path, "a") as dataset:
        for name in ("time_bin_start", "time_bin_end"):
            dataset.renameVariable(name, f"_{name}")
        dataset.renameDimension("time_bin", "other")
    with pytest.raises(ContractError, match=r"lacks time_bin_start, or time_bin_end .* it has neither"):
        from_brainio(path)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.time_bin_start = 70
        dataset.createVariable("time_bin_end", "i4", ())[...] = 170
    recording = from_brainio(path)
    assert recording.provenance["windows"] == "100 ms wide, one"
    np.testing.assert_array_equal(recording.responses.values, values[:, [2, 0, 1]].swapaxes(0, 1))
    assert recording.responses["time_bin_end"].values.tolist() == [170]


def test_labels_of_the_file_take_precedence_over_the_stimulus_table(tmp_path):
    path, values = averaged(tmp_path, presentation={"object_name": np.array(["q", "r", "s"])})
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.createVariable("mean_over_time", "f4", ("neuroid", "presentation"))
        dataset.createVariable("events", "f4", ("time_bin",))
    recording = from_brainio(path)
    assert recording.responses["object_name"].values.tolist() == ["s", "q", "r"]
    np.testing.assert_array_equal(recording.responses.values, values[:, [2, 0, 1]].swapaxes(0, 1))


def test_trials_are_ordered_by_repetition_then_by_file_order(tmp_path):
    ids = np.array(["a", "b", "a", "a", "b"])
    write_stimulus_set(tmp_path, "t", ["a", "b"])
    values = np.arange(5.0).reshape(1, 5, 1)
    neuroid = {"subregion": ["pIT"]}
    path = write_assembly(tmp_path / "t.nc", values, image=ids, repetition=[7, 2, 0, 0, 1], neuroid=neuroid)
    recording = from_brainio(path)
    np.testing.assert_array_equal(recording.responses.values[:, :, 0, 0], [[2, 3, 0], [4, 1, np.nan]])
    said = "by repetition; 1 have the image and repetition of another, these in the order of the file"
    assert recording.provenance["trials"] == said
    path = write_assembly(tmp_path / "t.nc", values, image=ids, neuroid=neuroid)
    recording = from_brainio(path)
    np.testing.assert_array_equal(recording.responses.values[:, :, 0, 0], [[0, 2, 3], [1, 4, np.nan]])
    assert recording.provenance["trials"] == "in the order of the file"


def test_units_without_a_known_region_are_dropped_and_counted(tmp_path):
    neuroid = {
        "subregion": ["V4", "AIT", "pit", "", "MT", "", "cIT", "nan"],
        "region": ["V4", "IT", "IT", "V1", "MT", "IT", "IT", "IT"],
    }
    path, trials = trial_level(tmp_path, neuroid=neuroid)
    recording = from_brainio(path)
    assert recording.responses["region"].values.tolist() == ["V4", "aIT", "pIT", "V1", "IT", "cIT", "IT"]
    np.testing.assert_array_equal(recording.responses.values, trials[:, :, [0, 1, 2, 3, 5, 6, 7]])
    assert recording.select_region("IT").responses.sizes["unit"] == 5
    why = {record["why"].partition(",")[0]: record["n"] for record in recording.provenance["dropped"]}
    assert why == {"of region 'MT MT'": 1}
    path, _ = trial_level(tmp_path, neuroid={"subregion": None, "region": ["V1", "V2"] * 4})
    assert set(from_brainio(path).responses["region"].values) == {"V1", "V2"}


@pytest.mark.parametrize(
    ("packing", "stored"),
    [
        ({}, np.array([1, 2, -32767, 4], "i2")),
        ({"missing_value": np.int16(-1)}, np.array([1, 2, -1, 4], "i2")),
        ({"scale_factor": 0.5, "add_offset": 1.0}, np.array([0, 2, -32767, 6], "i2")),
        ({}, np.array([1, 2, netCDF4.default_fillvals["f4"], 4], "f4")),
        ({}, np.array([1, 2, np.nan, 4], "f8")),
    ],
)
def test_fill_values_and_packed_values_are_decoded(tmp_path, packing, stored):
    write_stimulus_set(tmp_path, "t", ["a", "b", "c", "d"])
    neuroid = {"subregion": ["pIT"]}
    path = write_assembly(tmp_path / "t.nc", stored.reshape(1, 4, 1)[:, :0], image=[], neuroid=neuroid)
    path.unlink()
    with netCDF4.Dataset(path, "w") as dataset:
        for dim, size in (("neuroid", 1), ("presentation", 4), ("time_bin", 1)):
            dataset.createDimension(dim, size)
        text = {"neuroid_id": ("neuroid", ["u"]), "region": ("neuroid", ["V4"])}
        for name, (dim, values) in (text | {"stimulus_id": ("presentation", [*"abcd"])}).items():
            dataset.createVariable(name, str, (dim,))[...] = np.array(values, object)
        for name, at in (("time_bin_start", 70), ("time_bin_end", 170)):
            dataset.createVariable(name, "f8", ("time_bin",))[...] = at
        data = dataset.createVariable("data", stored.dtype, ("neuroid", "presentation", "time_bin"))
        dataset.set_auto_maskandscale(False)
        data.setncatts(packing)
        data[...] = stored.reshape(1, 4, 1)
    responses = from_brainio(path).responses
    np.testing.assert_array_equal(responses.values.ravel(), [1, 2, np.nan, 4])
    assert responses.dtype == (
        np.float64 if "scale_factor" in packing or stored.dtype == "f8" else np.float32
    )


def counts(folder, columns=None, values=None, word="blank", **presentation):
    """Return counts of two units: two blanks shown twice each in two sessions, and two images."""
    names = np.array([f"{word}_1", "a", f"{word}_1", f"{word}_2", "b", f"{word}_2"])
    if values is None:
        values = np.array([[1.0, 7, 3, 10, 40, 30], [0, 5, 0, 4, 8, 4]])[..., None] + [0, 0]
    write_stimulus_set(folder, "t", ["a", "b"], columns)
    return write_assembly(
        folder / "t.nc",
        values,
        image=names,
        repetition=np.zeros(6, int),
        neuroid={"subregion": ["V4", "pIT"]},
        presentation=presentation,
    )


def test_counts_are_normalised_by_the_blanks_of_their_session(tmp_path):
    path = counts(tmp_path, session=np.array([1, 1, 1, 2, 2, 2]))
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["data"][1, 5] = 6
    recording = from_brainio(path)
    found = recording.responses.isel(time_bin=0).values[:, 0]
    # Over blanks and bins: mean 2, sd of (1, 1, 3, 3); mean 20, of (10, 10, 30, 30); mean 5, of (4, 4, 6, 6).
    sd = np.sqrt(4 / 3)
    np.testing.assert_allclose(found, [[(7 - 2) / sd, np.nan], [(40 - 20) / (10 * sd), (8 - 5) / sd]])
    assert recording.responses["image_id"].values.tolist() == ["a", "b"]
    assert recording.provenance["normalized"].startswith("counts by the blanks of each unit and session")
    assert recording.provenance["dropped"][0]["n"] == 4


def test_units_and_sessions_with_constant_blanks_are_counted(tmp_path):
    path = counts(tmp_path, day=np.array([1, 1, 1, 2, 2, 2]))
    recording = from_brainio(path)
    assert recording.responses["unit_id"].values.tolist() == ["Chabo_L_M_0"]
    assert [record["n"] for record in recording.provenance["dropped"]] == [4, 1]
    path = counts(tmp_path, session=np.array([1, 3, 1, 2, 2, 2]))
    recording = from_brainio(path)
    assert np.isnan(recording.responses.sel(image=0).values).all()
    assert recording.provenance["dropped"][-1]["n"] == 1
    path = counts(tmp_path, session=np.array([1, 1, 1, 2, 2, 3]), values=np.arange(24.0).reshape(2, 6, 2))
    assert np.isnan(from_brainio(path).responses.sel(image=1).values).all()  # one blank, if of two bins
    path = counts(tmp_path, values=np.ones((2, 6, 2)))
    with pytest.raises(ContractError, match="no unit has two blanks in a session that differ"):
        from_brainio(path)


@pytest.mark.parametrize("off", [-1.0, 0.5])
def test_values_that_are_not_counts_are_unchanged(tmp_path, off):
    values = np.ones((2, 6, 2))
    values[1, 3, 1] = off
    recording = from_brainio(counts(tmp_path, values=values))
    np.testing.assert_array_equal(recording.responses.values, 1)
    assert recording.provenance["normalized"] == "as in the file"


def test_the_stimulus_table_may_mark_blanks_but_not_all_images(tmp_path):
    path = counts(tmp_path, columns={"object_name": ["car", "blank"]})
    assert from_brainio(path).responses["image_id"].values.tolist() == ["a"]
    path = counts(
        tmp_path, word="n", category_name=np.array([*"bababa"]), object_name=np.array(["blank"] * 6)
    )
    with pytest.raises(ContractError, match="all 6 presentations are blanks"):
        from_brainio(path)
    shown = np.array(["blank", "bear", "blank", "blank", "car", "blank"])
    found = from_brainio(counts(tmp_path, word="n", object_name=shown)).responses
    assert found["object_name"].values.tolist() == ["bear", "car"]
    path = counts(tmp_path, columns={"object_name": ["Blank", "blank"]})
    with pytest.raises(ContractError, match="all 6 presentations are blanks"):
        from_brainio(path)


@pytest.fixture
def read(monkeypatch):
    """Record the shapes of all pieces of responses that are read from files."""
    shapes, plain_read = [], Variable.read

    def watched(variable: Variable, part: Any = ...) -> np.ndarray:
        if variable.name == "data" and isinstance(part, tuple):
            shapes.append(tuple(one.stop - one.start for one in part))
        return plain_read(variable, part)

    monkeypatch.setattr(Variable, "read", watched)
    return shapes


def test_loading_reads_one_image_of_one_neuroid_and_a_region_only_its_own(tmp_path, read, monkeypatch):
    monkeypatch.setattr(presentations, "_GAP_BYTES", 1)  # a neuroid of a real file is far larger than the gap
    path, trials = trial_level(tmp_path, n_units=40, n_images=30, n_bins=4)
    recording = from_brainio(path)
    assert {shape[0] for shape in read} == {1}  # one neuroid, to find bins without values
    assert sum(shape[1] for shape in read) <= trials.shape[1]
    read.clear()
    region = recording.select_region("V4")
    found = region.responses.isel(time_bin=slice(1, 3)).values
    np.testing.assert_array_equal(found, trials[:, :, ::4, 1:3])
    n_presentations = recording.provenance["n_presentations"]
    assert read == [(1, n_presentations, 2)] * 10


@pytest.mark.parametrize("packing", [{}, {"zlib": True, "chunksizes": (4, 16, 2)}])
def test_pieces_are_read_once_and_within_the_size_limit(tmp_path, read, monkeypatch, packing):
    path, trials = trial_level(tmp_path, n_units=8, n_images=60, n_bins=4, **packing)
    monkeypatch.setattr(presentations, "_BLOCK_BYTES", 2048)
    recording = from_brainio(path)
    read.clear()
    np.testing.assert_array_equal(recording.responses.values, trials)
    sizes = [4 * np.prod(shape) for shape in read]
    assert max(sizes) <= 2048
    assert sum(sizes) == 4 * 8 * np.isfinite(trials[:, :, 0, 0]).sum() * 4
    assert len(read) < 40


def test_data_between_distant_presentations_are_not_read(tmp_path, read, monkeypatch):
    path, trials = trial_level(tmp_path, n_units=2, n_images=200, n_bins=4, neuroid={"subregion": ["V4"] * 2})
    monkeypatch.setattr(presentations, "_GAP_BYTES", 16 * 5)
    found = from_brainio(path).responses.isel(image=[3, 100]).values
    np.testing.assert_array_equal(found, trials[[3, 100]])
    assert sum(shape[1] for shape in read) < 60


def test_a_pickled_recording_reads_the_same_in_another_process(tmp_path):
    path, trials = trial_level(tmp_path)
    recording = pickle.loads(pickle.dumps(from_brainio(path)))
    np.testing.assert_array_equal(recording.responses.values, trials)
    means = average_trials(recording.responses)
    np.testing.assert_allclose(means.mean, np.nanmean(trials.astype(float), axis=1))


@pytest.mark.parametrize("harm", ["gone", "cut", "longer", "other"])
def test_a_file_that_changes_before_it_is_read_is_refused(tmp_path, harm):
    path, _ = trial_level(tmp_path)
    recording = from_brainio(path)
    if harm == "gone":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif harm == "longer":
        path.write_bytes(path.read_bytes() + bytes(8))
    else:  # of the same size
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(IntegrityError) as refusal:
        recording.responses.values  # noqa: B018
    assert "\n" not in str(refusal.value)
    assert str(path) in str(refusal.value)


def test_infinite_responses_are_refused_when_read(tmp_path):
    path, _ = trial_level(tmp_path)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["data"][0, 0, 0] = np.inf
    with pytest.raises(ContractError, match="responses data: 1 infinite values"):
        from_brainio(path).responses.values  # noqa: B018


def test_a_netcdf_3_file_is_read_and_a_truncated_one_refused(tmp_path):
    path, trials = trial_level(tmp_path, fixed_text=True)
    classic = path.with_name("classic.nc")
    with netCDF4.Dataset(path) as old, netCDF4.Dataset(classic, "w", format="NETCDF3_64BIT_OFFSET") as new:
        for name, dim in old.dimensions.items():
            new.createDimension(name, len(dim))
        for name, variable in old.variables.items():
            kind = "i4" if variable.dtype.kind == "i" else variable.dtype
            new.createVariable(name, kind, variable.dimensions)[...] = variable[...]
    np.testing.assert_array_equal(from_brainio(classic).responses.values, trials)
    np.testing.assert_array_equal(from_brainio(classic).responses[1:3, :, 5].values, trials[1:3, :, 5])
    classic.write_bytes(classic.read_bytes()[:-400])
    with pytest.raises(IntegrityError, match=r"classic\.nc.*(cannot hold|cannot reshape)"):
        from_brainio(classic)


def packed(path, first=None, compress="stimulus_id repetition"):
    """Pack presentations of a MultiIndex as `cf_xarray.encode_multi_index_as_compress` does."""
    with xr.open_dataset(path) as opened:
        data = opened.load()
    names = ("stimulus_id", "repetition")
    levels, codes = zip(*(np.unique(data[name], return_inverse=True) for name in names), strict=True)
    code = np.array(np.ravel_multi_index(codes, tuple(map(len, levels))))
    code[0] = code[0] if first is None else first
    data = data.drop_vars(names).assign_coords({n: (n, of) for n, of in zip(names, levels, strict=True)})
    data["presentation"] = ("presentation", code, {"compress": compress})
    path.unlink()
    data.to_netcdf(path)


def test_a_packed_multiindex_is_unpacked(tmp_path):
    path, trials = trial_level(tmp_path)
    before = from_brainio(path)
    values = before.responses.load()
    packed(path)
    got = from_brainio(path)
    np.testing.assert_array_equal(got.responses.values, trials)
    assert got.responses.identical(values)
    assert got.provenance == before.provenance


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"compress": "stimulus_id nobody"}, "nobody is no variable"),
        ({"first": 10**6}, "outside of 6 x 4 levels"),
        ({"first": -1}, "outside of 6 x 4 levels"),
        ({"compress": ""}, "wanted a whole number"),
    ],
)
def test_an_invalidly_packed_multiindex_is_refused(tmp_path, how, says):
    path, _ = trial_level(tmp_path)
    packed(path, **how)
    with pytest.raises(ContractError, match=says):
        from_brainio(path)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("first", [-0.1, 0.0, 0.28])
def test_rounded_1_ms_bins_in_seconds_are_averaged(tmp_path, kind, first):
    start = (first + np.arange(40) * 0.001).astype(kind)
    path, trials = trial_level(tmp_path, n_bins=40, start=start, width=kind(0.001))
    recording = from_brainio(path)
    begins = round(1000 * first) + np.arange(0, 40, 10)
    assert recording.responses["time_bin_start"].values.tolist() == begins.tolist()
    assert recording.responses["time_bin_end"].values.tolist() == (begins + 10).tolist()
    wanted = trials.reshape(*trials.shape[:3], 4, 10).mean(-1)
    np.testing.assert_allclose(recording.responses.values, wanted, rtol=1e-5, atol=1e-6)
    assert not [row for row in recording.provenance["dropped"] if row["what"] == "time bins"]


def one(name, values):
    return {name: np.asarray(values)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"presentation": one("stimulus_id", np.linspace(0.1, 1, 18))},
            "stimulus_id is float64; wanted text",
        ),
        (
            {"presentation": {"stimulus_id": None}},
            "lacks stimulus_id .also image_id, presentation.; it has rep",
        ),
        ({"neuroid": {"neuroid_id": None}}, "lacks neuroid_id .also neuroid.; it has subregion, region"),
        ({"neuroid": {"subregion": None, "region": None}}, "lacks subregion .also region."),
        ({"neuroid": one("subregion", ["MT"] * 8) | one("region", ["MT"] * 8)}, "no unit has a subregion"),
        ({"neuroid": one("neuroid_id", ["u"] * 8)}, "unit_id must be unique, but 'Chabo_u' occurs 4 times"),
        ({"end_name": "time_bin_finish"}, "lacks time_bin_start, or time_bin_end .also time_bin_stop."),
        ({"start": np.array([0.0, 10, 5, 20, 30])}, "time bins must increase"),
        ({"start": np.array([0.0, 10, np.nan, 20, 30])}, "wanted 5 finite numbers"),
        ({"width": 0.0}, "time bins must increase and end after they start"),
    ],
)
def test_an_invalid_layout_is_refused_in_one_line(tmp_path, options, message):
    path, _ = trial_level(tmp_path, **options)
    before = path.read_bytes()
    with pytest.raises(ContractError, match=message) as refusal:
        from_brainio(path)
    assert "\n" not in str(refusal.value)
    assert str(path) in str(refusal.value)
    assert path.read_bytes() == before


def empty(path, sizes, variables):
    with netCDF4.Dataset(path, "w") as dataset:
        for dim, size in sizes.items():
            dataset.createDimension(dim, size)
        for name, dims in variables.items():
            dataset.createVariable(name, "f4", dims)
    return path


@pytest.mark.parametrize(
    ("sizes", "variables", "message"),
    [
        ({"x": 2}, {"a": ("x",)}, r"has no variables over neuroid, presentation .* it has a \(x\)"),
        ({}, {}, "it has none at all"),
        (
            {"neuroid": 2, "presentation": 2, "time_bin": 1},
            dict.fromkeys("ab", ("neuroid", "presentation", "time_bin")),
            "has 2 variables over neuroid",
        ),
        ({"neuroid": 2, "presentation": 2}, {"a": ("neuroid", "neuroid")}, "has no variables over"),
        (
            {"neuroid": None, "presentation": 0},
            {"a": ("neuroid", "presentation")},
            "has no neuroid and no pres",
        ),
        ({"neuroid": 2, "presentation": 2}, {"a": ("neuroid", "presentation")}, "lacks time_bin_start"),
    ],
)
def test_files_with_unexpected_variables_are_refused(tmp_path, sizes, variables, message):
    with pytest.raises(ContractError, match=message):
        from_brainio(empty(tmp_path / "x.nc", sizes, variables))


@pytest.mark.parametrize("size", [10**7, 2**40])
def test_a_file_that_claims_more_than_it_can_hold_is_refused(tmp_path, size):
    with netCDF4.Dataset(tmp_path / "x.nc", "w") as dataset:
        dataset.createDimension("neuroid", 2)
        dataset.createDimension("presentation", size)
        dataset.createVariable("a", "f4", ("neuroid", "presentation"), zlib=True, chunksizes=(1, 1024))
    with pytest.raises(IntegrityError, match="cannot hold what it says it holds"):
        from_brainio(tmp_path / "x.nc")


def test_files_that_are_not_netcdf_are_refused(tmp_path):
    path = tmp_path / "x.nc"
    for content, kind in ((b"", "netCDF"), (b"not", "netCDF"), (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5")):
        path.write_bytes(content)
        with pytest.raises(IntegrityError, match=rf"cannot read .*x\.nc as {kind}"):
            from_brainio(path)
    with pytest.raises(IntegrityError, match="Is a directory"):
        from_brainio(tmp_path)
    with pytest.raises(IntegrityError, match="No such file"):
        from_brainio(tmp_path / "none.nc")
    with pytest.raises(ContractError, match="wanted the path of a file"):
        from_brainio(3)  # pyright: ignore[reportArgumentType]


def test_one_image_shown_far_more_often_than_the_others_is_refused(tmp_path):
    with pytest.raises(
        ContractError, match="image 'often' was shown 9000 times, and 1001 images 10000 times"
    ):
        trial_table(np.array([*map(str, range(1000)), *["often"] * 9000]), None)


def moved(path, to):
    return Path(shutil.move(path, to))


def test_the_named_stimulus_set_is_found_in_every_usual_place(tmp_path):
    home = tmp_path / "brainio"
    (home / "assy_lab_Tiny2020").mkdir(parents=True)
    made, trials = trial_level(home, attributes={"stimulus_set_identifier": "lab.hvm", "identifier": "lab.T"})
    path = moved(made, home / "assy_lab_Tiny2020" / made.name)
    table, archive = (home / f"stimulus_lab_Tiny2020{end}" for end in (".csv", ".zip"))

    def found(**options):
        recording = from_brainio(path, **options)
        assert recording.name == "lab.T"
        np.testing.assert_array_equal(recording.responses.values, trials)
        return recording.provenance["stimuli"]

    assert found(stimuli=table) == table.name
    for options in ({}, {"stimuli": home}):
        with pytest.raises(
            ContractError,
            match=r"looked for stimulus_lab_hvm\.csv, the set .*stimulus_lab_Tiny2020\.csv.*data convert",
        ):
            found(**options)
    for at in (home, home / "stimulus_lab_hvm", path.parent / "below", path.parent):
        at.mkdir(exist_ok=True)
        table, archive = (moved(one, at / f"stimulus_lab_hvm{one.suffix}") for one in (table, archive))
        assert found() == "stimulus_lab_hvm.csv"
        assert found(stimuli=at) == "stimulus_lab_hvm.csv"
    (path.parent / "notes.csv").write_text("a,b\n1,2\n")
    shutil.unpack_archive(archive, path.parent / "stimulus_lab_hvm")
    archive.unlink()
    assert found() == "stimulus_lab_hvm.csv"


@settings(max_examples=30, deadline=None)
@given(names=st.lists(st.sampled_from(["lab.A", "lab.B", "lab.A.x", "lab_A", "other"]), unique=True))
def test_stimuli_of_another_set_are_never_used(tmp_path_factory, names):
    """All stimulus sets use the same ids for different images, so checking ids cannot detect a wrong set."""
    folder = tmp_path_factory.mktemp("sets")
    ids = ["a", "b"]
    for level, name in enumerate(names):
        write_stimulus_set(folder, name, ids, pixels=np.full((2, 8, 8, 3), 40 * level, np.uint8))
    path = write_assembly(
        folder / "assy_lab_R.nc",
        np.zeros((4, 2, 3), "f4"),
        image=ids,
        attributes={"stimulus_set_identifier": "lab.A", "identifier": "lab.R"},
    )
    if {"lab.A", "lab_A"} & {*names}:  # stored under one name; the later replaces the earlier
        level = max(names.index(name) for name in ("lab.A", "lab_A") if name in names)
        assert np.all(from_brainio(path).stimuli.values == 40 * level)
    else:
        with pytest.raises(ContractError, match=r"looked for stimulus_lab_A\.csv"):
            from_brainio(path)


def test_a_file_without_a_stimulus_set_uses_the_only_matching_table(tmp_path):
    path, trials = trial_level(tmp_path, attributes={"identifier": "lab.T"})
    table = moved(tmp_path / "stimulus_lab_Tiny2020.csv", tmp_path / "mine.csv")
    moved(table.with_name("stimulus_lab_Tiny2020.zip"), table.with_suffix(".zip"))
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    recording = from_brainio(path)
    np.testing.assert_array_equal(recording.responses.values, trials)
    assert recording.provenance["stimuli"] == "mine.csv"
    shutil.copy(table, tmp_path / "other.csv")
    with pytest.raises(
        ContractError, match=r"several tables have the images of .*mine\.csv, .*other\.csv; give"
    ):
        from_brainio(path)
    table.unlink()
    (tmp_path / "other.csv").unlink()
    (tmp_path / "more.csv").write_text("a,b\n1,2\n")
    with pytest.raises(
        ContractError, match=r"looked for stimulus_lab_T\.csv or any CSV .*`brainfit data convert"
    ):
        from_brainio(path)


def test_ids_repeated_between_animals_get_the_name_of_the_animal(tmp_path):
    neuroid = {"neuroid_id": [1, 2, 3, 4] * 2, "animal": ["a"] * 4 + ["b"] * 4}
    path, _ = trial_level(tmp_path, neuroid=neuroid)
    recording = from_brainio(path)
    assert recording.responses["unit_id"].values.tolist() == [f"{a}_{n}" for a in "ab" for n in (1, 2, 3, 4)]
    assert recording.provenance["unit_ids"] == "with the animal's name before them"
    path, _ = trial_level(tmp_path)
    assert from_brainio(path).provenance["unit_ids"] == "as in the file"


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4"])
def test_unsigned_numbers_stored_as_signed_are_decoded(tmp_path, dtype):
    path, _ = trial_level(tmp_path)
    top = np.iinfo(dtype).max
    with netCDF4.Dataset(path, "a") as data:
        shape = data["data"].shape
        values = np.resize(np.array([0, 1, top // 2, top // 2 + 3, top - 7], dtype), shape)
        counts = data.createVariable("counts", dtype.replace("u", "i"), data["data"].dimensions)
        counts.set_auto_maskandscale(False)
        counts[...] = values.view(dtype.replace("u", "i"))
        counts.setncattr("_Unsigned", "true")
        data.renameVariable("data", "other")
        labels = data.createVariable("x2", "i1", ("neuroid",))
        labels[...] = np.arange(8)
    with h5py.File(path, "a") as file:
        del file["other"]
    responses = from_brainio(path).responses.values
    present = np.unique(responses[np.isfinite(responses)])
    np.testing.assert_array_equal(present, np.unique(values).astype(present.dtype))


def test_stimuli_without_one_of_the_images_are_refused(tmp_path):
    path, _ = trial_level(tmp_path)
    write_stimulus_set(tmp_path, "lab.Tiny2020", ["im000", "im001"])
    with pytest.raises(ContractError, match="lacks 4 of 6 images of the recording, such as 'im002'"):
        from_brainio(path)


@pytest.mark.parametrize("averages", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_written_recording_is_read_back_equal(tmp_path, averages, dtype):
    path, _ = trial_level(tmp_path, n_images=7, leftovers=True)
    before = from_brainio(path)
    responses = before.responses.load().astype(dtype)
    responses[5, 1:3] = np.nan  # the last of four trials keeps its place
    responses[2, :] = np.nan
    responses = responses.mean("trial") if averages else responses
    before = Recording("lab.Out", responses, before.stimuli, simulated=True)
    written = to_brainio(before, tmp_path / "out", identifier="lab.Out")
    assert sorted(p.name for p in written.parent.iterdir()) == [
        "assy_lab_Out.nc",
        "stimulus_lab_Out.csv",
        "stimulus_lab_Out.zip",
    ]
    after = from_brainio(written)
    assert after.simulated
    assert after.name == "lab.Out"
    assert after.responses.dtype == dtype
    xr.testing.assert_identical(after.responses.load(), before.responses)
    xr.testing.assert_identical(after.stimuli.load(), before.stimuli.load())


def test_empty_leading_trials_are_kept_and_images_are_sorted(tmp_path, rng):
    values = rng.normal(size=(3, 4, 2, 25))
    values[:, 3] = np.nan
    pixels = rng.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    before = from_arrays(values, pixels, region="aIT", image_id=["c", "a", "b"])
    after = from_brainio(to_brainio(before, tmp_path, identifier="x"))
    np.testing.assert_array_equal(after.responses.values, values[[1, 2, 0]])
    np.testing.assert_array_equal(after.stimuli.values, pixels[[1, 2, 0]])


@pytest.mark.parametrize(("dtype", "read"), [("f2", "f4"), ("i2", "f4"), ("i4", "f8"), (">f8", "f8")])
def test_all_valid_numbers_and_labels_are_written(tmp_path, rng, dtype, read):
    values = rng.integers(-9, 9, size=(3, 4, 2, 25)).astype(dtype)
    pixels = rng.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    made = from_arrays(values.astype(float), pixels, region="aIT", object_name=[7, 7, 8])
    coords = {"variation": ("image", [True, False, True]), "x": ("unit", np.array(["a", "b"], object))}
    responses = made.responses.astype(dtype).assign_coords(coords)
    after = from_brainio(to_brainio(Recording("x", responses, made.stimuli), tmp_path, identifier="x"))
    np.testing.assert_array_equal(after.responses.values, values)
    assert after.responses.dtype == read
    assert after.responses["object_name"].values.tolist() == [7, 7, 8]
    assert after.responses["variation"].values.tolist() == [1, 0, 1]
    assert after.responses["x"].values.tolist() == ["a", "b"]


def test_a_recording_that_cannot_be_written_is_refused_without_leftovers(tmp_path, rng, monkeypatch):
    pixels = rng.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    values = rng.normal(size=(3, 4, 2, 25))
    recording = from_arrays(values, pixels, region="aIT")
    with pytest.raises(ContractError, match="has float64 images, which PNG does not hold"):
        to_brainio(from_arrays(values, pixels / 255.0, region="aIT"), tmp_path, identifier="x")
    for name in ("", "../x", "a b", ".x", 3):
        with pytest.raises(ContractError, match="identifier is"):
            to_brainio(recording, tmp_path, identifier=name)  # pyright: ignore[reportArgumentType]
    (tmp_path / "file").write_text("")
    with pytest.raises(IntegrityError, match="cannot write to"):
        to_brainio(recording, tmp_path / "file", identifier="x")

    def full(*_):
        raise RuntimeError("NetCDF: HDF error")

    dims = ("image", "trial", "unit", "time_bin")
    lazy = lazy_variable(dims, values.shape, float, full)
    broken = Recording("x", recording.responses.copy(data=lazy), recording.stimuli)
    with pytest.raises(IntegrityError, match=r"cannot write to .*HDF error"):
        to_brainio(broken, tmp_path / "out", identifier="x")
    assert list((tmp_path / "out").iterdir()) == []
    to_brainio(recording, tmp_path / "out", identifier="x")
    with pytest.raises(IntegrityError, match="is there already"):
        to_brainio(recording, tmp_path / "out", identifier="x")


def test_a_score_equals_that_of_plain_arrays_bit_by_bit(tmp_path, rng):
    n_images, n_bins = 16, 25
    signal = rng.normal(size=(n_images, 1, 3, n_bins))
    values = signal + 0.5 * rng.normal(size=(n_images, 4, 3, n_bins))
    pixels = rng.integers(0, 256, (n_images, 16, 16, 3), dtype=np.uint8)
    plain = from_arrays(values, pixels, region="pIT", object_name=[f"o{k % 2}" for k in range(n_images)])
    read = from_brainio(to_brainio(plain, tmp_path, identifier="lab.Score"))
    one, other = (brainfit.score(TinyModel(), recording, region="pIT") for recording in (plain, read))
    xr.testing.assert_identical(one.data, other.data)
    recorded = other.info["provenance"]["recording"]
    assert recorded["sha256"] == one.info["provenance"]["recording"]["sha256"]
    assert json.loads(json.dumps(recorded))["source"] == "BrainIO"


def assembly():
    """Return an assembly as its publishers hold it: each label is a level of a MultiIndex."""
    rng = np.random.default_rng(0)
    labels = {
        "neuroid": {
            "neuroid_id": ["a", "b", "c"],
            "region": ["V4", "IT", "IT"],
            "subregion": ["V4", "pIT", "aIT"],
        },
        "presentation": {"stimulus_id": ["y", "x", "x", "y"], "repetition": [1, 0, 1, 0]},
        "time_bin": {"time_bin_start": [70, 80], "time_bin_end": [90, 100]},
    }
    coords = {name: (dim, values) for dim, of_dim in labels.items() for name, values in of_dim.items()}
    return xr.DataArray(rng.normal(size=(3, 4, 2)).astype("f4"), dims=tuple(labels), coords=coords), labels


def check_assembly(path, values):
    write_stimulus_set(path.parent, "lab.S", ["x", "y"])
    responses = from_brainio(path).responses
    np.testing.assert_array_equal(responses.values, values[:, [[1, 2], [3, 0]]].transpose(1, 2, 0, 3))
    assert responses["region"].values.tolist() == ["V4", "pIT", "aIT"]
    assert responses["time_bin_end"].values.tolist() == [90, 100]


def test_a_multiindex_that_xarray_reset_is_read(tmp_path):
    array, labels = assembly()
    indexed = array.set_index({dim: list(of_dim) for dim, of_dim in labels.items()})
    flat = indexed.reset_index(list(labels)).to_dataset(name="data")
    flat.to_netcdf(tmp_path / "x.nc", encoding={"data": {"zlib": True, "complevel": 9}})
    check_assembly(tmp_path / "x.nc", array.values)


@pytest.mark.filterwarnings("ignore")  # warnings of other packages
def test_files_are_exchanged_with_brain_scores_own_code(tmp_path):
    own = "brainscore_core.supported_data_standards.brainio"
    packaging = pytest.importorskip(f"{own}.packaging", reason="brainscore_core and boto3 are not installed")
    assemblies, stimuli = (pytest.importorskip(f"{own}.{name}") for name in ("assemblies", "stimuli"))
    array, _ = assembly()
    packaging.write_netcdf(assemblies.NeuronRecordingAssembly(array), tmp_path / "x.nc")
    check_assembly(tmp_path / "x.nc", array.values)

    written = to_brainio(from_brainio(tmp_path / "x.nc"), tmp_path / "out", identifier="lab.B")
    table = written.with_name("stimulus_lab_B.csv")
    shutil.unpack_archive(table.with_suffix(".zip"), table.parent)
    loader = stimuli.StimulusSetLoader(
        csv_path=table, stimuli_directory=str(table.parent), cls=stimuli.StimulusSet
    )
    options = {"stimulus_set_identifier": "lab.B", "stimulus_set": loader.load()}
    read = assemblies.NeuronRecordingAssembly.from_files(written, **options)
    np.testing.assert_array_equal(read.values, array.values[:, [1, 2, 3, 0]])
    assert read["stimulus_id"].values.tolist() == ["x", "x", "y", "y"]
    assert read["subregion"].values.tolist() == ["V4", "pIT", "aIT"]


@pytest.mark.slow
@pytest.mark.parametrize("packing", [[], ["--compressed"]])
def test_a_small_part_of_a_full_size_recording_can_be_scored(tmp_path, packing):
    script = Path(__file__).resolve().parents[2] / "perf" / "brainio_full_size.py"
    command = [sys.executable, str(script), str(tmp_path), "--scale", "40", *packing]
    took = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    assert took["responses"] == {"image": 80, "trial": 47, "unit": 256, "time_bin": 39}
    assert took["normalized_r"] > 0.1
    assert list(tmp_path.iterdir()) == []
