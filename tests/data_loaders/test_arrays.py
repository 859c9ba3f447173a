"""Recordings from plain arrays and .npz files: accepted and refused input."""

import io
import itertools
import zipfile
from contextlib import suppress

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from tiny import TinyModel

from brainfit import score
from brainfit.contracts.recording import check_recording
from brainfit.errors import BrainfitError, ContractError, IntegrityError, ResourceError
from data_loaders.arrays.recording import from_arrays, from_npz
from data_loaders.images.table import write_stimuli
from data_loaders.layouts import read
from data_loaders.netcdf import to_netcdf

OPTIONAL = (
    "image_id", "object_name", "category_name", "variation", "split", "unit_id", "region", "animal", "array",
    "time_bin_start", "time_bin_end", "response_window", "on_ms", "off_ms",
)  # fmt: skip


@pytest.fixture
def arrays(rng):
    return {
        "responses": rng.normal(size=(6, 3, 4, 25)),
        "images": rng.integers(0, 256, (6, 8, 8, 3), np.uint8),
        "region": ["V4", "pIT", "pIT", "aIT"],
    }


def test_defaults_are_as_documented(arrays):
    recording = from_arrays(**arrays)
    check_recording(recording)
    responses = recording.responses
    assert not recording.simulated
    assert responses["image_id"].values[:2].tolist() == ["image_0000", "image_0001"]
    assert responses["unit_id"].values[-1] == "unit_0003"
    assert set(responses["object_name"].values) == {"unknown"}
    assert responses["time_bin_start"].values.tolist() == [10.0 * t for t in range(25)]
    assert responses["time_bin_end"].values[-1] == 250
    np.testing.assert_array_equal(responses.values, arrays["responses"])
    np.testing.assert_array_equal(recording.stimuli.values, arrays["images"])


def test_averages_gray_images_one_bin_and_one_region_are_accepted(rng):
    images = rng.random((5, 8, 8)).astype(np.float32)
    recording = from_arrays(
        rng.normal(size=(5, 4, 1)).astype(np.float32),
        images,
        region="cIT",
        object_name=np.array([b"cat", b"cat", b"dog", b"dog", b"dog"]),
        time_bin_start=[70],
        time_bin_end=[170],
    )
    assert not recording.has_trials
    assert recording.responses.dtype == np.float32
    assert recording.stimuli.shape == (5, 8, 8, 3)
    np.testing.assert_array_equal(recording.stimuli.values[..., 2], images)
    assert recording.responses["object_name"].values.tolist() == ["cat", "cat", "dog", "dog", "dog"]


def test_missing_trials_are_nan(arrays):
    arrays["responses"][2, 1:] = np.nan
    assert np.isnan(from_arrays(**arrays).responses.values[2, 1:]).all()


def test_other_byte_orders_and_widths_become_native(arrays):
    recording = from_arrays(
        arrays["responses"].astype(">f4"),
        (arrays["images"] / 255).astype(">f8"),
        region="pIT",
        variation=np.arange(6, dtype=">i4"),
        animal=np.arange(4, dtype=np.float16),
    )
    dtypes = [recording.responses.dtype, recording.stimuli.dtype]
    dtypes += [recording.responses[coord].dtype for coord in ("variation", "animal")]
    assert dtypes == [np.float32, np.float64, np.int32, np.float32]
    np.testing.assert_array_equal(recording.responses.values, arrays["responses"].astype(np.float32))


