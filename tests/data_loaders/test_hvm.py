"""The HvM file: known values are read lazily, and invalid files are refused in one line."""

import pickle

import h5py
import numpy as np
import pytest
from hvm_file import LEVELS, N_BINS, N_UNITS, REGIONS, SIZE, hvm_arrays, to_edit, write_hvm
from tiny import TinyModel

from brainfit import score
from brainfit.contracts.recording import check_recording
from brainfit.errors import BrainfitError, ContractError, IntegrityError
from data_loaders.arrays.recording import from_arrays
from data_loaders.hvm import responses
from data_loaders.hvm.recording import from_hvm

KEPT = [u for u, region in enumerate(REGIONS) if region]


@pytest.fixture
def arrays(rng):
    return hvm_arrays(rng)


@pytest.fixture
def path(tmp_path, arrays):
    write_hvm(tmp_path / "hvm.hdf5", arrays)
    return tmp_path / "hvm.hdf5"


def test_binned_trials_are_read_with_their_labels(path, arrays):
    recording = from_hvm(path)
    check_recording(recording)
    responses = recording.responses
    assert recording.name == "hvm"
    assert not recording.simulated
    assert responses.dtype == np.float32
    np.testing.assert_array_equal(responses.values, arrays["responses"][:, :, KEPT])
    np.testing.assert_array_equal(recording.stimuli.values, np.repeat(arrays["images"][..., None], 3, -1))
    assert responses["region"].values.tolist() == [REGIONS[u] for u in KEPT]
    assert responses["unit_id"].values.tolist() == [f"unit_{u:04d}" for u in KEPT]
    for name in ("image_id", "object_name", "category_name", "variation"):
        assert responses[name].values.tolist() == list(arrays[name])
        assert recording.stimuli[name].values.tolist() == list(arrays[name])
    for name in ("animal", "array"):
        assert responses[name].values.tolist() == [arrays[name][u] for u in KEPT]
    assert responses["time_bin_start"].values.tolist() == [20.0 * t for t in range(N_BINS)]
    assert responses["time_bin_end"].values.tolist() == [20.0 * t + 20 for t in range(N_BINS)]
    for k, name in enumerate(("s", "ty", "tz", "rxy", "rxz", "ryz")):
        assert responses[name].values[3] == 3 + 100 * k


def test_omissions_are_recorded_in_the_provenance(path):
    provenance = from_hvm(path).provenance
    assert provenance["source"] == "hvm"
    assert provenance["file"] == "hvm.hdf5"
    assert "3 trials of level 0, 2 trials of level 3, 4 trials of level 6" in provenance["responses"]
    assert provenance["dropped"] == [
        {"what": "units", "n": 1, "why": "in no region"},
    ]


def test_images_of_mixed_levels_are_padded_as_in_their_own_level(path, arrays):
    order = np.random.default_rng(1).permutation(18)
    some = from_hvm(path).select_images(order).select_region("IT").responses.isel(trial=[3, 0, 2])
    it = [u for u in KEPT if REGIONS[u] != "V4"]
    np.testing.assert_array_equal(some.values, arrays["responses"][order][:, [3, 0, 2]][:, :, it])
    present = np.isfinite(from_hvm(path).responses.values).all(axis=(2, 3)).sum(axis=1)
    assert present.tolist() == [LEVELS[level] for level in arrays["variation"]]


@pytest.mark.parametrize(
    ("holding", "bins", "says"),
    [
        (("time_averaged", "time_binned_trial_averaged"), [(70, 170)], "taken to be 70-170 ms"),
        (("time_binned_trial_averaged", "time_averaged_trial_averaged"), None, "time_binned_trial_averaged"),
        (("time_averaged_trial_averaged",), [(70, 170)], "taken to be 70-170 ms"),
    ],
)
def test_without_binned_trials_the_next_best_dataset_is_used(tmp_path, arrays, holding, bins, says):
    path = tmp_path / "hvm.hdf5"
    write_hvm(path, arrays, holding=holding)
    recording = from_hvm(path)
    responses, wanted = recording.responses, arrays["responses"][:, :, KEPT]
    if recording.has_trials:
        np.testing.assert_allclose(responses.values[..., 0], wanted.mean(axis=3), rtol=1e-6, atol=1e-7)
    else:
        wanted = np.nanmean(wanted, axis=1)
        wanted = wanted if bins is None else wanted.mean(axis=2, keepdims=True)
        np.testing.assert_allclose(responses.values, wanted, rtol=1e-6, atol=1e-7)
    assert recording.has_trials == ("time_averaged" in holding)
    spans = list(zip(responses["time_bin_start"].values, responses["time_bin_end"].values, strict=True))
    assert spans == (bins or [(20 * t, 20 * t + 20) for t in range(N_BINS)])
    assert says in recording.provenance["responses"]


