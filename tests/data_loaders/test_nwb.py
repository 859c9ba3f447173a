"""NWB: spikes are counted as by `numpy.histogram`, and invalid files are refused in one line."""

import os
import pickle
import sys
import time

import h5py
import numpy as np
import pytest
import xarray as xr
from nwb_file import LOCATIONS, collection, counts, intervals, write_nwb
from tiny import TinyModel

from brainfit import score
from brainfit.contracts.recording import check_recording
from brainfit.errors import BrainfitError, ContractError, IntegrityError, PluginError
from brainfit.registry.lookup import load_recording
from data_loaders import layouts
from data_loaders.arrays.recording import from_arrays
from data_loaders.files import child
from data_loaders.images.table import write_stimuli
from data_loaders.nwb.recording import from_nwb

N_IMAGES, SIZE = 6, 8
NAMES = [f"im{k}" for k in range(N_IMAGES)]
KEPT = {0: "V4", 1: "pIT", 2: "aIT", 4: "V1"}
EDGES = np.arange(0, 260, 10)


def session(rng, n_images=N_IMAGES, repeats=3, rate=40.0):
    """Return presentations of each image `repeats` times, the last once less, in random order."""
    order = rng.permutation(np.repeat(np.arange(n_images), repeats))
    order = np.delete(order, np.flatnonzero(order == n_images - 1)[0])
    onsets = np.cumsum(rng.uniform(0.3, 0.5, len(order)))
    spikes = [np.sort(rng.uniform(0, onsets[-1] + 1, int(rate * onsets[-1]))) for _ in LOCATIONS]
    pixels = {f"im{k}": rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8) for k in range(n_images)}
    return {"spikes": spikes, "onsets": onsets, "images": [f"im{k}" for k in order], "pixels": pixels}


def expected(data, units=KEPT, edges=EDGES):
    """Return image names in order of appearance, and counts (image, trial, unit, bin) with NaN if missing."""
    names = list(dict.fromkeys(data["images"]))
    most = max(data["images"].count(name) for name in names)
    values = np.full((len(names), most, len(units), len(edges) - 1), np.nan)
    for i, name in enumerate(names):
        onsets = [t for t, shown in zip(data["onsets"], data["images"], strict=True) if shown == name]
        for u, unit in enumerate(units):
            values[i, : len(onsets), u] = counts(data["spikes"][unit], onsets, edges)
    return names, values


@pytest.fixture
def data(rng):
    return session(rng)


@pytest.fixture
def path(tmp_path, data):
    write_nwb(tmp_path / "one.nwb", **data)
    return tmp_path / "one.nwb"


def test_spikes_are_counted_around_onsets(path, data):
    recording = from_nwb(path)
    check_recording(recording)
    names, values = expected(data)
    responses = recording.responses
    assert recording.name == "one"
    assert not recording.simulated
    assert responses.dtype == np.float32
    assert np.nansum(values) > 500
    np.testing.assert_array_equal(responses.values, values)
    assert responses["image_id"].values.tolist() == names
    assert responses["unit_id"].values.tolist() == [f"unit_{10 + u}" for u in KEPT]
    assert responses["region"].values.tolist() == list(KEPT.values())
    assert set(responses["animal"].values) == {"Chabo"}
    assert set(responses["array"].values) == {"array A"}
    assert responses["time_bin_start"].values.tolist() == EDGES[:-1].tolist()
    assert responses["time_bin_end"].values.tolist() == EDGES[1:].tolist()
    np.testing.assert_array_equal(recording.stimuli.values, [data["pixels"][name] for name in names])
    assert recording.provenance == {
        "source": "nwb",
        "file": "one.nwb",
        "presentations": "presentations, column image_id",
        "values": "counts of spikes in bins of 10 ms, not normalised",
        "dropped": [{"what": "units", "n": 1, "why": "electrodes in FEF"}],
    }