def test_an_entirely_missing_bin_is_named(arrays):
    arrays["responses"][:, :, 0, 2] = np.nan  # in one unit only
    from_arrays(**arrays)
    arrays["responses"][..., 3] = np.nan
    with pytest.raises(ContractError, match=r"time bin 3 \(30-40 ms\) is NaN in every trial, .*; drop it"):
        from_arrays(**arrays)
    arrays["responses"][..., 7:9] = np.nan
    with pytest.raises(ContractError, match=r"bins 3 \(30-40 ms\), 7 .*, 8 \(80-90 ms\) are .*; drop them"):
        from_arrays(**arrays)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"region": None}, "region is missing"),
        ({"region": "PIT"}, "PIT"),
        ({"image_id": [0, 1, np.nan, 3, 4, np.nan]}, "image_id is NaN for 2 of 6 entries"),
        ({"unit_id": [0, 1, 2, np.nan]}, "unit_id is NaN for 1 of 4 entries"),
        ({"object_name": np.full(6, np.nan)}, "object_name is NaN for 6 of 6 entries"),
        ({"time_bin_start": [np.nan, *range(1, 25)], "time_bin_end": range(1, 26)}, "is nan for time bin 0"),
        ({"region": ["pIT"] * 3}, "region has shape"),
        ({"responses": np.zeros((6, 25))}, "responses"),
        ({"responses": np.full((6, 4, 25), "a")}, "responses"),
        ({"responses": [[1], [1, 2]]}, "responses"),
        ({"responses": np.full((6, 4, 25), np.inf)}, "600 infinite"),
        ({"responses": np.zeros((6, 4, 24))}, "time_bin_start"),
        ({"responses": np.zeros((6, 0, 4, 25))}, "no trial"),
        ({"responses": np.zeros((5, 4, 25))}, "6 images but responses to 5"),
        ({"images": np.zeros((6, 8, 8, 3), int)}, "images are int"),
        ({"images": np.full((6, 8, 8, 3), 255.0)}, "divide by 255"),
        ({"images": np.full((6, 8, 8, 3), np.nan)}, r"not all in \[0, 1\]"),
        ({"images": np.zeros((6, 8, 9, 3), np.uint8)}, "square"),
        ({"images": np.zeros((6, 0, 0, 3), np.uint8)}, "at least 1 pixel"),
        ({"image_id": [*"abcde", "\ud800"]}, "each image_id is text"),
        ({"images": np.zeros((6, 8, 8, 1), np.uint8)}, "3 channels"),
        ({"images": np.zeros((6, 64), np.uint8)}, "images have shape"),
        ({"image_id": ["a"] * 6}, "unique"),
        ({"unit_id": "a"}, "unique"),
        ({"animal": [None] * 4}, "animal"),
        ({"time_bin_start": np.arange(25)}, "time_bin_end"),
        ({"time_bin_start": np.arange(25), "time_bin_end": np.arange(25)}, "time bins"),
        ({"time_bin_start": "soon", "time_bin_end": np.arange(25)}, "time_bin_start"),
        ({"on_ms": 100.5, "off_ms": 0}, "on_ms is a whole number"),
        ({"on_ms": [1, 2], "off_ms": 0}, "on_ms is a whole number"),
        ({"response_window": 70}, "response_window is"),
        ({"split": "training"}, "unknown split 'training'"),
        ({"responses": np.where(np.arange(25) == 3, -9999.0, np.zeros((6, 4, 25)))}, "24 values are -9999"),
    ],
)
def test_each_violation_is_named_in_one_line(arrays, change, says):
    with pytest.raises(ContractError, match=says) as error:
        from_arrays(**{**arrays, **change})
    assert "\n" not in str(error.value)


def named(arrays, **coords):
    """Return the arrays as xarray with named dims, and no further arguments."""
    responses = xr.DataArray(
        arrays["responses"],
        dims=("image", "trial", "unit", "time_bin"),
        coords={"region": ("unit", arrays["region"]), **coords},
    )
    images = xr.DataArray(arrays["images"], dims=("image", "height", "width", "channel"))
    return responses, images


EDGES = {
    "time_bin_start": ("time_bin", np.arange(25) * 20.0 - 50),
    "time_bin_end": ("time_bin", np.arange(25) * 20.0 - 30),
}


@pytest.mark.parametrize("order", list(itertools.permutations(("image", "trial", "unit", "time_bin"))))
def test_named_dims_of_responses_may_be_in_any_order(arrays, order):
    responses, images = named(arrays)
    got = from_arrays(responses.transpose(*order), images)
    np.testing.assert_array_equal(got.responses.values, arrays["responses"])
    assert got.responses["region"].values.tolist() == arrays["region"]


@pytest.mark.parametrize("order", list(itertools.permutations(("image", "height", "width", "channel"))))
def test_named_dims_of_images_may_be_in_any_order(arrays, order):
    responses, images = named(arrays)
    got = from_arrays(responses, images.transpose(*order))
    np.testing.assert_array_equal(got.stimuli.values, arrays["images"])
    gray = from_arrays(responses, images.isel(channel=0).transpose("width", "image", "height"))
    np.testing.assert_array_equal(gray.stimuli.values[..., 1], arrays["images"][..., 0])


