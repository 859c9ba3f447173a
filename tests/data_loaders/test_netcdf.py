"""Recordings in netCDF are read back equal, files of others load, and damage is detected."""

import errno
import itertools
import json
import multiprocessing
import os
import pickle
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny import tiny_recording

from brainfit.contracts.recording import Recording
from brainfit.errors import BrainfitError, ContractError, IntegrityError
from brainfit.support.lazy_arrays import lazy_variable
from data_loaders.arrays.recording import from_arrays
from data_loaders.files import slabs
from data_loaders.netcdf import recording as netcdf
from data_loaders.netcdf.recording import from_netcdf, to_netcdf

ROOT = os.geteuid() == 0
DIMS = ("image", "trial", "unit", "time_bin")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mine.nc"


def assert_equal(got: Recording, wanted: Recording):
    for part in ("responses", "stimuli"):
        one, other = getattr(got, part), getattr(wanted, part)
        assert one.dims == other.dims
        assert one.dtype == other.dtype
        assert one.identical(other), part
        assert {name: coord.dtype for name, coord in one.coords.items()} == {
            name: coord.dtype for name, coord in other.coords.items()
        }
    assert got.name == wanted.name
    assert got.simulated == wanted.simulated
    assert got.provenance == wanted.provenance


def round_trip(recording, path):
    assert to_netcdf(recording, path) == path
    return from_netcdf(path)


def with_coords(recording, **coords):
    return replace(recording, responses=recording.responses.assign_coords(coords))


# What is written comes back


@pytest.mark.parametrize(
    "dtype", [np.float32, np.float64, np.float16, ">f4", np.int16, np.uint32, np.int64], ids=str
)
@pytest.mark.parametrize("averaged", [False, True])
def test_responses_of_any_type_are_read_back(path, dtype, averaged):
    tiny = tiny_recording()
    responses = (tiny.responses.isel(trial=0) if averaged else tiny.responses) * 10
    wanted = replace(tiny, responses=np.abs(responses).astype(dtype))
    assert_equal(round_trip(wanted, path), wanted)


@pytest.mark.parametrize(
    ("dim", "values"),
    [
        ("unit", np.array([True, False, True, True, False, False])),
        ("unit", np.arange(6, dtype=np.uint8)),
        ("unit", np.array([0.5, np.nan, -np.inf, 1e300, 0.0, -0.0])),
        ("unit", np.array([1.5, np.nan, 3, 4, 5, 6], np.float32)),
        ("unit", np.array(["", "ä", "名前", "a b", "x" * 300, "NaN"])),
        ("unit", np.array(["a", "b", "c", "d", "e", "f"], object)),
        ("unit", np.array(["a"] * 6, "U7")),
        ("time_bin", np.arange(25, dtype=np.int16)),
        ("image", np.arange(16, dtype=">i4")),
        (("unit", "trial"), np.arange(24.0).reshape(6, 4)),
        ((), np.float64(3.5)),
        ((), "day one"),
    ],
    ids=repr,
)
def test_labels_of_any_type_are_read_back(path, dim, values):
    wanted = with_coords(tiny_recording(), extra=(dim, values))
    assert_equal(round_trip(wanted, path), wanted)


def test_labels_of_the_images_may_differ_from_those_of_the_responses(path):
    tiny = tiny_recording()
    stimuli = tiny.stimuli.assign_coords(
        image_id=tiny.responses["image_id"].variable,
        variation=("image", np.arange(16)),
        file=("image", [f"{k}.png" for k in range(16)]),
        channel=["red", "green", "blue"],
    )
    stimuli = stimuli.rename("pictures").assign_attrs(source="here", scale=2.5)
    wanted = replace(tiny, stimuli=stimuli)
    assert_equal(round_trip(wanted, path), wanted)


def test_name_attributes_and_provenance_are_read_back(path):
    tiny = tiny_recording()
    responses = tiny.responses.rename("rate").assign_attrs(units="Hz", window=[1, 2])
    responses["animal"].attrs["species"] = "macaque"
    provenance = {"a": [1, None, True, "ä\n"], "deep": {"x": 1.5}, "long": "y" * 100_000}
    wanted = replace(tiny, name="Ä recording", responses=responses, simulated=False, provenance=provenance)
    assert_equal(round_trip(wanted, path), wanted)