@pytest.mark.parametrize(("bin_ms", "window_ms"), [(20, (-40, 200)), (100, (70, 170)), (2.5, [0, 10])])
def test_bins_and_window_can_be_chosen(path, data, bin_ms, window_ms):
    edges = np.arange(window_ms[0], window_ms[1] + bin_ms / 2, bin_ms)
    recording = from_nwb(path, bin_ms=bin_ms, window_ms=window_ms)
    np.testing.assert_array_equal(recording.responses.values, expected(data, edges=edges)[1])
    assert recording.responses["time_bin_end"].values[-1] == window_ms[1]
    assert f"bins of {bin_ms:g} ms" in recording.provenance["values"]


def test_a_bin_includes_its_start_and_excludes_its_end(tmp_path, data):
    data["onsets"] = np.arange(len(data["images"])) * 1.0
    data["spikes"] = [np.array([0.0, 0.25, 1.0])] * len(LOCATIONS)  # exactly representable in binary
    write_nwb(tmp_path / "one.nwb", **data)
    recording = from_nwb(tmp_path / "one.nwb", bin_ms=125)
    first = recording.responses.sel(image=0, trial=0).isel(unit=0).values
    assert first.tolist() == [1, 0]


def test_any_selection_equals_that_of_the_whole(path, rng):
    recording = from_nwb(path)
    whole = recording.responses.values
    picks = {"image": [4, 0, 4], "trial": [2, 0], "unit": [3, 1], "time_bin": [7, 3, 20]}
    some = recording.responses.isel(picks)
    np.testing.assert_array_equal(some.values, whole[np.ix_(*picks.values())])
    rows = recording.stimuli.isel(image=[3, 1], height=slice(2, 5), channel=1)
    np.testing.assert_array_equal(rows.values, recording.stimuli.values[[3, 1], 2:5, :, 1])


def test_a_recording_can_be_pickled_and_detects_a_changed_file(path, data):
    recording = pickle.loads(pickle.dumps(from_nwb(path)))
    np.testing.assert_array_equal(recording.responses.values, expected(data)[1])
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(IntegrityError, match="has changed since it was loaded"):
        recording.responses.values  # noqa: B018


def test_a_presentation_outside_the_recording_is_not_a_trial(tmp_path, data):
    middle = float(data["onsets"][8])
    inside = [[0.0, middle + 0.1], [middle + 0.2, 1000.0]]
    observed = [[[0.0, 1000.0]], inside, *[[[0.0, 1000.0]]] * 3]
    write_nwb(tmp_path / "one.nwb", **data, observed=observed)
    names, values = expected(data)
    shown = data["images"][8]
    trial = data["images"][:9].count(shown) - 1
    values[names.index(shown), trial, 1] = np.nan
    np.testing.assert_array_equal(from_nwb(tmp_path / "one.nwb").responses.values, values)


def test_presentations_may_be_unordered_blank_or_without_a_time(tmp_path, data):
    names, values = expected(data)
    order = np.random.default_rng(2).permutation(len(data["images"]))
    shuffled = {
        **data,
        "onsets": [*data["onsets"][order], 3.0, np.nan],
        "images": [*(data["images"][k] for k in order), "", "im0"],
    }
    write_nwb(tmp_path / "one.nwb", **shuffled)
    recording = from_nwb(tmp_path / "one.nwb")
    assert recording.responses["image_id"].values.tolist() == names
    np.testing.assert_array_equal(recording.responses.values, values)
    assert recording.provenance["dropped"][:2] == [
        {"what": "presentations", "n": 1, "why": "image_id is empty or below 0"},
        {"what": "presentations", "n": 1, "why": "start_time is not finite"},
    ]


def test_labels_of_images_are_read_from_the_table(tmp_path, data):
    number = [int(name[2:]) for name in data["images"]]
    columns = {
        "object_name": [f"object {k % 2}" for k in number],
        "category_name": [f"category {k % 3}" for k in number],
        "variation": [3 * (k % 3) for k in number],
    }
    write_nwb(tmp_path / "one.nwb", **data, columns=columns)
    responses = from_nwb(tmp_path / "one.nwb").responses
    for name, values in columns.items():
        wanted = dict(zip(data["images"], values, strict=True))
        assert responses[name].values.tolist() == [wanted[k] for k in responses["image_id"].values]
    columns["object_name"][-1] = "another"
    write_nwb(tmp_path / "one.nwb", **data, columns=columns)
    with pytest.raises(ContractError, match=r"object_name of one image is .* and later 'another'"):
        from_nwb(tmp_path / "one.nwb")