def test_unnamed_dims_are_read_by_position(arrays):
    responses, images = xr.DataArray(arrays["responses"]), xr.DataArray(arrays["images"])
    got = from_arrays(responses, images, region=arrays["region"])
    np.testing.assert_array_equal(got.responses.values, arrays["responses"])
    np.testing.assert_array_equal(got.stimuli.values, arrays["images"])


def test_coordinates_become_labels_unless_others_are_given(arrays):
    ids = [f"i{k}" for k in (4, 2, 0, 1, 3, 5)]
    coords = {**EDGES, "image": ids, "unit": list("abcd"), "animal": ("unit", list("mmnn"))}
    responses, images = named(arrays, **coords)
    got = from_arrays(responses, images, animal="x").responses
    assert got["image_id"].values.tolist() == ids
    assert got["unit_id"].values.tolist() == list("abcd")
    assert set(got["animal"].values) == {"x"}
    assert got["time_bin_start"].values.tolist() == EDGES["time_bin_start"][1].tolist()
    same = from_arrays(responses, images.assign_coords(image=ids), animal="x").responses
    assert same.identical(got)


@pytest.mark.parametrize(
    ("coords", "says"),
    [
        ({"time_bin": np.arange(25) * 10 - 50}, "does not say whether its times are starts, centres or ends"),
        ({"time_bin": np.arange(25)}, "does not say whether its times are starts, centres or ends"),
        ({"time_bin": np.arange(25) * 10.0, **EDGES}, "does not lie in the bins"),
    ],
)
def test_a_time_axis_is_never_ignored(arrays, coords, says):
    responses, images = named(arrays, **coords)
    with pytest.raises(ContractError, match=says):
        from_arrays(responses, images)


@pytest.mark.parametrize("shift", [0, 10, 20])
def test_a_time_axis_of_starts_centres_or_ends_agrees_with_the_edges(arrays, shift):
    responses, images = named(arrays, time_bin=EDGES["time_bin_start"][1] + shift, **EDGES)
    assert from_arrays(responses, images).responses["time_bin_end"].values[0] == -30


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"responses": ("image", "trial", "neuron", "time_bin")}, "wanted .*unit.*, in any order; rename"),
        ({"images": ("image", "a", "b", "channel")}, r"dims of images are \(image, a, b, channel\)"),
    ],
)
def test_unknown_names_of_dims_are_refused(arrays, change, says):
    given = {key: xr.DataArray(arrays[key], dims=dims) for key, dims in change.items()}
    with pytest.raises(ContractError, match=says):
        from_arrays(**{**arrays, **given})


def test_images_in_another_order_than_the_responses_are_refused(arrays):
    responses, images = named(arrays, image=list("abcdef"))
    with pytest.raises(ContractError, match="other coordinates along 'image'"):
        from_arrays(responses, images.assign_coords(image=list("abcdfe")))


def test_labels_along_another_dim_are_refused(arrays):
    with pytest.raises(ContractError, match=r"dims of region are \(image\)"):
        from_arrays(**{**arrays, "region": xr.DataArray(arrays["region"], dims="image")})


def test_a_netcdf4_variable_keeps_its_names_and_mask(arrays, tmp_path):
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as data:
        for dim, size in {"image": 6, "trial": 3, "unit": 4, "time_bin": 25}.items():
            data.createDimension(dim, size)
        variable = data.createVariable("r", "f4", ("unit", "image", "trial", "time_bin"))
        variable[:, :, :2] = arrays["responses"].transpose(2, 0, 1, 3)[:, :, :2]
        got = from_arrays(**{**arrays, "responses": variable}).responses.values
    np.testing.assert_array_equal(got[:, :2], arrays["responses"][:, :2].astype(np.float32))
    assert np.isnan(got[:, 2]).all()


@pytest.mark.parametrize("dtype", ["i2", "i4", "f4", "f8", ">f4"])
def test_masked_responses_are_missing_for_any_hidden_values(arrays, dtype):
    values = np.ma.masked_array(np.rint(arrays["responses"]).astype(dtype))
    values[2, 1:] = np.ma.masked
    values.data[2, 1:] = 77
    got = from_arrays(**{**arrays, "responses": values}).responses.values
    assert np.isnan(got[2, 1:]).all()
    assert np.isnan(got).sum() == 2 * 4 * 25