def test_nan_infinity_and_float_images_are_read_back(path, rng):
    tiny = tiny_recording()
    responses = tiny.responses.copy(deep=True)
    responses[3, 2:] = np.nan
    responses[0, 0, 0, 0] = netCDF4.default_fillvals["f8"]
    wanted = replace(tiny, responses=responses, stimuli=tiny.stimuli / 255)
    assert_equal(round_trip(wanted, path), wanted)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_recording_is_read_back_equal(tmp_path, data):
    n = {dim: data.draw(st.integers(1, 5), dim) for dim in ("image", "trial", "unit", "time_bin")}
    text = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=5)

    def labels(size, unique=False):
        return data.draw(st.lists(text, min_size=size, max_size=size, unique=unique))

    rng = np.random.default_rng(data.draw(st.integers(0, 100)))
    values = rng.normal(size=tuple(n.values())).astype(data.draw(st.sampled_from(["f4", "f8"])))
    values[rng.random(values.shape) < 0.2] = np.nan
    coords = {
        "image_id": ("image", labels(n["image"], unique=True)),
        "object_name": ("image", labels(n["image"])),
        "category_name": ("image", labels(n["image"])),
        "variation": (
            "image",
            data.draw(st.lists(st.integers(-9, 9), min_size=n["image"], max_size=n["image"])),
        ),
        "unit_id": ("unit", labels(n["unit"], unique=True)),
        "region": ("unit", ["pIT"] * n["unit"]),
        "animal": ("unit", labels(n["unit"])),
        "array": ("unit", labels(n["unit"])),
        "time_bin_start": ("time_bin", 10.0 * np.arange(n["time_bin"])),
        "time_bin_end": ("time_bin", 10.0 * np.arange(n["time_bin"]) + 20),
    }
    recording = Recording(
        data.draw(text),
        xr.DataArray(values, dims=tuple(n), coords=coords),
        xr.DataArray(
            rng.integers(0, 256, (n["image"], 4, 4, 3), np.uint8),
            dims=("image", "height", "width", "channel"),
        ),
        provenance=data.draw(st.dictionaries(text, st.one_of(text, st.integers(), st.none()), max_size=3)),
    )
    path = tmp_path / "any.nc"
    to_netcdf(recording, path, overwrite=True)
    assert_equal(from_netcdf(path), recording)


def test_xarray_reads_written_files(path):
    tiny = tiny_recording()
    to_netcdf(tiny, path)
    with xr.open_dataset(path) as data:
        assert data["responses"].dims == tiny.responses.dims
        np.testing.assert_array_equal(data["responses"].values, tiny.responses.values)
        np.testing.assert_array_equal(data["images"].values, tiny.stimuli.values)
        assert data["region"].values.tolist() == tiny.responses["region"].values.tolist()
        assert json.loads(data.attrs["brainfit_recording"])["name"] == "tiny"


# Lazily and in pieces


def test_any_selection_equals_that_of_the_array(path, rng, monkeypatch):
    monkeypatch.setattr(slabs, "CHUNK_BYTES", 2000)
    monkeypatch.setattr(slabs, "BLOCK_BYTES", 3000)
    wanted = tiny_recording(n_images=30, n_units=40)
    got = round_trip(wanted, path)
    for _ in range(30):
        keys = {
            dim: rng.integers(0, size, rng.integers(0, size + 1))
            for dim, size in wanted.responses.sizes.items()
        }
        assert got.responses.isel(keys).identical(wanted.responses.isel(keys))
    assert_equal(
        got.select_region("pIT").select_images([5, 3, 5]),
        wanted.select_region("pIT").select_images([5, 3, 5]),
    )
    assert_equal(pickle.loads(pickle.dumps(got)), wanted)


def test_only_requested_chunks_are_read(path, monkeypatch):
    to_netcdf(tiny_recording(n_units=64), path)
    asked = []
    monkeypatch.setattr(
        "data_loaders.netcdf.digests.read_selection",
        lambda read, *rest: slabs.read_selection(lambda slab: asked.append(slab) or read(slab), *rest),
    )
    recording = from_netcdf(path)
    assert not asked
    assert recording.responses.isel(unit=[2, 50], image=[3]).values.shape == (1, 4, 2, 25)
    assert [(slab[0].start, slab[0].stop, slab[2].start, slab[2].stop) for slab in asked] == [
        (3, 4, 2, 3),
        (3, 4, 50, 51),
    ]


def test_lazy_values_are_never_in_memory_at_once(path):
    tiny, largest = tiny_recording(), [0]
    shape = (2000, 10, 16, 25)  # 64 MB

    def read(*positions):
        values = np.zeros(tuple(map(len, positions)))
        largest[0] = max(largest[0], values.nbytes)
        return values

    coords = tiny_recording(2000, 10, 16).responses.coords
    responses = xr.DataArray(lazy_variable(DIMS, shape, float, read), coords=coords)
    stimuli = xr.DataArray(np.zeros((2000, 2, 2, 3), np.uint8), dims=tiny.stimuli.dims)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slabs, "BLOCK_BYTES", 2**20)
        to_netcdf(Recording("large", responses, stimuli), path)
    assert 0 < largest[0] < 3 * 2**20
    assert path.stat().st_size < 2**21