@pytest.mark.parametrize("n_units", [296, 256, 297])
def test_the_forty_poor_sites_of_a_complete_file_are_left_out(tmp_path, rng, n_units):
    arrays = hvm_arrays(rng, (2, 2, 2), n_units)
    regions = ["V4"] * 88 + ["pIT"] * 168 + ["V4"] * (n_units - 256)
    write_hvm(tmp_path / "hvm.hdf5", arrays, regions, holding=("time_averaged",))
    recording = from_hvm(tmp_path / "hvm.hdf5")
    assert recording.responses.sizes["unit"] == (n_units if n_units == 297 else 256)
    poor = [{"what": "units", "n": 40, "why": "poor sites, 256 to 295 of 296"}]
    assert recording.provenance["dropped"] == (poor if n_units == 296 else [])
    np.testing.assert_allclose(
        recording.responses.values[..., :256, 0],
        arrays["responses"][:, :, :256].mean(3),
        rtol=1e-6,
        atol=1e-7,
    )


def test_only_selected_values_are_read(path, monkeypatch):
    read = []

    def counted(data, positions):
        read.append((data.name, *map(len, positions)))
        return select(data, positions)

    select = responses.select
    monkeypatch.setattr(responses, "select", counted)
    recording = from_hvm(path)
    assert {positions[2] for _, *positions in read} == {1}  # one unit, to find bins without values
    read.clear()
    part = recording.responses.isel(image=[0, 2], unit=[1], time_bin=[4, 5])
    assert not read
    assert part.values.shape == (2, 4, 1, 2)
    assert read == [(f"/time_binned/{t}ms/variation_level_0", 3, 2, 1) for t in (80, 100)]


def test_a_recording_can_be_pickled_and_detects_a_changed_file(path):
    recording = pickle.loads(pickle.dumps(from_hvm(path)))
    assert np.isfinite(recording.responses.isel(image=0, trial=0).values).all()
    with to_edit(path) as file:
        file["more"] = np.arange(9)
    with pytest.raises(IntegrityError, match="has changed since it was loaded"):
        recording.stimuli.values  # noqa: B018


def test_unit_positions_may_be_floats_or_booleans_and_labels_text(path, arrays):
    before = from_hvm(path).responses.load()
    with to_edit(path) as file:
        neural, meta = file["neural_meta"], file["image_meta"]
        for key in ("V4_NEURONS", "PIT_NEURONS"):
            at = neural[key][:]
            del neural[key]
            neural[key] = np.isin(np.arange(N_UNITS), at) if key[0] == "V" else at.astype(float)
        del meta["image_id"], meta["variation_level"], neural["ANIMAL_INFO"]
        meta["image_id"] = list(arrays["image_id"])
        meta["variation_level"] = arrays["variation"]
    after = from_hvm(path)
    assert set(after.responses["animal"].values) == {"unknown"}
    assert after.responses.drop_vars("animal").identical(before.drop_vars("animal"))


def test_colour_images_are_read(path, rng):
    pixels = rng.integers(0, 256, (18, SIZE, SIZE, 3), np.uint8)
    replace(path, "images", pixels)
    stimuli = from_hvm(path).stimuli
    np.testing.assert_array_equal(stimuli.isel(image=[5, 2], channel=[1]).values, pixels[[5, 2]][..., [1]])


@pytest.mark.parametrize("chunks", [None, (2, 3, 4)])
def test_other_types_and_chunked_storage_are_read(tmp_path, arrays, chunks):
    path = tmp_path / "hvm.hdf5"
    write_hvm(path, arrays, holding=("time_averaged",))
    with to_edit(path) as file:
        group = file["time_averaged"]
        for name in list(group):
            values = group[name][:].astype(">f8")
            del group[name]
            group.create_dataset(name, data=values, chunks=chunks and (1, 2, 5))
    responses = from_hvm(path).responses
    assert responses.dtype == np.float64
    np.testing.assert_allclose(
        responses.values[..., 0], arrays["responses"][:, :, KEPT].mean(axis=3), rtol=1e-6, atol=1e-7
    )


