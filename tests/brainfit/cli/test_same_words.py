"""`check`, `data info` and `score` answer the same question in the same words."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import TinyModel, tiny_recording
from typer.testing import CliRunner

import brainfit
from brainfit.cli.app import app
from brainfit.errors import ContractError
from brainfit.execution import Execution
from brainfit.registry import lookup
from brainfit.scoring.preview import preview_recording

N = 32
SECONDS = {"time_bin_start": np.arange(25) * 0.01, "time_bin_end": np.arange(1, 26) * 0.01}


def arrays(**change: Any) -> dict[str, Any]:
    """Return the arrays of a small .npz recording; a change is a value, or a function of the old one."""
    tiny = tiny_recording(n_images=N, n_units=4)
    given = {
        "responses": tiny.responses.values,
        "images": tiny.stimuli.values,
        "region": np.array(["V4"] * 4),
        "object_name": np.repeat([f"o{k}" for k in range(8)], 4),
    }
    return given | {key: value(given[key]) if callable(value) else value for key, value in change.items()}


def few(values):
    return values[:12]


def one_trial_an_image(responses):
    return np.where(np.arange(4)[:, None, None] > 0, np.nan, responses)


def two_pictures_twice(images):
    return np.concatenate([images[:2], images[2:4], images[2:4], images[6:]])


REFUSED = {
    "times in seconds": (SECONDS, "are they in ms from image onset"),
    "split of training images only": ({"split": np.array(["train"] * N)}, "32 training and 0 test images"),
    "window outside the bins": ({"response_window": [700, 2000]}, "holds none of the time bins"),
    "12 images": (dict.fromkeys(("responses", "images", "object_name"), few), "3 test images"),
    "one picture": ({"images": np.zeros_like}, "of which 1 are different pictures"),
    "averaged": ({"responses": lambda values: values.mean(axis=1)}, "no single trials"),
    "one trial": ({"responses": lambda values: values[:, :1]}, "has one trial"),
    "one trial an image": ({"responses": one_trial_an_image}, "no image with two trials"),
    "constant": ({"responses": np.ones_like}, "no unit responds at all"),
    "durations": ({"on_ms": 105, "off_ms": 145}, "must be whole numbers of step_ms=10"),
}
NOTICED = {
    "noise": ({"responses": np.random.default_rng(0).normal(size=(N, 4, 4, 25))}, "Do not read this score"),
    "equal pictures": ({"images": two_pictures_twice}, "Images that show the same picture"),
    "equal pictures in both parts": (
        {"images": two_pictures_twice, "split": np.array((["train"] * 4 + ["test"] * 4) * 4)},
        "The same pictures in training and test",
    ),
    "near-duplicates": (
        {
            "images": lambda images: np.concatenate([images[:16], images[:16] ^ 1]),
            "split": np.array(["train"] * 16 + ["test"] * 16),
        },
        "Near-duplicates in training and test",
    ),
    "nothing": ({}, None),
}


@pytest.fixture(autouse=True)
def _place(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("BRAINFIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(lookup, "_REGISTERED", {"model": {"tiny": Random}, "recording": {}, "benchmark": {}})


class Random(TinyModel):
    region_layers = {"V4": "small"}  # noqa: RUF012


def run(*arguments):
    return CliRunner().invoke(app, list(arguments), prog_name="brainfit")


def described(*arguments):
    """Return what a command says of a score, as text and as JSON."""
    text, found = run(*arguments), run(*arguments, "--json")
    assert (text.exit_code, found.exit_code) == (0, 0), text.output
    return text.stdout, json.loads(found.stdout)["scores"]["V4"]


@pytest.mark.parametrize("defect", REFUSED)
def test_a_recording_that_cannot_be_scored(defect):
    change, says = REFUSED[defect]
    np.savez("mine.npz", **arrays(**change))
    result = run("score", "--model", "tiny", "--recording", "mine.npz", "--region", "V4", "--no-cache")
    assert result.exit_code == 1
    refusal = result.stderr.splitlines()[-1].removeprefix("brainfit: error: ")
    assert says in refusal
    assert not Path("runs").exists() or not list(Path("runs").iterdir())
    for command in (["check"], ["data", "info"]):
        text, found = described(*command, "mine.npz")
        assert f"V4: cannot be scored: {refusal}" in text
        assert found["cannot_be_scored"] == refusal


@pytest.mark.parametrize("defect", NOTICED)
def test_remarks_on_a_recording(defect, caplog):
    change, says = NOTICED[defect]
    np.savez("mine.npz", **arrays(**change))
    score = brainfit.score(Random(), "mine.npz", region="V4", execution=Execution(cache=False))
    of_model = {"Random weights", "Below the mean time course", "Only the time course is predicted"}
    said = [
        notice
        for notice in score.notices
        if notice.title not in of_model and not notice.title.startswith("Penalties")
    ]
    assert [notice.title for notice in said] == ([says] if says else [])
    for notice in said:
        assert caplog.messages.count(f"{notice.title}: {notice.text}") == 1
    for command in (["check"], ["data", "info"]):
        text, found = described(*command, "mine.npz")
        assert found["cannot_be_scored"] is None
        assert found["notices"] == [notice._asdict() for notice in said]
        assert all(f"V4: {notice.title}: {notice.text}" in text for notice in said)


def test_what_is_left_out_is_the_same():
    responses = arrays()["responses"]
    responses[:, :, 1] = 4.0
    responses[7] = np.nan
    np.savez("mine.npz", **arrays(responses=responses))
    score = brainfit.score(Random(), "mine.npz", region="V4", execution=Execution(cache=False))
    wanted = [row for row in score.info["dropped"] if row["what"] != "unit x bin pairs"]
    assert {row["what"] for row in wanted} == {"images", "units"}
    for command in (["check"], ["data", "info"]):
        assert described(*command, "mine.npz")[1]["dropped"] == wanted


@pytest.mark.parametrize("options", [["--images", "16"], ["--seed", "3"], ["--images", "12", "--seed", "1"]])
def test_options_that_choose_images_are_those_of_a_score(options):
    np.savez("mine.npz", **arrays())
    chosen = dict(zip(options[::2], map(int, options[1::2]), strict=True))
    recording = brainfit.load_recording("mine.npz")
    wanted = preview_recording(recording, "V4", n_images=chosen.get("--images"), seed=chosen.get("--seed", 0))
    for command in (["check"], ["data", "info"]):
        assert described(*command, "mine.npz", *options)[1] == wanted.to_dict()


def test_a_model_whose_step_divides_no_default_duration(monkeypatch):
    class Seven(Random):
        step_ms = 7

    monkeypatch.setitem(lookup._REGISTERED["model"], "seven", Seven)
    np.savez("mine.npz", **arrays())
    with pytest.raises(ContractError, match="on_ms=100 and off_ms=150") as refused:
        brainfit.score("seven", "mine.npz", region="V4", execution=Execution(cache=False))
    found = run("check", "seven")
    assert found.exit_code == 0
    assert f"cannot be scored: {refused.value}" in found.stdout


def test_remarks_on_a_model(monkeypatch):
    class Held(Random):
        holds_image = True
        weights = "unknown, sha256:0"

    monkeypatch.setitem(lookup._REGISTERED["model"], "held", Held)
    np.savez("mine.npz", **arrays())
    score = run("score", "--model", "held", "--recording", "mine.npz", "--region", "V4", "--no-cache")
    assert score.exit_code == 0, score.output
    notices = json.loads(run("check", "held", "--json").stdout)["scores"]["a score"]["notices"]
    assert [notice["title"] for notice in notices] == ["Unknown weights", "No gray after the image"]
    for notice in notices:
        assert score.stderr.splitlines().count(f"brainfit: {notice['title']}: {notice['text']}") == 1


def test_options_of_both_kinds_are_wrong_usage():
    result = run("check", "tiny", "--image-size", "32", "--images", "16")
    assert result.exit_code == 2
    assert "--presentations, --regions and --images for recordings" in result.output