# What others wrote


def dataset(**change):
    tiny = tiny_recording()
    variables = {
        "responses": (("image", "trial", "unit", "time_bin"), tiny.responses.values),
        "images": (("image", "height", "width", "channel"), tiny.stimuli.values),
        "region": ("unit", tiny.responses["region"].values),
    }
    return xr.Dataset({key: value for key, value in {**variables, **change}.items() if value is not None})


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"format": "NETCDF3_64BIT", "engine": "netcdf4"},
        {"format": "NETCDF3_CLASSIC", "engine": "scipy"},
        {"encoding": {"responses": {"zlib": True}, "images": {"chunksizes": (1, 32, 32, 3)}}},
    ],
    ids=["netCDF4", "netCDF3", "scipy", "packed"],
)
def test_three_variables_are_a_recording(path, how):
    tiny = tiny_recording()
    pixels = tiny.stimuli.values / 255 if "engine" in how else tiny.stimuli.values  # netCDF-3 has no uint8
    dataset(images=(tiny.stimuli.dims, pixels)).to_netcdf(path, **how)
    got = from_netcdf(path)
    wanted = from_arrays(tiny.responses.values, pixels, region=tiny.responses["region"].values, name="mine")
    assert got.name == "mine"
    assert got.responses.equals(wanted.responses)
    assert got.stimuli.equals(wanted.stimuli)
    assert got.provenance == {"source": "netcdf", "file": "mine.nc"}


def test_optional_labels_and_averages_are_accepted(path, rng):
    change: dict[str, Any] = {
        "responses": (("image", "unit", "time_bin"), rng.normal(size=(16, 6, 2)).astype("f4")),
        "images": (("image", "y", "x"), rng.random((16, 8, 8))),
        "region": ((), "cIT"),
        "time_bin_start": ("time_bin", [0, 10]),
        "time_bin_end": ("time_bin", [20, 30]),
        "object_name": ("image", list("ab") * 8),
        "unit": ("unit", np.arange(6)),
        "depth_um": ("unit", np.linspace(0, 1, 6)),
    }
    data = dataset(**change)
    data.to_netcdf(path)
    got = from_netcdf(path)
    assert got.responses.dims == ("image", "unit", "time_bin")
    assert got.responses.dtype == np.float32
    assert got.responses["depth_um"].values.tolist() == data["depth_um"].values.tolist()
    assert set(got.responses["region"].values) == {"cIT"}
    assert got.stimuli.shape == (16, 8, 8, 3)
    np.testing.assert_array_equal(got.stimuli.values[..., 1], data["images"].values)


def test_images_may_be_files_beside_it(path):
    pixels = tiny_recording().stimuli.values
    (path.parent / "png").mkdir()
    names = [f"png/{k}.png" for k in range(16)]
    for name, image in zip(names, pixels, strict=True):
        Image.fromarray(image).save(path.parent / name)
    dataset(images=None, image_file=("image", names)).to_netcdf(path)
    got = from_netcdf(path)
    np.testing.assert_array_equal(got.stimuli.values, pixels)
    np.testing.assert_array_equal(got.responses.values, tiny_recording().responses.values)
    (path.parent / names[3]).unlink()
    with pytest.raises(BrainfitError, match=r"3\.png"):
        _ = from_netcdf(path).stimuli.values


def test_packed_and_missing_numbers_are_decoded(path):
    whole = dataset()
    whole["responses"] = whole["responses"].round(1)
    whole["responses"][2, 1] = np.nan
    encoding = {"responses": {"dtype": "i2", "scale_factor": 0.1, "_FillValue": -999}}
    whole.to_netcdf(path, encoding=encoding)
    got = from_netcdf(path).responses.values
    np.testing.assert_allclose(got, whole["responses"].values, atol=1e-6)
    assert np.isnan(got[2, 1]).all()