@pytest.mark.parametrize(
    "labels",
    [
        np.array(list("abcdef"), np.dtypes.StringDType()),
        np.array(list("abcdef"), "S1"),
        np.array(list("abcdef"), object),
        pd.array(list("abcdef"), dtype="string"),
        pd.Series(list("abcdef"), dtype="category"),
        pd.Index(list("abcdef")),
        np.ma.masked_array(list("abcdef")),
        tuple("abcdef"),
    ],
    ids=lambda labels: type(labels).__name__,
)
def test_text_types_of_every_library_are_accepted(arrays, labels):
    got = from_arrays(**arrays, image_id=labels).responses["image_id"].values
    assert got.tolist() == list("abcdef")
    assert got.dtype.kind == "U"


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["a", "b", "c", "d", "e", None], object),
        np.array(["a", "b", "c", "d", "e", np.nan], np.dtypes.StringDType(na_object=np.nan)),
        pd.array(["a", "b", "c", "d", "e", None], dtype="string"),
        np.ma.masked_equal([1, 2, 3, 4, 5, 6], 6),
    ],
    ids=lambda labels: type(labels).__name__,
)
def test_missing_labels_are_refused(arrays, labels):
    with pytest.raises(ContractError, match=r"object_name .*(missing|masked)"):
        from_arrays(**arrays, object_name=labels)


@pytest.mark.parametrize(
    ("low", "high", "advice"),
    [
        (0, 255, "divide by 255, or convert to uint8"),
        (0, 2, "if they run from 0 to 255, divide by 255"),
        (0, 1.1, "clip them to"),
        (-0.05, 1.05, "clip them to"),
        (-1, 1, r"undo their normalisation; from \[-1, 1\], \(images \+ 1\) / 2"),
        (-2.1, 2.6, "undo their normalisation"),
        (0, 65535, "divide by the value of white"),
    ],
)
def test_advice_on_the_range_of_float_images_fits_the_values(arrays, low, high, advice):
    images = np.linspace(low, high, 6 * 8 * 8 * 3).reshape(6, 8, 8, 3)
    with pytest.raises(ContractError, match=advice) as error:
        from_arrays(**{**arrays, "images": images})
    assert ("255" in str(error.value)) == (low >= 0 and 1.25 < high <= 255)


@pytest.mark.parametrize("low", [0, -1e-7, -1e-5])
@pytest.mark.parametrize("high", [1, 1 + 1e-7, 1 + 1e-5])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_rounding_beyond_the_range_of_float_images_is_clipped(arrays, low, high, dtype):
    images = np.linspace(low, high, 6 * 8 * 8 * 3, dtype=dtype).reshape(6, 8, 8, 3)
    got = from_arrays(**{**arrays, "images": images}).stimuli.values
    np.testing.assert_array_equal(got, images.clip(0, 1))


@pytest.mark.parametrize("n_dark", [6, 5])
def test_images_of_0_and_1_only_are_refused_unless_one_is_brighter(arrays, n_dark, folder):
    images = arrays["images"].copy()
    images[:n_dark] = images[:n_dark] > 127
    for k, name in enumerate(FILES):
        Image.fromarray(images[k]).save(folder / name)
    for place in ({"images": images}, {"images": folder, "image_file": FILES}):
        if n_dark == 6:
            with pytest.raises(ContractError, match=r"hold 0 and 1 only, .* multiply by 255"):
                from_arrays(**{**arrays, **place})
        else:
            assert from_arrays(**{**arrays, **place}).stimuli.values.max() > 1


def test_nearly_black_images_are_noted(arrays):
    dark = from_arrays(**{**arrays, "images": arrays["images"] / 255.0**2})
    assert "no pixel is brighter than 0.0039" in dark.provenance["images"]
    assert "images" not in from_arrays(**{**arrays, "images": arrays["images"] / 255.0}).provenance
    assert "images" not in from_arrays(**{**arrays, "images": np.zeros((6, 8, 8))}).provenance


def test_equal_unit_ids_of_two_animals_stay_distinct(arrays):
    recording = from_arrays(**arrays, unit_id=[0, 1, 0, 1], animal=list("aabb"))
    assert recording.responses["unit_id"].values.tolist() == ["a_0", "a_1", "b_0", "b_1"]
    assert recording.provenance["unit_ids"] == "made unique with the animal's name"
    with pytest.raises(ContractError, match="give every unit an id of its own") as error:
        from_arrays(**arrays, unit_id=[0, 1, 0, 1])
    assert "trials" not in str(error.value)