@pytest.mark.parametrize("stored", ["series", "ordered"])
def test_images_may_be_named_by_numbers(tmp_path, data, stored):
    names, values = expected(data)
    data["images"] = [int(name[2:]) for name in data["images"]] + [-1]
    data["onsets"] = [*data["onsets"], 2.0]
    pixels = data.pop("pixels")
    if stored == "series":
        stack = np.array([pixels[name][..., 0] for name in NAMES])  # gray
        pixels = {name: np.repeat(pixels[name][..., :1], 3, -1) for name in NAMES}
        write_nwb(tmp_path / "one.nwb", **data, id_column="image_index", template="series", pixels=stack)
    else:
        write_nwb(
            tmp_path / "one.nwb", **data, id_column="frame",
            change=lambda nwb: nwb.add_stimulus_template(collection("pictures", pixels, ordered=True)),
        )  # fmt: skip
    recording = from_nwb(tmp_path / "one.nwb")
    assert recording.responses["image_id"].values.tolist() == [name[2:] for name in names]
    np.testing.assert_array_equal(recording.responses.values, values)
    np.testing.assert_array_equal(recording.stimuli.values, [pixels[name] for name in names])
    assert recording.provenance["dropped"][0]["n"] == 1


def test_gray_and_float_images_are_read(tmp_path, data):
    data["pixels"] = {name: image[..., 0] / np.float32(255) for name, image in data["pixels"].items()}
    write_nwb(tmp_path / "one.nwb", **data)
    stimuli = from_nwb(tmp_path / "one.nwb").stimuli
    assert stimuli.dtype == np.float32
    names, _ = expected(data)
    np.testing.assert_array_equal(stimuli.values[..., 2], [data["pixels"][name] for name in names])


def stimulus_files(folder, pixels):
    array = xr.DataArray(np.array(list(pixels.values())), dims=("image", "height", "width", "channel"))
    columns = {
        "image_id": np.array(list(pixels)),
        "object_name": np.array([f"object {k % 2}" for k in range(len(pixels))]),
        "region": np.array(["no label of ours"] * len(pixels)),
        "s": np.linspace(0, 1, len(pixels)),
    }
    write_stimuli(array, columns, folder / "stimuli.csv", folder / "stimuli.zip")


def test_images_are_read_from_a_table_and_a_zip(tmp_path, data):
    pixels = data.pop("pixels")
    stimulus_files(tmp_path, pixels)
    write_nwb(tmp_path / "one.nwb", **data)
    with pytest.raises(ContractError, match="holds no images"):
        from_nwb(tmp_path / "one.nwb")
    with pytest.raises(ContractError, match="go together"):
        from_nwb(tmp_path / "one.nwb", stimuli=tmp_path / "stimuli.csv")
    recording = from_nwb(
        tmp_path / "one.nwb", stimuli=tmp_path / "stimuli.csv", images=tmp_path / "stimuli.zip"
    )
    names, values = expected(data)
    np.testing.assert_array_equal(recording.responses.values, values)
    np.testing.assert_array_equal(recording.stimuli.values, [pixels[name] for name in names])
    at = [NAMES.index(name) for name in names]
    assert recording.responses["object_name"].values.tolist() == [f"object {k % 2}" for k in at]
    np.testing.assert_allclose(recording.responses["s"].values, np.linspace(0, 1, N_IMAGES)[at])
    assert recording.responses["region"].values.tolist() == list(KEPT.values())


def test_images_are_read_from_files_named_by_the_table(tmp_path, data):
    from PIL import Image

    (tmp_path / "shown").mkdir()
    for name, image in data["pixels"].items():
        Image.fromarray(image).save(tmp_path / "shown" / f"{name}.png")
    pixels = data.pop("pixels")
    columns = {"image_file": [f"shown/{name}.png" for name in data["images"]]}
    write_nwb(tmp_path / "one.nwb", **data, columns=columns)
    recording = from_nwb(tmp_path / "one.nwb")
    np.testing.assert_array_equal(recording.stimuli.values, [pixels[name] for name in expected(data)[0]])