def test_the_value_255_and_counts_are_not_fill_values(path):
    images = np.full((16, 8, 8, 3), 255, np.uint8)
    counts = np.arange(16 * 4 * 6 * 25).reshape(16, 4, 6, 25)
    dataset(images=(("image", "y", "x", "c"), images), responses=(DIMS, counts)).to_netcdf(path)
    got = from_netcdf(path)
    assert (got.stimuli.values == 255).all()
    assert got.responses.dtype == np.float64
    np.testing.assert_array_equal(got.responses.values, counts)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"responses": None}, "variable 'responses' is missing; it has images, region"),
        ({"images": None}, "variable 'images' is missing"),
        ({"region": None}, "region is missing"),
        ({"regoin": ("unit", ["V4"] * 6)}, "unknown variable 'regoin'; did you mean 'region'"),
        ({"elsewhere": ("there", [1.0])}, "unknown variable 'elsewhere'"),
        ({"region": ("unit", ["MT"] * 6)}, "unknown region 'MT'"),
        ({"unit_id": ("unit", ["u"] * 6)}, "'u' occurs 6 times"),
        ({"image_id": ("image", ["i"] * 16)}, "'i' occurs 16 times"),
        ({"images": (("image", "y", "x"), np.zeros((16, 8, 9), np.uint8))}, "square"),
        ({"images": (("image", "y", "x"), np.zeros((16, 0, 0), np.uint8))}, "at least 1 pixel"),
        (
            {"images": (("other", "y", "x"), np.zeros((15, 8, 8), np.uint8))},
            r"dims of images are \(other, y, x\)",
        ),
        (
            {"images": (("image", "y", "z"), np.zeros((16, 8, 8), np.uint8))},
            r"dims of images are \(image, y, z\)",
        ),
        ({"images": (("image", "y", "x"), np.zeros((16, 8, 8), np.int32))}, "images are int32"),
        ({"images": (("image", "y", "x", "c"), np.zeros((16, 8, 8, 4), np.uint8))}, "channels"),
        ({"responses": (("image", "unit"), np.zeros((16, 6)))}, r"dims of responses are \(image, unit\)"),
        ({"responses": (("stimulus", "neuron", "time"), np.zeros((16, 6, 25)))}, "dims of responses are"),
        ({"responses": (DIMS, np.full((16, 4, 6, 25), "a"))}, "responses' is .*; wanted numbers"),
        (
            {"time_bin": ("time_bin", np.arange(25) * 10.0)},
            "time_bin does not say whether its times are starts",
        ),
        ({"time_bin": ("time_bin", np.arange(25))}, "time_bin does not say whether its times are starts"),
        (
            {
                f"time_bin_{edge}": ("time_bin", np.arange(25) + late, {"units": "s"})
                for late, edge in enumerate(("start", "end"))
            },
            "time_bin_start is in 's'; give it in ms",
        ),
        ({"responses": (("image", "unit", "time_bin"), np.zeros((16, 6, 24)))}, "time_bin_start"),
        ({"time_bin_start": ("time_bin", np.arange(25.0))}, "time_bin_end"),
        ({"variation": ("unit", np.arange(6))}, r"dims of variation are \(unit\)"),
    ],
)  # fmt: skip
def test_mistakes_in_files_of_others_are_named(path, change, says):
    dataset(**change).to_netcdf(path)
    with pytest.raises(ContractError, match=says) as caught:
        from_netcdf(path)
    assert "mine.nc" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "part", "says"),
    [
        ({"responses": (DIMS, np.full((16, 4, 6, 25), np.inf))}, "responses", "infinite"),
        ({"responses": (DIMS, np.where(np.arange(25) > 3, -9999.0, np.ones((16, 4, 6, 25))))}, "responses",
         "84 values are -9999 and all others lie from 1 to 1"),
        ({"images": (("image", "y", "x"), np.full((16, 8, 8), 2.0))}, "stimuli", "divide by 255"),
        ({"images": (("image", "y", "x"), np.ones((16, 8, 8), np.uint8))}, "stimuli", "0 and 1 only"),
    ],
)  # fmt: skip
def test_impossible_values_are_refused_before_use(path, change, part, says):
    dataset(**change).to_netcdf(path)
    with pytest.raises(ContractError, match=f"mine.nc: .*{says}"):
        _ = getattr(from_netcdf(path), part).values


# Damage


def test_coordinates_named_like_their_dims_give_ids(path):
    ids, units = [f"a{k}" for k in range(16)], [f"b{k}" for k in range(6)]
    edges = {
        "time_bin_start": ("time_bin", np.arange(25) * 10.0),
        "time_bin_end": ("time_bin", np.arange(25) * 10.0 + 20),
    }
    coords = {"image": ids, "unit": units, "trial": range(4), "time_bin": range(25), **edges}
    dataset().assign_coords(coords).to_netcdf(path)
    got = from_netcdf(path)
    assert got.responses["image_id"].values.tolist() == ids
    assert got.responses["unit_id"].values.tolist() == units
    assert not {"image", "unit", "trial", "time_bin"} & {*got.responses.coords}
    given = [f"c{k}" for k in range(16)]
    dataset(image_id=("image", given)).assign_coords(coords).to_netcdf(path)
    assert from_netcdf(path).responses["image_id"].values.tolist() == given