def test_window_split_and_presentation_come_with_the_arrays(tmp_path, arrays):
    more = {"split": ["train"] * 4 + ["test"] * 2, "response_window": (60, 200), "on_ms": 150, "off_ms": 0}
    np.savez(tmp_path / "mine.npz", **arrays, **more)
    for recording in (from_arrays(**arrays, **more), from_npz(tmp_path / "mine.npz")):
        assert recording.responses["split"].values.tolist() == more["split"]
        assert recording.stimuli["split"].values.tolist() == more["split"]
        assert recording.response_window == (60, 200)
        assert (recording.on_ms, recording.off_ms) == (150, 0)


RUBBISH = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.floats(),
    st.integers(),
    st.lists(st.one_of(st.none(), st.text(max_size=2), st.floats()), max_size=4),
    hnp.arrays(
        dtype=st.one_of(
            hnp.scalar_dtypes(), hnp.unicode_string_dtypes(max_len=3), hnp.byte_string_dtypes(max_len=3)
        ),
        shape=hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4),
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    key=st.sampled_from(("responses", "images", *OPTIONAL)),
    value=RUBBISH,
    more=st.dictionaries(st.sampled_from(OPTIONAL), RUBBISH, max_size=2),
)
def test_random_arguments_are_refused_or_accepted_whole(key, value, more):
    good = {"responses": np.ones((4, 2, 3, 25)), "images": np.zeros((4, 8, 8)), "region": "pIT"}
    with suppress(BrainfitError):
        check_recording(from_arrays(**{**good, **more, key: value}))


def test_an_npz_file_equals_its_arrays(tmp_path, arrays):
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays)
    recording, same = from_npz(path), from_arrays(**arrays, name="mine")
    assert recording.name == "mine"
    assert len(recording.provenance["sha256"]) == 64
    assert recording.responses.identical(same.responses)
    assert recording.stimuli.identical(same.stimuli)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"images": None}, ContractError, "'images' is missing"),
        ({"region": None}, ContractError, "region is missing"),
        ({"regions": "V4"}, ContractError, "did you mean 'region'"),
        ({"region": np.array(["V4", None, 3, {}], object)}, ContractError, "'region' holds Python objects"),
        ({"responses": np.zeros(3)}, ContractError, "responses"),
    ],
)
def test_an_npz_file_with_wrong_keys_is_refused(tmp_path, arrays, change, error, says):
    path = tmp_path / "mine.npz"
    np.savez(path, **{key: v for key, v in {**arrays, **change}.items() if v is not None})
    with pytest.raises(error, match=says) as caught:
        from_npz(path)
    assert "mine.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_not_npz_are_refused(tmp_path, arrays):
    np.save(tmp_path / "one.npy", arrays["responses"])
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "text.npz").write_text("responses,images\n")
    (tmp_path / "pickle.npz").write_bytes(b"\x80\x04N.")
    for name in ("one.npy", "empty.npz", "text.npz", "pickle.npz", "absent.npz", "."):
        with pytest.raises(IntegrityError) as caught:
            from_npz(tmp_path / name)
        assert "\n" not in str(caught.value)


def npy(header, content=b""):
    """Store an array in numpy's format with any header."""
    header = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


def with_responses(path, arrays, stored, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("responses.npy", stored)
        for key in ("images", "region"):
            content = io.BytesIO()
            np.save(content, arrays[key])
            archive.writestr(f"{key}.npy", content.getvalue())


@pytest.mark.parametrize(
    "header",
    ["{'descr': '<f8', 'fortran_order': False, 'shape': (3,", "  {'descr'", "(" * 3000, " " * 30000, "{}"],
)
def test_an_invalid_header_is_one_line(tmp_path, arrays, header):
    path = tmp_path / "mine.npz"
    with_responses(path, arrays, npy(header))
    with pytest.raises(IntegrityError, match="cannot read key 'responses'") as caught:
        from_npz(path)
    assert "\n" not in str(caught.value)


def test_files_of_python_2_are_read_without_a_warning(tmp_path, arrays):
    path = tmp_path / "mine.npz"
    shape = ", ".join(f"{size}L" for size in arrays["responses"].shape)
    values = arrays["responses"].astype("<f8")
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({shape}), }}"
    with_responses(path, arrays, npy(header, values.tobytes()))
    np.testing.assert_array_equal(from_npz(path).responses.values, values)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_only_members_written_by_numpy_are_unpacked(tmp_path, arrays, method):
    path = tmp_path / "mine.npz"
    with_responses(path, arrays, npy("{"), method)
    with pytest.raises(IntegrityError, match=r"responses\.npy is neither stored nor deflated"):
        from_npz(path)