def test_a_score_equals_that_of_the_same_arrays(tmp_path, rng):
    arrays = hvm_arrays(rng, (8, 8, 8))
    signal = rng.normal(size=(24, 1, N_UNITS, N_BINS))
    arrays["responses"] += (3 * signal).astype(np.float32)
    write_hvm(tmp_path / "hvm.hdf5", arrays, holding=("time_averaged",))
    recording = from_hvm(tmp_path / "hvm.hdf5")
    fields = {name: arrays[name] for name in ("image_id", "object_name", "category_name", "variation")}
    same = from_arrays(
        recording.responses.values,
        arrays["images"],
        name="hvm",
        **fields,
        unit_id=recording.responses["unit_id"].values,
        region=recording.responses["region"].values,
        animal=recording.responses["animal"].values,
        array=recording.responses["array"].values,
        time_bin_start=[70],
        time_bin_end=[170],
    )
    scores = [score(TinyModel(), one, region="V4", layer="small") for one in (recording, same)]
    assert np.isfinite(scores[0].data["spearman"].values).any()
    more = ("s", "ty", "tz", "rxy", "rxz", "ryz")  # absent from plain arrays
    assert scores[0].data.drop_vars(more).identical(scores[1].data)


def replace(path, name, value):
    with to_edit(path) as file:
        del file[name]
        if value is not None:
            file[name] = value


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("images", None, "images is missing; there is image_meta"),
        ("images", np.zeros((18, 8, 8)), "wanted uint8"),
        ("images", np.zeros((17, 8, 8), np.uint8), r"has shape \(18,\); wanted 17 entries"),
        ("images", np.zeros((18, 8, 9), np.uint8), "square"),
        ("image_meta", None, "image_meta is missing"),
        ("image_meta", np.arange(3), "is no group"),
        ("image_meta/image_id", None, "image_id is missing"),
        ("image_meta/image_id", ["a"] * 18, "unique"),
        ("image_meta/object_name", np.zeros((18, 2)), "wanted 18 entries"),
        ("image_meta/object_name", np.zeros(18, "c16"), "wanted text or numbers"),
        ("image_meta/variation_level", ["V0"] * 17 + ["high"], "'high'; wanted V0, V3 or V6"),
        ("image_meta/variation_level", ["V0"] * 18, r"wanted numbers of shape \(trial, 18 images"),
        ("image_meta/variation_level", ["V9"] * 18, "variation_level_9 is missing"),
        ("neural_meta", None, "neural_meta is missing"),
        ("neural_meta/V4_NEURONS", [0, 12], "no position of a unit; wanted 0 to 11"),
        ("neural_meta/V4_NEURONS", [-1, 2], "no position of a unit"),
        ("neural_meta/V4_NEURONS", [0.5], "no position of a unit"),
        ("neural_meta/V4_NEURONS", [np.nan], "no position of a unit"),
        ("neural_meta/V4_NEURONS", [True, False], "no position of a unit"),
        ("neural_meta/V4_NEURONS", ["a"], "wanted positions of units, at most 12"),
        ("neural_meta/V4_NEURONS", np.arange(13), "wanted positions of units, at most 12"),
        ("neural_meta/V4_NEURONS", [4, 5], "PIT_NEURONS shares units with V4_NEURONS"),
        ("neural_meta/ANIMAL_INFO", ["a"] * 5, "wanted 12 entries"),
        ("time_binned", np.arange(3), "is no group"),
        ("time_binned/20ms", None, None),
        ("time_binned/20ms", np.arange(3), "variation_level_0"),
        ("time_binned/20ms/variation_level_3", None, "variation_level_3 is missing"),
        ("time_binned/20ms/variation_level_3", np.zeros((2, 5, 12)), "wanted numbers of shape"),
        ("time_binned/20ms/variation_level_3", np.zeros((2, 6, 11)), "wanted numbers of shape"),
        ("time_binned/20ms/variation_level_3", np.zeros((3, 6, 12)), "wanted as many in every bin"),
        ("time_binned/0ms/variation_level_0", np.float32(1), "wanted numbers of shape"),
        ("time_binned/0ms/variation_level_0", np.zeros((3, 4, 12), "S1"), "wanted numbers of shape"),
    ],
)
def test_each_violation_is_named_in_one_line(path, name, value, says):
    replace(path, name, value)
    if says is None:  # a file with one bin fewer is still a recording
        assert from_hvm(path).responses.sizes["time_bin"] == N_BINS - 1
        return
    with pytest.raises(BrainfitError, match=says) as error:
        from_hvm(path)
    assert "hvm" in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_responses_odd_bins_and_missing_regions_are_refused(tmp_path, arrays):
    path = tmp_path / "hvm.hdf5"
    write_hvm(path, arrays, holding=())
    with pytest.raises(ContractError, match="has no responses: wanted time_binned"):
        from_hvm(path)
    with to_edit(path) as file:
        file.create_group("time_binned")
    with pytest.raises(ContractError, match="has no bins"):
        from_hvm(path)
    with to_edit(path) as file:
        file["time_binned/early/variation_level_0"] = [1]
    with pytest.raises(ContractError, match="'early'; wanted bins called as they start"):
        from_hvm(path)
    write_hvm(path, arrays, [""] * N_UNITS)
    with pytest.raises(ContractError, match="gives no unit a region"):
        from_hvm(path)
    write_hvm(path, arrays, holding=("time_averaged_trial_averaged",))
    replace(path, "time_averaged_trial_averaged", np.zeros((17, 12)))
    with pytest.raises(ContractError, match=r"wanted numbers of shape \(18 images, units\)"):
        from_hvm(path)