@pytest.mark.parametrize("order", list(itertools.permutations(DIMS)))
def test_named_dims_may_be_in_any_order(path, order):
    whole = dataset()
    whole["responses"] = whole["responses"].transpose(*order)
    whole["images"] = whole["images"].transpose("width", "image", "channel", "height")
    whole.to_netcdf(path)
    got, tiny = from_netcdf(path), tiny_recording()
    np.testing.assert_array_equal(got.responses.values, tiny.responses.values)
    np.testing.assert_array_equal(got.stimuli.values, tiny.stimuli.values)
    some = {"image": [5, 2], "unit": [4, 4, 0], "trial": slice(1, 3), "time_bin": 7}
    np.testing.assert_array_equal(got.responses.isel(some).values, tiny.responses.isel(some).values)


@pytest.mark.parametrize("n_units", [6, 16])
def test_unnamed_dims_of_plain_hdf5_are_read_by_position(path, rng, n_units):
    responses = rng.normal(size=(16, 3, n_units, 25)).astype("f2")
    images = rng.integers(0, 256, (16, 8, 8, 3), np.uint8)
    region = np.array(["V4", *["pIT"] * (n_units - 1)], object)
    with h5py.File(path, "w") as file:
        file.create_dataset("responses", data=responses, compression="lzf")
        file["images"], file["region"], file["image_id"] = images, region, np.arange(16)
    got = from_netcdf(path)
    np.testing.assert_array_equal(got.responses.values, responses.astype("f4"))
    np.testing.assert_array_equal(got.stimuli.values, images)
    assert got.responses["region"].values.tolist() == region.tolist()


@pytest.mark.parametrize("how", ["variables", "attributes"])
def test_window_split_and_presentation_come_with_the_file(path, how):
    split = ["train"] * 12 + ["test"] * 4
    whole = dataset(split=("image", split))
    settings = {"response_window": [70.0, 200.0], "on_ms": 150, "off_ms": 100}
    if how == "attributes":
        whole = whole.assign_attrs(settings)
    else:
        whole = whole.assign({key: (("edge",) if key[0] == "r" else (), of) for key, of in settings.items()})
    whole.to_netcdf(path)
    got = from_netcdf(path)
    assert got.responses["split"].values.tolist() == split
    assert (got.response_window, got.on_ms, got.off_ms) == ((70, 200), 150, 100)
    again = round_trip(got, path.with_name("own.nc"))
    assert (again.response_window, again.on_ms, again.off_ms) == ((70, 200), 150, 100)
    assert again.responses["split"].values.tolist() == split


@pytest.mark.parametrize("kind", ["NETCDF3_64BIT", "NETCDF4"])
@pytest.mark.parametrize("dtype", ["i2", "i4", "f4", "f8"])
def test_unwritten_responses_are_missing(path, kind, dtype):
    tiny = tiny_recording()
    with netCDF4.Dataset(path, "w", format=kind) as data:
        sizes = {**tiny.responses.sizes, "height": 8, "width": 8, "letter": 2}
        for dim, size in sizes.items():
            data.createDimension(dim, size)
        responses = data.createVariable("responses", dtype, DIMS)
        for image in range(16):
            responses[image, : 4 - (image == 7)] = image
        data.createVariable("images", "f4", ("image", "height", "width"))[...] = 0.5
        data.createVariable("region", "S1", ("unit", "letter"))[...] = np.array(["V", "4"] * 6).reshape(6, 2)
    got = from_netcdf(path).responses.values
    assert np.isnan(got[7, 3]).all()
    assert np.isnan(got).sum() == 6 * 25
    assert (got[5] == 5).all()


def test_unwritten_chunks_are_refused(path):
    with h5py.File(path, "w") as file:
        responses = file.create_dataset("responses", (16, 4, 6, 25), "f4", chunks=(1, 4, 6, 25))
        responses[:9] = 1.0
        file["images"], file["region"] = np.full((16, 8, 8), 0.5), "V4"
    with pytest.raises(ContractError, match="'responses': 7 of 16 chunks were never written"):
        from_netcdf(path)


@pytest.mark.parametrize("mark", ["_FillValue", "missing_value"])
def test_images_with_missing_pixels_are_refused(path, mark):
    whole = dataset()
    whole["images"].attrs[mark] = np.uint8(255)
    whole.to_netcdf(path)
    with pytest.raises(ContractError, match="'images' lacks pixels"):
        from_netcdf(path)