def test_members_beyond_memory_are_not_unpacked(tmp_path, arrays, monkeypatch):
    path = tmp_path / "mine.npz"
    np.savez_compressed(path, **{**arrays, "responses": np.zeros((6, 200, 4, 25))})
    monkeypatch.setattr("brainfit.support.memory.available_bytes", lambda: 2 * path.stat().st_size)
    with pytest.raises(ResourceError, match=r"unpacking mine\.npz .* save it as netCDF"):
        from_npz(path)


def test_a_member_that_is_not_an_array_is_refused(tmp_path, arrays):
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("animal", b"not an array")
    with pytest.raises(BrainfitError):
        from_npz(path)


@pytest.mark.parametrize("compressed", [True, False])
def test_damaged_files_never_give_a_traceback(tmp_path, arrays, rng, compressed):
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)
    whole = buffer.getvalue()
    path = tmp_path / "mine.npz"
    for n in rng.integers(0, len(whole), 30):
        path.write_bytes(whole[:n])
        with pytest.raises(IntegrityError, match=r"mine\.npz"):
            from_npz(path)
    for n in rng.integers(0, len(whole), 150):
        path.write_bytes(whole[:n] + bytes([whole[n] ^ (1 << rng.integers(8))]) + whole[n + 1 :])
        with suppress(BrainfitError):
            check_recording(from_npz(path))


@pytest.fixture
def folder(tmp_path, arrays):
    """Write the images as files in a folder, in a zip, and listed by a table."""
    ids = np.array([f"i{k}" for k in (4, 2, 0, 1, 3, 5)])
    stimuli = xr.DataArray(arrays["images"], dims=("image", "height", "width", "channel"))
    columns = {"image_id": ids, "object_name": np.array(list("aabbab")), "variation": np.arange(6)}
    write_stimuli(stimuli, columns, tmp_path / "table.csv", tmp_path / "images.zip")
    for name, image in zip(ids, arrays["images"], strict=True):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    return tmp_path


FILES = ["i4.png", "i2.png", "i0.png", "i1.png", "i3.png", "i5.png"]


@pytest.mark.parametrize("place", ["", "images.zip"])
@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["str", "Path"])
def test_images_in_files_equal_those_in_memory(folder, arrays, place, kind):
    same = from_arrays(**arrays)
    recording = from_arrays(**{**arrays, "images": kind(folder / place)}, image_file=FILES)
    assert recording.responses.identical(same.responses)
    assert recording.stimuli.identical(same.stimuli)
    some = from_arrays(
        arrays["responses"][[3, 0]],
        folder / place,
        region="V4",
        image_file=np.array([FILES[3], FILES[0]], "S"),
    )
    np.testing.assert_array_equal(some.stimuli.values, arrays["images"][[3, 0]])


def test_images_of_a_table_are_matched_by_order_or_id(folder, arrays):
    arrays = {**arrays, "images": folder / "table.csv"}
    recording = from_arrays(**arrays)
    assert recording.responses["image_id"].values.tolist() == ["i4", "i2", "i0", "i1", "i3", "i5"]
    assert recording.responses["object_name"].values.tolist() == list("aabbab")
    assert recording.responses["variation"].values.tolist() == list(range(6))
    assert set(recording.responses["category_name"].values) == {"unknown"}
    ids = ["i5", "i4"]
    arrays["responses"] = arrays["responses"][:2]
    some = from_arrays(**arrays, image_id=ids, object_name=["mine", "own"])
    np.testing.assert_array_equal(some.stimuli.values, recording.stimuli.values[[5, 0]])
    assert some.responses["image_id"].values.tolist() == ids
    assert some.responses["object_name"].values.tolist() == ["mine", "own"]
    assert some.responses["variation"].values.tolist() == [5, 0]
    with pytest.raises(ContractError, match=r"has 6 images but responses has 2; .*, or give image_id"):
        from_arrays(**arrays)
    with pytest.raises(ContractError, match="lacks 1 of 2 images of the recording, such as 'x'"):
        from_arrays(**arrays, image_id=["i5", "x"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"image_file": FILES}, "give its path as images"),
        ({"images": "", "image_file": FILES[:5]}, "image_file has shape"),
        ({"images": "", "image_file": [1, 2, 3, 4, 5, 6]}, "image file 1 does not stay inside"),
        ({"images": "", "image_file": ["../a.png", *FILES[1:]]}, "does not stay inside"),
        ({"images": "", "image_file": ["none.png", *FILES[1:]]}, "lacks 1 of the 6 image files"),
        ({"images": "i0.png"}, "as CSV in UTF-8"),
        ({"images": ""}, "Is a directory"),
        ({"images": "absent.csv"}, "No such file"),
    ],
)
def test_invalid_image_files_are_refused(folder, arrays, change, says):
    if "images" in change:
        change = {**change, "images": folder / change["images"]}
    with pytest.raises(BrainfitError, match=says) as error:
        from_arrays(**{**arrays, **change})
    assert "\n" not in str(error.value)


