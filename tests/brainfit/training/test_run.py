"""`brainfit train` from the command line: a run folder that scores, continues, and refuses in one line."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from torch import nn
from typer.testing import CliRunner

import brainfit
from brainfit.cli.app import app
from brainfit.training.recipe import MINI
from brainfit.training.run import train_model

SMALL = ("--task-option", "sprites=4", "--task-option", "n_train=64", "--task-option", "n_val=16")
MINE = """
from small_task import SmallTask, small_network as network
def task(image_size=16): return SmallTask()
def few(): return SmallTask.__new__(object)
"""


def run(*arguments):
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


@pytest.mark.slow
def test_a_trained_network_is_scored_from_the_folder_of_its_run(tmp_path):
    out = tmp_path / "run"
    done = run("--model", "ff_mini", *SMALL, "--set", "batch_size=32", "--epochs", 2, "--out", out, "--json")
    assert done.exit_code == 0, done.output
    card = json.loads(done.stdout)
    assert card == json.loads((out / "model-card.json").read_text())
    assert (card["steps"], card["images_seen"], card["classes"], card["chance"]) == (4, 128, 64, 1 / 64)
    assert card["recipe"]["batch_size"] == 32
    loss = float(pd.read_csv(out / "metrics.csv")["loss"].dropna().iloc[0])
    assert loss == pytest.approx(math.log(64), rel=0.05)  # random weights, not those that come with brainfit
    trained, random = (brainfit.load_model("ff_mini", weights=weights) for weights in (str(out), "random"))
    assert trained.weights.startswith("sha256:")
    assert isinstance(trained, nn.Module)
    assert isinstance(random, nn.Module)
    assert any((a != b).any() for a, b in zip(trained.parameters(), random.parameters(), strict=True))
    recording = brainfit.load_recording("simulated", n_images=32, n_trials=10)
    score = brainfit.score(trained, recording, region="pIT")
    assert score.info["weights"] == trained.weights


def test_a_network_and_task_from_a_users_file_are_trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(MINE)
    arguments = (
        "--model",
        "mine.py:network",
        "--task",
        "mine.py:task",
        "--set",
        "batch_size=16",
        "--epochs",
        20,
    )
    done = run(*arguments, "--image-size", 16)
    assert done.exit_code == 0, done.output
    card = json.loads(Path("runs/train/mine-mine/model-card.json").read_text())
    assert card["accuracy"]["last"] > 0.8
    assert card["accuracy"]["interval"][0] > 0.5
    assert np.isclose(card["accuracy"]["last"], card["accuracy"]["by_step"][-1])
    again = run(*arguments, "--image-size", 16)
    assert (
        json.loads(Path("runs/train/mine-mine/model-card.json").read_text())["accuracy"] == card["accuracy"]
    )
    assert "continuing at step 80 of 80" in again.stderr


def test_a_time_limit_sets_the_number_of_epochs(tmp_path, monkeypatch):
    from small_task import SmallTask

    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(MINE)
    options = {"recipe": MINI, "changes": {"batch_size": 16}, "minutes": 0.02, "out": tmp_path / "run"}
    first = train_model("mine.py:network", SmallTask(), **options)
    assert first.trained.n_steps > 3
    assert first.trained.seconds < 30
    second = train_model("mine.py:network", SmallTask(), **options)
    assert second.trained.n_steps == first.trained.n_steps


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--model", "ff_min"), "unknown model 'ff_min'; did you mean 'ff_mini'"),
        (("--model", "ff_mini", "--task", "object"), "unknown task 'object'; did you mean 'objects'"),
        (("--model", "ff_mini", "--task", "imagefolder:nowhere"), "cannot read nowhere/train"),
        (("--model", "ff_mini", "--task-option", "clutter=x"), "clutter is a whole number"),
        (("--model", "ff_mini", "--task-option", "cluter=1"), "task 'objects': .*cluter"),
        (
            ("--model", "ff_mini", "--set", "epoch=1"),
            "unknown field of a recipe 'epoch'; did you mean 'epochs'",
        ),
        (("--model", "ff_mini", "--set", "epochs"), "--set is written name=value"),
        (("--model", "ff_mini", "--recipe", "papr"), "unknown recipe 'papr'; did you mean 'paper'"),
        (
            ("--model", "ff_mini", "--task-option", "label=category"),
            "64 outputs and task 'objects' 8 classes",
        ),
        (("--model", "ff_mini", *SMALL), "64 training images, fewer than a batch of 128"),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == 1, done.output
    (line,) = [line for line in done.stderr.splitlines() if "error:" in line]
    assert re.search(says, line), line