def test_one_of_several_tables_of_presentations_is_chosen_by_name(tmp_path, data):
    def more(nwb):
        nwb.add_time_intervals(intervals("eye", data["onsets"][:2], {"pupil": [1.0, 2.0]}))
        nwb.add_time_intervals(intervals("again", data["onsets"][:6], {"stimulus_name": data["images"][:6]}))

    path = tmp_path / "one.nwb"
    write_nwb(path, **data, change=more)
    with pytest.raises(
        ContractError, match=r"choose one with --presentations NAME \(presentations='NAME' in Python\)"
    ) as error:
        from_nwb(path)
    assert "'presentations', 'again'" in str(error.value) or "'again', 'presentations'" in str(error.value)
    assert "eye" not in str(error.value)
    chosen = from_nwb(path, presentations="again")
    some = {**data, "onsets": data["onsets"][:6], "images": data["images"][:6]}
    np.testing.assert_array_equal(chosen.responses.values, expected(some)[1])
    assert chosen.provenance["presentations"] == "again, column stimulus_name"
    for absent in ("eye", "none"):
        with pytest.raises(ContractError, match=f"no table of presentations '{absent}'"):
            from_nwb(path, presentations=absent)

    def trials(nwb):
        nwb.add_trial_column("image_id", "shown")
        for onset, name in zip(data["onsets"], data["images"], strict=True):
            nwb.add_trial(start_time=onset, stop_time=onset + 0.1, image_id=name)

    write_nwb(path, **{**data, "images": None}, change=trials)
    np.testing.assert_array_equal(from_nwb(path).responses.values, expected(data)[1])


def test_every_way_of_loading_can_choose_a_table_by_name(tmp_path, data):
    """The Allen Institute writes one table per stimulus, each with a column of frames as floats."""
    frames = [float(name[2:]) for name in data["images"]]

    def more(nwb):
        nwb.add_time_intervals(intervals("gratings", data["onsets"][:4], {"frame": [0.0, 1.0, -1.0, np.nan]}))

    path = tmp_path / "one.nwb"
    series = {**data, "images": frames, "pixels": np.stack([data["pixels"][f"im{k}"] for k in range(6)])}
    write_nwb(path, **series, id_column="frame", template="series", change=more)
    for load in (from_nwb, layouts.read, load_recording):
        with pytest.raises(ContractError, match=r"'gratings'.*choose one with --presentations NAME"):
            load(path)
        recording = load(path, presentations="presentations")
        ids = recording.responses["image_id"].values.tolist()
        assert ids == list(dict.fromkeys(str(int(frame)) for frame in frames))
        assert load(path, presentations="gratings").responses.sizes["image"] == 2
    np.testing.assert_array_equal(recording.responses.values, expected(data)[1])