@pytest.mark.parametrize("how", ["external storage", "external link", "virtual"])
def test_files_that_read_other_files_are_refused(path, how):
    secret = path.with_name("secret")
    np.zeros((16, 4, 6, 25), "f4").tofile(secret)
    with h5py.File(path.with_name("other.h5"), "w") as other:
        other["responses"] = np.zeros((16, 4, 6, 25), "f4")
    with h5py.File(path, "w") as file:
        if how == "external storage":
            external = [(str(secret), 0, h5py.h5f.UNLIMITED)]
            file.create_dataset("responses", (16, 4, 6, 25), "f4", external=external)
        elif how == "external link":
            file["responses"] = h5py.ExternalLink("other.h5", "/responses")
        else:
            layout = h5py.VirtualLayout((16, 4, 6, 25), "f4")
            layout[...] = h5py.VirtualSource("other.h5", "responses", (16, 4, 6, 25))
            file.create_virtual_dataset("responses", layout)
        file["images"], file["region"] = np.full((16, 8, 8), 0.5), "V4"
    with pytest.raises(ContractError, match=r"responses .*another file"):
        from_netcdf(path)


@pytest.mark.parametrize("kind", ["NETCDF3_64BIT", "NETCDF4"])
def test_text_stored_as_characters_is_read(path, kind):
    regions = tiny_recording().responses["region"].values
    dataset(images=None, region=None).to_netcdf(path, format=kind, engine="netcdf4")
    with netCDF4.Dataset(path, "a") as data:
        for dim, size in {"height": 32, "width": 32, "channel": 3, "letter": 5}.items():
            data.createDimension(dim, size)
        data.createVariable("images", "f8", ("image", "height", "width", "channel"))[...] = 0.5
        region = data.createVariable("region", "S1", ("unit", "letter"))
        region[...] = np.array(regions, "S5").view("S1").reshape(6, 5)
    assert from_netcdf(path).responses["region"].values.tolist() == regions.tolist()


@pytest.mark.parametrize("attribute", ["scale_factor", "missing_value"])
def test_inconsistent_attributes_are_named(path, attribute):
    dataset().to_netcdf(path)
    with netCDF4.Dataset(path, "a") as data:
        data["responses"].setncattr(attribute, "abc")
    with pytest.raises(ContractError, match=r"mine\.nc: variable 'responses': .*wanted a number"):
        from_netcdf(path)


def test_a_data_set_that_is_not_a_label_is_named(path):
    dataset().to_netcdf(path)
    with h5py.File(path, "a") as file:
        file["opaque"] = np.void(b"abcd")
    with pytest.raises(ContractError, match=r"/opaque is .* wanted text or numbers"):
        from_netcdf(path)


@pytest.mark.parametrize("content", ["[]", "null", "3", "{}", '{"format": 2}', "{", "[" * 10**5])
def test_an_invalid_description_is_reported_plainly(path, content):
    dataset().assign_attrs(brainfit_recording=content).to_netcdf(path)
    with pytest.raises(IntegrityError, match=r"cannot read .*mine\.nc as netCDF") as caught:
        from_netcdf(path)
    for words in ("NoneType", "subscript", "indices", "recursion"):
        assert words not in str(caught.value)


