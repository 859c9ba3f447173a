"""Recordings in MATLAB files: what is read is what MATLAB shows."""

import numpy as np
import pytest
from matlab_files import write_v73
from one_line import assert_one_line
from scipy.io import savemat

from brainfit.errors import ContractError
from data_loaders import from_arrays, from_mat
from data_loaders.layouts import layout_of, read


@pytest.fixture(autouse=True)
def _without_child(monkeypatch):
    monkeypatch.setenv("BRAINFIT_CHILD", "1")


def arrays():
    rng = np.random.default_rng(0)
    return {
        "responses": rng.normal(size=(6, 3, 4, 5)),
        "images": rng.integers(0, 256, (6, 8, 8, 3), np.uint8),
        "region": ["V4", "pIT", "pIT", "aIT"],
        "object_name": ["cat", "dog", "ship"] * 2,
        "split": ["train"] * 4 + ["test"] * 2,
        "time_bin_start": np.arange(5) * 10.0,
        "time_bin_end": np.arange(5) * 10.0 + 10,
        "response_window": np.array([10.0, 40.0]),
        "on_ms": 200,
        "off_ms": 100,
    }


def write_v5(path, **variables):
    cells = {key: np.array(v, object) if isinstance(v, list) else v for key, v in variables.items()}
    savemat(path, cells)


@pytest.mark.parametrize("write", [write_v5, write_v73])
def test_a_matlab_file_reads_as_its_arrays_do(tmp_path, write):
    write(tmp_path / "mine.mat", **arrays(), notes="mine")
    assert layout_of(tmp_path / "mine.mat") == "matlab"
    wanted = from_arrays(**arrays(), name="mine")
    for got in (from_mat(tmp_path / "mine.mat"), read(tmp_path / "mine.mat")):
        assert got.responses.identical(wanted.responses)
        assert got.stimuli.identical(wanted.stimuli)
        assert (got.response_window, got.on_ms, got.off_ms) == ((10, 40), 200, 100)
        assert got.provenance["unused"] == "notes"


@pytest.mark.parametrize("write", [write_v5, write_v73])
def test_one_region_and_one_bin_survive_what_matlab_drops(tmp_path, write):
    given = arrays()
    one = {
        "responses": given["responses"][..., 0],  # MATLAB drops a last axis of length 1
        "images": given["images"], "region": "V4", "time_bin_start": 70.0, "time_bin_end": 170.0,
    }  # fmt: skip
    write(tmp_path / "mine.mat", **one)
    got = from_mat(tmp_path / "mine.mat")
    assert dict(got.responses.sizes) == {"image": 6, "trial": 3, "unit": 4, "time_bin": 1}
    np.testing.assert_array_equal(got.responses.values[..., 0], given["responses"][..., 0])


@pytest.mark.parametrize("write", [write_v5, write_v73])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"responses": None}, "variable 'responses' is missing"),
        ({"images": None}, "variable 'images' is missing"),
        ({"Region": ["V4"] * 4}, "unknown variable 'Region'; did you mean 'region'"),
        ({"object_name": [np.ones(3), "a", "b"] * 2}, "object_name"),
        ({"region": ["VISp"] * 4}, "unknown region 'VISp'"),
    ],
)
def test_variables_that_do_not_fit_are_named_in_one_line(tmp_path, write, change, says):
    given = {key: value for key, value in {**arrays(), **change}.items() if value is not None}
    write(tmp_path / "mine.mat", **given)
    with pytest.raises(ContractError, match=says) as caught:
        from_mat(tmp_path / "mine.mat")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("write", [write_v5, write_v73])
def test_a_damaged_matlab_file_gives_a_recording_or_one_line(tmp_path, write, rng):
    path = tmp_path / "mine.mat"
    write(path, **arrays())
    whole = path.read_bytes()
    for at in rng.integers(0, len(whole), 60):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        assert_one_line(lambda: read(path))