def test_infinite_values_are_refused_when_read(path, arrays):
    arrays["responses"][1, 0, 2, 3] = np.inf
    write_hvm(path, arrays)
    recording = from_hvm(path)
    with pytest.raises(ContractError, match=r"hvm\.hdf5: responses: 1 infinite values"):
        recording.responses.values  # noqa: B018


def test_links_to_other_files_are_not_followed(tmp_path, path):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(18 * 64))
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file["images"] = np.zeros((18, 8, 8), np.uint8)
    replace(path, "images", h5py.ExternalLink("other.hdf5", "images"))
    with pytest.raises(ContractError, match="is a link to another file"):
        from_hvm(path)
    with to_edit(path) as file:
        del file["images"]
        file.create_dataset("images", (18, 8, 8), "u1", external=[(str(secret), 0, 18 * 64)])
    with pytest.raises(ContractError, match="has its values in another file"):
        from_hvm(path)


def test_files_of_other_kinds_are_refused(tmp_path):
    (tmp_path / "empty.hdf5").write_bytes(b"")
    (tmp_path / "text.hdf5").write_text("images")
    with h5py.File(tmp_path / "bare.hdf5", "w"):
        pass
    for name in ("empty.hdf5", "text.hdf5", "bare.hdf5", "absent.hdf5", ".", "a\0b"):
        with pytest.raises(BrainfitError) as error:
            from_hvm(tmp_path / name)
        assert "\n" not in str(error.value)


def test_a_truncated_file_is_refused(tmp_path, arrays, rng):
    path = tmp_path / "hvm.hdf5"
    write_hvm(path, arrays, holding=("time_averaged",))
    whole = path.read_bytes()
    for n in rng.integers(0, len(whole), 25):
        path.write_bytes(whole[:n])
        with pytest.raises(IntegrityError, match=r"hvm\.hdf5"):
            from_hvm(path)


@pytest.mark.parametrize("name", ["time_averaged_trial_averaged", "images"])
def test_a_file_that_claims_more_than_it_can_hold_is_refused(tmp_path, rng, name):
    path = tmp_path / "x.hdf5"
    write_hvm(path, hvm_arrays(rng), holding=())
    with to_edit(path) as file:
        if name in file:
            del file[name]
        shape = (18, 10**9) if name != "images" else (18, 10**9, 10**9)
        file.create_dataset(name, shape, "u1", chunks=(1, 1000, 1000)[: len(shape)])
    with pytest.raises(IntegrityError, match=r"bytes cannot hold what it says it holds: .* of shape"):
        from_hvm(path)


def test_fill_values_and_unwritten_values_are_not_responses(path, arrays):
    marked = arrays["responses"].copy()
    marked[2, 0, 1, 3] = -5
    write_hvm(path, {**arrays, "responses": marked})
    with to_edit(path) as file:
        file["time_binned/60ms/variation_level_0"].attrs["_FillValue"] = np.float32(-5)
    assert np.isnan(from_hvm(path).responses.values[2, 0, 1, 3])
    with to_edit(path) as file:
        shape = file["time_binned/60ms/variation_level_0"].shape
        del file["time_binned/60ms/variation_level_0"]
        file.create_dataset("time_binned/60ms/variation_level_0", shape, "f4", chunks=(1, 2, 3))
    with pytest.raises(ContractError, match=r"60ms/variation_level_0: .* chunks were never written"):
        from_hvm(path)