def test_an_npz_file_with_image_files_has_the_score_of_its_arrays(tmp_path, rng):
    images = rng.integers(0, 256, (16, 8, 8, 3), np.uint8)
    signal = rng.normal(size=(16, 1, 3, 2))
    arrays = {
        "responses": signal + 0.3 * rng.normal(size=(16, 4, 3, 2)),
        "region": "V4",
        "object_name": np.repeat(["a", "b"], 8),
        "time_bin_start": [0, 100],
        "time_bin_end": [100, 200],
    }
    (tmp_path / "shown").mkdir()
    files = [f"shown/{k}.png" for k in range(16)]
    for name, image in zip(files, images, strict=True):
        Image.fromarray(image).save(tmp_path / name)
    np.savez(tmp_path / "mine.npz", **arrays, image_file=files)
    recording, same = from_npz(tmp_path / "mine.npz"), from_arrays(**arrays, images=images, name="mine")
    assert recording.stimuli.identical(same.stimuli)
    scores = [score(TinyModel(), one, region="V4", layer="small") for one in (recording, same)]
    assert np.isfinite(scores[0].data["spearman"].values).any()
    assert scores[0].data.identical(scores[1].data)
    np.savez(tmp_path / "both.npz", **arrays, images=images, image_file=files)
    with pytest.raises(ContractError, match=r"both\.npz: image_file names"):
        from_npz(tmp_path / "both.npz")
    (tmp_path / files[3]).unlink()
    with pytest.raises(ContractError, match=r"mine\.npz: .* lacks 1 of the 16 image files"):
        from_npz(tmp_path / "mine.npz")


@pytest.mark.parametrize(
    ("regions", "wanted", "own"),
    [
        ({"VISp": "V1"}, ["V1", "pIT"], ()),
        ({"VISp": "VISp"}, ["VISp", "pIT"], ("VISp",)),
        ({"VISp": "mouse V1"}, ["mouse V1", "pIT"], ("mouse V1",)),
    ],
)
def test_regions_are_taken_as_declared_in_arrays_and_files(tmp_path, arrays, regions, wanted, own):
    named = {**arrays, "region": ["VISp", "VISp", "pIT", "pIT"]}
    np.savez(tmp_path / "mine.npz", **named)
    to_netcdf(from_arrays(**named, regions=regions), tmp_path / "mine.nc")
    for recording in (
        from_arrays(**named, regions=regions),
        read(tmp_path / "mine.npz", regions=regions),
        read(tmp_path / "mine.nc"),
    ):
        assert recording.responses["region"].values.tolist() == [wanted[0]] * 2 + [wanted[1]] * 2
        assert recording.own_regions == own
        assert recording.provenance["regions"] == regions


@pytest.mark.parametrize(
    ("regions", "says"),
    [
        (None, r"unknown region 'VISp'; wanted V1.*--regions VISp=V1"),
        ({"VISl": "V2"}, "declares 'VISl', but no unit is there; units are in VISp, pIT"),
        ({"VISp": "v1"}, "'v1' would be confused with V1"),
        (["VISp"], "wanted the region for each name"),
        ({"VISp": 1}, "wanted the region for each name"),
    ],
)
def test_declarations_of_regions_that_do_not_fit_are_refused(arrays, regions, says):
    with pytest.raises(ContractError, match=says):
        from_arrays(**{**arrays, "region": ["VISp", "VISp", "pIT", "pIT"]}, regions=regions)
