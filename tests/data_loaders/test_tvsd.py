"""TVSD: channels, bins, days and images are those that were written, and wrong variants are refused."""

import numpy as np
import pytest
from one_line import assert_one_line
from tvsd_files import N_REPEATS, N_TEST, N_TRAIN, trial_rows, write_tvsd

from brainfit.errors import BrainfitError
from data_loaders.tvsd import from_tvsd

BORDERS = {"N": {"V1": (0, 512), "V4": (512, 768), "IT": (768, 1024)},
           "F": {"V1": (0, 512), "IT": (512, 832), "V4": (832, 1024)}}  # fmt: skip


@pytest.fixture(autouse=True)
def _without_child(monkeypatch):
    monkeypatch.setenv("BRAINFIT_CHILD", "1")


def load(path, **options):
    options = {"monkey": "N", "window_ms": (0, 40), "normalize": "none", **options}
    return from_tvsd(path, path.parent / "images", **options)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("correct", [True, False])
@pytest.mark.parametrize("monkey", ["N", "F"])
def test_units_bins_trials_and_images_are_those_that_were_written(tmp_path, rng, dtype, correct, monkey):
    rows = trial_rows(rng, correct)
    path, mapped = write_tvsd(tmp_path, rng, rows=rows, dtype=dtype)
    binned = mapped[..., 5:].reshape(*mapped.shape[:2], 4, 10).mean(-1)  # samples start at -5 ms
    train, test = rows[1].astype(int), rows[2].astype(int)
    for region, (first, last) in BORDERS[monkey].items():
        got = load(path, monkey=monkey, region=region).responses
        assert set(got["region"].values) == {region}
        assert got["unit_id"].values.tolist() == [f"{monkey}_{u:04d}" for u in range(first, last)]
        assert got.sizes["image"] == N_TRAIN + N_TEST
        assert got.sizes["trial"] == N_REPEATS
        values = got.values
        for image, (name, split) in enumerate(zip(got["image_id"].values, got["split"].values, strict=True)):
            number = int(name[-2:]) + 1
            trials = np.flatnonzero((train if split == "train" else test) == number)
            np.testing.assert_allclose(
                values[image, : len(trials)], binned[trials, first:last], rtol=1e-5, atol=1e-6
            )
            assert np.isnan(values[image, len(trials) :]).all()
        assert got["time_bin_start"].values.tolist() == [0, 10, 20, 30]


def test_split_presentation_and_single_training_trials_are_carried(tmp_path, rng):
    recording = load(write_tvsd(tmp_path, rng)[0], region="V4")
    assert (recording.on_ms, recording.off_ms) == (200, 200)
    n_trials = np.isfinite(recording.responses.values).all(axis=(2, 3)).sum(axis=1)
    assert n_trials[recording.responses["split"].values == "train"].tolist() == [1] * N_TRAIN
    assert n_trials[recording.responses["split"].values == "test"].tolist() == [N_REPEATS] * N_TEST
    assert set(recording.responses["object_name"].values) == {"tr0", "tr1", "tr2", "te0"}


@pytest.mark.parametrize("by", ["train", "test"])
def test_each_day_is_normalised_by_its_own_trials_of_one_kind(tmp_path, rng, by):
    rows = trial_rows(rng)
    path, _ = write_tvsd(tmp_path, rng, rows=rows)
    plain = load(path, region="IT").responses.values
    got = load(path, region="IT", normalize=by)
    assert ("test responses reach" in got.provenance["normalized"]) == (by == "test")
    table = got.responses.values
    reference = (rows[1] if by == "train" else rows[2]) > 0
    assert not np.allclose(table, plain, equal_nan=True)
    # Trials of a day and kind have mean 0 and sd 1, whatever they were before.
    order = {name: k for k, name in enumerate(got.responses["image_id"].values.tolist())}
    seen, day_values = {}, {1: [], 2: []}
    for trial in range(rows.shape[1]):
        kind, number = ("tr", rows[1, trial]) if rows[1, trial] else ("te", rows[2, trial])
        name = f"{kind}{int(number - 1) // 4}_{int(number - 1):02d}"
        k = seen[name] = seen.get(name, -1) + 1
        if reference[trial]:
            day_values[int(rows[-1, trial])].append(table[order[name], k])
    for values in day_values.values():
        np.testing.assert_allclose(np.mean(values, axis=(0, 2)), 0, atol=1e-5)
        np.testing.assert_allclose(np.std(values, axis=(0, 2)), 1, atol=1e-5)


def swapped_three(rng):
    mapping = np.arange(1, 1025)
    mapping[:3] = [2, 3, 1]
    return mapping


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"mapping": swapped_three(None)}, "mapping is not its own inverse"),
        ({"mapping": np.ones(1024, int)}, "wanted each number from 1 to 1024 once"),
        ({"rows": np.ones((5, 24))}, r"ALLMAT has shape \(5, 24\); wanted 6 or 7"),
        ({"rows": np.ones((7, 24))}, "trial 0 of ALLMAT has train_idx 1 and test_idx 1"),
        ({"rows": "day"}, "cannot be days"),
        ({"rows": "listed"}, "train_idx goes up to 99, but .* lists 12"),
        ({"rows": "untrained"}, "day 3 has 0 train trials to normalise"),
        ({"responses": np.zeros((45, 24, 1000), "f4")}, "wanted floats of shape"),
        ({"responses": np.zeros((45, 24, 1024), "i4")}, "wanted floats of shape"),
    ],
)
def test_files_in_another_form_are_refused_in_one_line(tmp_path, rng, options, says):
    if isinstance(options.get("rows"), str):
        rows, kind = trial_rows(rng), options["rows"]
        test = int(np.flatnonzero(rows[2] > 0)[0])
        if kind == "day":
            rows[-1] = 0
        elif kind == "listed":
            rows[1, np.flatnonzero(rows[1] > 0)[0]] = 99
        else:
            rows[-1, test] = 3
        options = {"rows": rows}
    path = write_tvsd(tmp_path, rng, **options)[0]  # pyright: ignore[reportArgumentType]
    with pytest.raises(BrainfitError, match=says) as caught:
        load(path, region="IT", normalize="train")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("lost", ["_logs/things_imgs.mat", "_logs/1024chns_mapping_20220105.mat", "image"])
def test_a_file_that_is_missing_is_named(tmp_path, rng, lost):
    path, _ = write_tvsd(tmp_path, rng)
    target = tmp_path / lost if lost != "image" else next((tmp_path / "images" / "te0").iterdir())
    target.unlink()
    with pytest.raises(BrainfitError, match=target.name):
        load(path, region="IT")


@pytest.mark.parametrize("window", [(0, 45), (-10, 30), (0, 50), (30, 0)])
def test_windows_beyond_the_samples_or_of_no_whole_bins_are_refused(tmp_path, rng, window):
    path, _ = write_tvsd(tmp_path, rng)
    with pytest.raises(BrainfitError, match="wanted a whole number of bins"):
        load(path, region="IT", window_ms=window)


def test_damaged_files_give_a_recording_or_one_line(tmp_path, rng):
    write_tvsd(tmp_path, rng)
    for name in ("_logs/things_imgs.mat", "_logs/1024chns_mapping_20220105.mat"):
        whole = (tmp_path / name).read_bytes()
        for at in rng.integers(0, len(whole), 30):
            (tmp_path / name).write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
            assert_one_line(lambda: load(tmp_path / "THINGS_MUA_trials.mat", region="IT"))
        (tmp_path / name).write_bytes(whole)
