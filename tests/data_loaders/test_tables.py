"""Recordings from tables of spikes and of responses: counted and arranged exactly, or refused in one line."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_line import assert_one_line
from PIL import Image

from brainfit.errors import ContractError
from data_loaders import from_arrays, from_spikes, from_table, from_xarray


@pytest.fixture(autouse=True)
def _without_child(monkeypatch):
    monkeypatch.setenv("BRAINFIT_CHILD", "1")


IDS = ["a", "b", "c"]
PIXELS = np.arange(3 * 64, dtype=np.uint8).reshape(3, 8, 8)
SHOWN = {"image_id": ["b", "a", "c", "a"], "onset": [1.0, 2.0, 3.0, 4.0], "object_name": ["y", "x", "z", "x"]}
SPIKES = {
    "unit_id": [7, 7, 9, 7, 9], "time": [1.0, 1.0099, 2.01, 4.2499, 4.25],
    "region": ["V4", "V4", "IT", "V4", "IT"],
}  # fmt: skip


def spikes_recording(spikes=None, shown=None, **more):
    options = {"image_id": IDS, "time_unit": "s", **more}
    tables = (SPIKES if spikes is None else spikes, SHOWN if shown is None else shown)
    return from_spikes(*tables, options.pop("images", PIXELS), **options)


def test_spikes_are_counted_in_the_bins_that_contain_them():
    counts = spikes_recording().responses
    assert counts.sizes == {"image": 3, "trial": 2, "unit": 2, "time_bin": 25}
    wanted = np.zeros((3, 2, 2, 25))
    wanted[1, 0, 0, 0] = 2
    wanted[0, 0, 1, 1] = 1  # on the edge of a bin
    wanted[0, 1, 0, 24] = 1  # 4.25 is the end of the last bin, so it is outside
    wanted[1:, 1] = np.nan
    np.testing.assert_array_equal(counts.values, wanted)
    assert counts["image_id"].values.tolist() == IDS
    assert counts["object_name"].values.tolist() == ["x", "y", "z"]
    assert counts["region"].values.tolist() == ["V4", "IT"]


@settings(max_examples=30, deadline=None)
@given(
    ms=st.lists(st.integers(-50, 400), max_size=40),
    onset=st.integers(0, 10**7),
    unit=st.sampled_from(["s", "ms"]),
)
def test_every_whole_millisecond_falls_into_its_own_bin_at_any_onset(ms, onset, unit):
    factor = 1e-3 if unit == "s" else 1.0
    times = (onset + np.array([*ms, -50])) * factor
    counts = from_spikes(
        {"unit_id": ["u"] * len(times), "time": times}, {"image_id": ["a"], "onset": [onset * factor]},
        PIXELS[:1], image_id=["a"], time_unit=unit, region="V4", bin_ms=1,
    ).responses.values[0, 0, 0]  # fmt: skip
    np.testing.assert_array_equal(counts, np.bincount([t for t in ms if 0 <= t < 250], minlength=250)[:250])


def test_units_see_only_the_presentations_of_their_own_session():
    spikes = {"unit_id": [1, 1], "session": ["s1", "s2"], "time": [1.001, 2.001], "animal": "m"}
    shown = {"image_id": ["a", "a", "a"], "onset": [1.0, 2.0, 3.0], "session": ["s1", "s2", "s2"]}
    got = from_spikes(spikes, shown, PIXELS[:1], image_id=["a"], time_unit="s", region="IT").responses
    assert got["unit_id"].values.tolist() == ["s1_1", "s2_1"]
    np.testing.assert_array_equal(got.values[0, :, :, 0], [[1, 1], [np.nan, 0]])


def test_a_unit_without_spikes_is_known_from_the_table_of_units():
    units = {"unit_id": [7, 8, 9], "region": ["V4", "V4", "IT"], "animal": ["m"] * 3}
    got = spikes_recording({k: SPIKES[k] for k in ("unit_id", "time")}, units=units).responses
    assert got["unit_id"].values.tolist() == ["7", "8", "9"]
    assert np.nansum(got.values[:, :, 1]) == 0


@pytest.mark.parametrize("kind", ["frame", "csv", "parquet"])
@pytest.mark.parametrize("images", ["folder", "csv", "array"])
def test_tables_and_images_are_read_from_files_too(tmp_path, kind, images):
    tables = {"spikes": pd.DataFrame(SPIKES), "shown": pd.DataFrame(SHOWN)}
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    for key, table in tables.items():
        if kind != "frame":
            path = tmp_path / f"{key}.{kind}"
            table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
            tables[key] = path
    for name, image in zip(IDS, PIXELS, strict=True):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    (tmp_path / "images.csv").write_text("image_id,image_file\nc,c.png\na,a.png\nb,b.png\n")
    place = {"folder": tmp_path, "csv": tmp_path / "images.csv", "array": PIXELS}[images]
    got = spikes_recording(
        tables["spikes"], tables["shown"], images=place, image_id=IDS if images == "array" else None
    )
    assert got.responses.equals(spikes_recording().responses)
    np.testing.assert_array_equal(got.stimuli.values[..., 0], PIXELS)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"time_unit": "us"}, "time_unit is 's' or 'ms'"),
        ({"spikes": {"unit_id": [1]}}, "spikes has no column time; it has unit_id"),
        ({"spikes": {"unit_id": [1], "time": ["1.0"]}}, "column time is .*; wanted numbers"),
        ({"spikes": {"unit_id": [1], "time": [np.nan]}}, "column time has 1 values that are inf"),
        ({"spikes": {"unit_id": [None, 2], "time": [1, 2]}}, "column unit_id has 1 empty entries"),
        ({"spikes": {"unit_id": [1], "time": [1.0]}}, "region is missing"),
        ({"region": "V4"}, "region is a column of the units already"),
        ({"shown": {"image_id": ["a"]}}, "presentations has no column onset"),
        ({"shown": {**SHOWN, "object_name": ["y", "x", "z", "w"]}}, "one image is 'x' and in row 3"),
        ({"shown": {**SHOWN, "session": ["s", "s", "t", "t"]}}, "spikes has no column session; add it"),
        ({"image_id": None}, "give image_id with an array of images"),
        ({"image_id": ["a", "b", "x"]}, "image_id lacks 1 of 3 images .* 'c'"),
        ({"units": {"unit_id": [7]}}, "units lacks '9', which has spikes"),
        ({"bin_ms": 7}, "no whole number of bins"),
        ({"bin_ms": 1 / 3}, "no whole number of bins"),
        ({"spikes": 7}, "wanted a pandas.DataFrame"),
        ({"spikes": {"unit_id": [], "time": []}}, "spikes has no rows"),
    ],
)  # fmt: skip
def test_tables_of_spikes_that_do_not_fit_are_refused_in_one_line(change, says):
    with pytest.raises(ContractError, match=says) as caught:
        spikes_recording(**change)
    assert "\n" not in str(caught.value)


def long_table(recording):
    """Return a recording as a table with one row a response, in any order."""
    array = recording.responses
    frame = array.rename("response").to_dataframe().reset_index().drop(columns=["image", "unit", "time_bin"])
    return frame.dropna(subset="response").sample(frac=1, random_state=0)


def small(**more):
    rng = np.random.default_rng(0)
    given = {
        "responses": rng.normal(size=(3, 2, 4, 5)), "images": PIXELS, "image_id": IDS,
        "region": ["V4", "V4", "IT", "IT"], "animal": ["m", "n", "m", "n"], "unit_id": ["1", "1", "2", "2"],
        "object_name": ["x", "y", "z"], "split": ["train", "train", "test"],
        "time_bin_start": np.arange(5) * 10.0, "time_bin_end": np.arange(5) * 10.0 + 10,
    }  # fmt: skip
    given["responses"][0, 1] = np.nan
    return from_arrays(**{**given, **more})


def test_a_table_of_responses_gives_the_recording_that_it_was_made_of():
    recording = small()
    frame = long_table(recording)
    frame["unit_id"] = frame["unit_id"].str.removeprefix("m_").str.removeprefix("n_")
    got = from_table(frame, PIXELS, image_id=IDS, time_unit="ms").responses
    assert set(got["unit_id"].values) == {"m_1", "m_2", "n_1", "n_2"}
    order = [got["unit_id"].values.tolist().index(name) for name in recording.responses["unit_id"].values]
    np.testing.assert_array_equal(got.values[:, :, order], recording.responses.values)
    for name in ("region", "animal", "object_name", "split", "time_bin_start", "time_bin_end"):
        values = got[name].values[order] if name in ("region", "animal") else got[name].values
        assert values.tolist() == recording.responses[name].values.tolist()


def test_trials_may_be_numbered_through_a_session():
    table = {
        "image_id": ["a", "b", "a", "b"], "trial": [10, 11, 12, 13], "unit_id": "u",
        "response": [1.0, 2, 3, 4], "time_bin_start": 0, "time_bin_end": 100,
    }  # fmt: skip
    got = from_table(table, PIXELS[:2], image_id=["a", "b"], time_unit="ms", region="V4").responses
    np.testing.assert_array_equal(got.values[:, :, 0, 0], [[1, 3], [2, 4]])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"response": "x"}, "column response is .*; wanted numbers"),
        ({"response": np.inf}, "column response has 4 values that are infinite"),
        ({"trial": None}, "2 responses twice, .* give a column trial where images repeat"),
        ({"trial": [1, 1, 1, 1]}, "2 responses twice, .* wanted one row for each"),
        ({"time_bin_end": None}, "table has no column time_bin_end"),
        ({"region": ["V4", "IT", "V4", "V4"]}, "region of one unit is 'V4' and in row 1 'IT'"),
        ({"time_bin_end": 0}, "end after they start"),
    ],
)
def test_tables_of_responses_that_do_not_fit_are_refused_in_one_line(change, says):
    table = {
        "image_id": ["a", "b", "a", "b"], "trial": [1, 1, 2, 2], "unit_id": "u", "response": 1.0,
        "region": "V4", "time_bin_start": 0, "time_bin_end": 100,
    }  # fmt: skip
    table = {key: value for key, value in {**table, **change}.items() if value is not None}
    with pytest.raises(ContractError, match=says) as caught:
        from_table(table, PIXELS[:2], image_id=["a", "b"], time_unit="ms")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_damaged_table_gives_a_recording_or_one_line(tmp_path, kind, rng):
    frame = long_table(small()).drop(columns="split")
    path = tmp_path / f"t.{kind}"
    if kind == "parquet":
        pytest.importorskip("pyarrow")
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    whole = path.read_bytes()
    for at in rng.integers(0, len(whole), 60):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << rng.integers(8))]) + whole[at + 1 :])
        assert_one_line(lambda: from_table(path, PIXELS, image_id=IDS, time_unit="ms"))


def test_a_dataset_is_read_by_names_in_any_order():
    recording = small()
    array = recording.responses.assign_coords(depth=("unit", [0.1, 0.2, 0.3, 0.4]))
    dataset = array.transpose("time_bin", "unit", "image", "trial").to_dataset(name="responses")
    dataset["images"] = recording.stimuli.transpose("channel", "height", "width", "image").drop_vars("split")
    got = from_xarray(dataset.assign_attrs(on_ms=100, off_ms=100))
    assert got.responses.equals(array)
    assert got.stimuli.equals(recording.stimuli)
    assert (got.on_ms, got.off_ms) == (100, 100)
    for change, says in (
        (dataset.drop_vars("responses"), "no variable 'responses'"),
        (dataset.drop_vars("images"), "no variable 'images'"),
        (dataset.rename_dims(unit="neuron"), "the dims of responses"),
        (7, "wanted an xarray.Dataset"),
    ):
        with pytest.raises(ContractError, match=says):
            from_xarray(change)  # pyright: ignore[reportArgumentType]