def test_one_image_shown_far_more_often_than_the_others_is_refused(tmp_path):
    n = 3000
    images = [f"im{k}" if k < n // 2 else "im0" for k in range(n)]
    pixels = {f"im{k}": np.zeros((2, 2), np.uint8) for k in range(n // 2)}
    write_nwb(
        tmp_path / "one.nwb", spikes=[[0.5]] * 5, onsets=np.arange(float(n)), images=images, pixels=pixels
    )
    with pytest.raises(ContractError, match="was shown 1501 times, and 1500 images 3000 times"):
        from_nwb(tmp_path / "one.nwb")


def test_units_with_electrodes_in_several_regions_or_none_are_dropped(tmp_path, data):
    write_nwb(
        tmp_path / "one.nwb", **data, locations=("V4", " v4 ", "cIT", "IT"),
        electrodes=[[0, 1], [2], [0, 2], [3], []],
    )  # fmt: skip
    recording = from_nwb(tmp_path / "one.nwb")
    assert recording.responses["region"].values.tolist() == ["V4", "cIT", "IT"]
    np.testing.assert_array_equal(recording.responses.values, expected(data, units=[0, 1, 3])[1])
    assert recording.provenance["dropped"] == [
        {"what": "units", "n": 1, "why": "electrodes in V4 and cIT"},
        {"what": "units", "n": 1, "why": "no electrodes"},
    ]


def test_a_score_equals_that_of_the_same_arrays(tmp_path, rng):
    data = session(rng, n_images=16, repeats=4)
    columns = {"object_name": [f"o{int(name[2:]) % 2}" for name in data["images"]]}
    write_nwb(tmp_path / "one.nwb", **data, columns=columns)
    options = {"bin_ms": 50, "window_ms": (0, 250)}
    names, values = expected(data, edges=np.arange(0, 300, 50))
    same = from_arrays(
        values.astype(np.float32),
        np.array([data["pixels"][name] for name in names]),
        name="one",
        image_id=names,
        object_name=[f"o{int(name[2:]) % 2}" for name in names],
        unit_id=[f"unit_{10 + u}" for u in KEPT],
        region=list(KEPT.values()),
        animal="Chabo",
        array="array A",
        time_bin_start=np.arange(0, 250, 50),
        time_bin_end=np.arange(50, 300, 50),
    )
    ours = score(TinyModel(), from_nwb(tmp_path / "one.nwb", **options), region="V4", layer="small")
    theirs = score(TinyModel(), same, region="V4", layer="small")
    assert np.isfinite(ours.data["spearman"].values).any()
    assert ours.data.identical(theirs.data)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"bin_ms": 0}, "bin_ms is a number"),
        ({"bin_ms": "wide"}, "bin_ms is a number"),
        ({"bin_ms": float("nan")}, "bin_ms is a number"),
        ({"bin_ms": 30}, "no whole number of bins"),
        ({"window_ms": (100, 0)}, "no whole number of bins"),
        ({"window_ms": (0, 0)}, "no whole number of bins"),
        ({"window_ms": (0, float("inf"))}, "window_ms is a number"),
        ({"window_ms": 250}, "window_ms is a start and an end"),
    ],
)
def test_impossible_bins_are_refused(path, options, says):
    with pytest.raises(ContractError, match=says):
        from_nwb(path, **options)


def without(name):
    def change(data, options):
        options["change_file"] = lambda file: file.__delitem__(name)

    return change


def put(**change):
    return lambda data, options: data.update(change)


def option(**change):
    return lambda data, options: options.update(change)


def rows(name, value):
    def change(data, options):
        def edit(file):
            file[name][...] = value

        options["change_file"] = edit

    return change


def lose_an_image(data, options):
    del data["pixels"][data["images"][0]]


def one_size_too_many(data, options):
    data["pixels"]["im0"] = np.zeros((4, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (put(images=None), "no table of presentations: wanted intervals with a column image_id"),
        (put(spikes=[]), "no table of units with spike_times"),
        (option(locations=["LGN"] * 5), "no unit is in a known region: electrodes in LGN"),
        (option(id_column="picture"), "no table of presentations"),
        (option(id_column="image_index"), "states no order"),
        (put(onsets=np.full(17, np.nan)), "no presentation of an image"),
        (put(pixels=None), "holds no images"),
        (lose_an_image, "lack 1 of 6 images that were shown"),
        (one_size_too_many, "images differ in size or type: 4 × 4 uint8, 8 × 8 uint8"),
        (without("units/electrodes"), r"one\.nwb"),
        (without("units/spike_times"), r"one\.nwb"),
        (without("units/spike_times_index"), "spike_times"),
        (without("intervals/presentations/start_time"), "start_time"),
        (without("general/extracellular_ephys/electrodes/location"), "location"),
        (rows("units/electrodes", 99), "refer to electrodes up to 99; there are 5"),
        (rows("units/spike_times_index", [1, 2, 3, 4, 60000]), "goes up to 60000"),
        (rows("units/spike_times_index", [3, 2, 3, 4, 5]), "increasing"),
        (rows("units/spike_times", np.nan), "hold NaN"),
        (rows("units/id", 7), "must be unique"),
    ],
)  # fmt: skip
def test_each_violation_is_named_in_one_line(tmp_path, data, change, says):
    options = {}
    change(data, options)
    change_file = options.pop("change_file", None)
    if options.get("id_column") == "image_index":  # ids are numbers, but the images have names
        data["images"] = [int(name[2:]) for name in data["images"]]
    path = tmp_path / "one.nwb"
    write_nwb(path, **data, **options)
    if change_file:
        with h5py.File(path, "a") as file:
            change_file(file)
    with pytest.raises(BrainfitError, match=says) as error:
        from_nwb(path).responses.values  # noqa: B018
    assert "\n" not in str(error.value)
    assert "one.nwb" in str(error.value) or "'one'" in str(error.value)