@pytest.mark.parametrize("name", ["absent.nc", "", "empty.nc", "text.nc", "folder"])
def test_files_that_are_not_netcdf_are_refused(tmp_path, name):
    (tmp_path / "empty.nc").touch()
    (tmp_path / "text.nc").write_text("responses\n" * 100)
    (tmp_path / "folder").mkdir()
    with pytest.raises(IntegrityError) as caught:
        from_netcdf(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_truncated_file_is_detected_on_opening(path, rng):
    to_netcdf(tiny_recording(), path)
    whole = path.read_bytes()
    for n in [*rng.integers(0, len(whole), 20), len(whole) - 1]:
        path.write_bytes(whole[:n])
        with pytest.raises(IntegrityError, match=r"cannot read .*mine\.nc"):
            from_netcdf(path)


def test_a_truncated_classic_file_is_detected_on_opening(path, rng):
    gray = (("image", "y", "x"), np.zeros((16, 8, 8)))
    dataset(images=gray).to_netcdf(path, format="NETCDF3_64BIT", engine="netcdf4")
    whole = path.read_bytes()
    for n in [*rng.integers(0, len(whole), 20), len(whole) - 100]:
        path.write_bytes(whole[:n])
        with pytest.raises(IntegrityError):
            from_netcdf(path)


def test_a_file_that_claims_more_than_it_can_hold_is_refused(path):
    with netCDF4.Dataset(path, "w") as data:
        for dim, size in {"image": 10**6, "unit": 10**5, "time_bin": 25}.items():
            data.createDimension(dim, size)
        data.createVariable("responses", "f8", ("image", "unit", "time_bin"), zlib=True)
        data.createVariable("images", "u1", ("image", "unit", "unit"), zlib=True)
    with pytest.raises(IntegrityError, match="cannot hold what it says it holds"):
        from_netcdf(path)


def test_wrong_bytes_among_values_are_detected_on_reading(path):
    to_netcdf(tiny_recording(), path)
    whole = bytearray(path.read_bytes())
    with netCDF4.Dataset(path) as data:
        assert data["responses"].filters()["fletcher32"]
        assert data["images"].filters()["fletcher32"]
    middle = len(whole) // 2  # of the large chunk of images
    whole[middle] ^= 1
    path.write_bytes(whole)
    recording = from_netcdf(path)
    with pytest.raises(IntegrityError, match=r"cannot read .*mine\.nc"):
        _ = recording.responses.values, recording.stimuli.values


def read_all(path, wanted=None):
    with suppress(BrainfitError):
        recording = from_netcdf(path)
        values = recording.responses.values, recording.stimuli.values
        if wanted is not None:
            assert_equal(recording, wanted)
        assert all(value.size for value in values)


@pytest.mark.slow
@pytest.mark.parametrize("plain", [False, True])
def test_any_damage_is_one_line(path, rng, plain):
    """A damaged file is refused or read whole, in another process because HDF5 may hang or crash."""
    small = tiny_recording(n_images=4, n_units=2, n_trials=2)
    if plain:
        dataset().isel(image=slice(4), trial=slice(2)).to_netcdf(path)
    else:
        to_netcdf(small, path)
    whole = path.read_bytes()
    context = multiprocessing.get_context("fork")
    for _ in range(12):
        parts = []
        for k in range(25):
            n = int(rng.integers(len(whole)))
            other = path.with_name(f"{k}.nc")
            other.write_bytes(whole[:n] + bytes([whole[n] ^ (1 << rng.integers(8))]) + whole[n + 1 :])
            parts.append(other)
        process = context.Process(
            target=lambda some=parts: [read_all(one, None if plain else small) for one in some]
        )
        process.start()
        process.join(60)
        assert process.exitcode == 0


def test_a_wrong_bit_in_the_chunk_index_never_changes_values(path, rng):
    """HDF5 has no checksum for the index, and reads a missing chunk as fill values."""
    tiny = tiny_recording(n_images=200, n_trials=20)
    to_netcdf(tiny, path)
    whole, n_changed = path.read_bytes(), 0
    nodes = [at for at in range(len(whole)) if whole.startswith(b"TREE\x01", at)]
    assert nodes
    for node in nodes:
        for at in rng.integers(node + 24, node + 200, 15):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << rng.integers(8))]) + whole[at + 1 :])
            try:
                recording = from_netcdf(path)
                np.testing.assert_array_equal(recording.responses.values, tiny.responses.values)
                np.testing.assert_array_equal(recording.stimuli.values, tiny.stimuli.values)
            except IntegrityError:
                n_changed += 1
    assert n_changed


def test_changed_values_are_detected(path):
    to_netcdf(tiny_recording(), path)
    with netCDF4.Dataset(path, "a") as data:
        data["responses"][3, 2, 1, 0] = 7.0
    recording = from_netcdf(path)
    _ = recording.responses.isel(unit=slice(0, 1), image=slice(0, 0)).values
    with pytest.raises(IntegrityError, match="values of responses differ from those that were written"):
        _ = recording.responses.isel(image=[3]).values


def test_changed_labels_are_detected(path):
    to_netcdf(tiny_recording(), path)
    with netCDF4.Dataset(path, "a") as data:
        data["unit_id"][0] = "another"
    with pytest.raises(IntegrityError, match="not as it was written"):
        from_netcdf(path)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("brainfit_recording", "{"),
        ("brainfit_recording", "[]"),
        ("brainfit_recording", '{"format": 1}'),
        ("brainfit_recording", '{"format": 2}'),
        ("brainfit_recording", "[" * 10_000),
        ("brainfit_recording_sha256", "0" * 64),
    ],
)
def test_changed_attributes_are_detected(path, attribute, value):
    to_netcdf(tiny_recording(), path)
    with netCDF4.Dataset(path, "a") as data:
        data.setncattr_string(attribute, value)
    with pytest.raises(IntegrityError):
        from_netcdf(path)


def test_a_file_replaced_after_opening_is_not_read(path):
    recording = round_trip(tiny_recording(), path)
    to_netcdf(tiny_recording(n_images=8), path, overwrite=True)
    with pytest.raises(IntegrityError, match="has changed since it was loaded"):
        _ = recording.responses.values
    path.unlink()
    with pytest.raises(IntegrityError, match="cannot read"):
        _ = recording.responses.values


# Writing that fails


def names(folder):
    return [item.name for item in folder.iterdir()]


def test_an_existing_file_is_replaced_only_on_request(path):
    path.write_text("mine")
    with pytest.raises(ContractError, match="is there already"):
        to_netcdf(tiny_recording(), path)
    assert path.read_text() == "mine"
    to_netcdf(tiny_recording(), path, overwrite=True)
    assert_equal(from_netcdf(path), tiny_recording())
    (path.parent / "folder").mkdir()
    with pytest.raises(ContractError, match="is there already"):
        to_netcdf(tiny_recording(), path.parent / "folder", overwrite=True)


def test_a_file_written_meanwhile_is_not_replaced(path, monkeypatch):
    write = netcdf._write_label

    def slowly(*given):
        path.write_text("of another")
        write(*given)

    monkeypatch.setattr(netcdf, "_write_label", slowly)
    with pytest.raises(ContractError, match=r"mine\.nc is there already"):
        to_netcdf(tiny_recording(), path)
    assert path.read_text() == "of another"
    assert names(path.parent) == ["mine.nc"]
    to_netcdf(tiny_recording(), path, overwrite=True)
    assert from_netcdf(path).name == "tiny"


def test_a_recording_can_overwrite_the_file_it_reads(path):
    to_netcdf(tiny_recording(), path)
    to_netcdf(from_netcdf(path), path, overwrite=True)
    assert_equal(from_netcdf(path), tiny_recording())
    assert names(path.parent) == [path.name]


class Broken(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "raised", "says"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            IntegrityError,
            "No space left on device; free some",
        ),
        (
            OSError(errno.EIO, "Input/output error"),
            IntegrityError,
            "Input/output error; choose another folder",
        ),
        (RuntimeError("NetCDF: HDF error"), IntegrityError, "HDF error"),
        (IntegrityError("the source is damaged"), IntegrityError, "the source is damaged"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (Broken(), Broken, None),
    ],
    ids=repr,
)
def test_a_failed_write_leaves_no_files(path, error, raised, says):
    def read(*positions):
        raise error

    tiny = tiny_recording()
    responses = xr.DataArray(
        lazy_variable(DIMS, tiny.responses.shape, float, read), coords=tiny.responses.coords
    )
    path.write_text("earlier")
    with pytest.raises(raised, match=says):
        to_netcdf(replace(tiny, responses=responses), path, overwrite=True)
    assert path.read_text() == "earlier"
    assert names(path.parent) == [path.name]


def test_a_full_disk_is_one_line(small_disk):
    tiny = tiny_recording(n_images=64, n_trials=20)
    with pytest.raises(IntegrityError, match="No space left on device; free some"):
        to_netcdf(tiny, small_disk / "mine.nc")
    assert names(small_disk) == []


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(IntegrityError, match="No such file or directory; choose another folder"):
        to_netcdf(tiny_recording(), tmp_path / "none" / "mine.nc")


@pytest.mark.skipif(ROOT, reason="root may write anywhere")
def test_an_unwritable_folder_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(IntegrityError, match="Permission denied"):
        to_netcdf(tiny_recording(), tmp_path / "mine.nc")


@pytest.mark.parametrize(
    ("recording", "says"),
    [
        (tiny_recording().select_images([]), "no image at all"),
        (replace(tiny_recording(), stimuli=tiny_recording().stimuli.assign_attrs(a={1})), "as JSON"),
        (with_coords(tiny_recording(), images=("image", np.arange(16))), "cannot be called 'images'"),
        (replace(tiny_recording(), responses=tiny_recording().responses.astype(np.longdouble)), "float128"),
    ],
)
def test_unwritable_values_are_named(path, recording, says):
    with pytest.raises(ContractError, match=says) as caught:
        to_netcdf(recording, path)
    assert "\n" not in str(caught.value)
    assert names(path.parent) == []


@pytest.mark.parametrize("name", ["a#b=c.nc", "ä ö.nc", "[x].nc", "no suffix", "http:x.nc"])
def test_unusual_file_names_are_accepted(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert_equal(round_trip(tiny_recording(), Path(name)), tiny_recording())
    assert netcdf.from_netcdf(tmp_path / name).name == "tiny"