@pytest.mark.parametrize(
    ("pixels", "says"),
    [
        (np.zeros((3, SIZE, SIZE), np.uint8), "image 5 was shown, but 'pictures' has 3 images"),
        (np.zeros((6, SIZE, SIZE, 4), np.uint8), "wanted .height, width. or"),
        (np.zeros((6, SIZE, SIZE), np.int32), "int32"),
        (np.zeros((6, SIZE, SIZE + 1), np.uint8), "square"),
    ],
)
def test_image_series_that_do_not_match_are_refused(tmp_path, data, pixels, says):
    data["images"] = [int(name[2:]) for name in data["images"]]
    write_nwb(
        tmp_path / "one.nwb", **{**data, "pixels": pixels}, id_column="stimulus_index", template="series"
    )
    with pytest.raises(ContractError, match=says):
        from_nwb(tmp_path / "one.nwb")


def test_ambiguous_image_numbers_and_names_are_refused(tmp_path, data):
    def more(nwb):
        nwb.add_stimulus_template(collection("others", data["pixels"]))

    path = tmp_path / "one.nwb"
    write_nwb(path, **data, change=more)
    with pytest.raises(ContractError, match="in two collections"):
        from_nwb(path)
    data["images"] = [int(name[2:]) for name in data["images"]]
    write_nwb(path, **data, change=more)
    with pytest.raises(ContractError, match="may be rows of any of"):
        from_nwb(path)


def test_without_pynwb_the_error_says_how_to_install_it(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynwb", None)
    with pytest.raises(PluginError, match=r'needs pynwb: pip install "brainfit\[nwb\]"'):
        from_nwb(path)


def test_files_of_other_kinds_are_refused(tmp_path):
    (tmp_path / "empty.nwb").write_bytes(b"")
    (tmp_path / "text.nwb").write_text("units")
    with h5py.File(tmp_path / "bare.nwb", "w") as file:
        file["images"] = np.arange(3)
    for name in ("empty.nwb", "text.nwb", "bare.nwb", "absent.nwb", "."):
        with pytest.raises(IntegrityError) as error:
            from_nwb(tmp_path / name)
        assert "\n" not in str(error.value)


def test_another_process_reads_the_same_values(path, monkeypatch):
    here = from_nwb(path)
    monkeypatch.delenv("BRAINFIT_CHILD")
    there = from_nwb(path)
    assert there.responses.identical(here.responses)
    assert there.stimuli.identical(here.stimuli)
    assert there.provenance == here.provenance
    with pytest.raises(ContractError, match=r"one\.nwb: there is no table of presentations 'eye'"):
        from_nwb(path, presentations="eye")


def test_a_reader_that_crashes_hangs_or_prints_is_contained(tmp_path, monkeypatch, isolated_readers):
    path = tmp_path / "one.nwb"
    with pytest.raises(
        IntegrityError, match=r"one\.nwb crashed the HDF5 library \(signal 6\): the file is damaged"
    ):
        child.in_child(path, os.abort)
    monkeypatch.setattr(child, "_SECONDS", 0.5)
    with pytest.raises(IntegrityError, match=r"one\.nwb did not end within 0\.5 s"):
        child.in_child(path, time.sleep, 60)
    monkeypatch.setattr(child, "_SECONDS", 60)
    child.in_child(path, print, "no answer")
    assert child.in_child(path, divmod, 7, 2) == (3, 1)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        child.in_child(path, divmod, 7, 0)
