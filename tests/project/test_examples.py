"""Tests of the scripts in examples/ that train and score the small networks."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

import brainfit
from brainfit.figures import summarize_runs

EXAMPLES = Path(__file__).parents[2] / "examples"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_networks_are_trained_once_and_listed(tmp_path, monkeypatch) -> None:
    train_minis = script("train_minis")
    monkeypatch.setitem(train_minis.TASKS, "plain", (("ff_mini",), {"n_val": 64, "sprites": 4}))
    command = ["train_minis.py", "--out", str(tmp_path), "--seeds", "2", "--epochs", "0.005"]
    monkeypatch.setattr(sys, "argv", command)
    train_minis.main()
    weights = sorted(tmp_path.rglob("weights.safetensors"))
    written = [file.stat().st_mtime_ns for file in weights]
    train_minis.main()
    assert [file.stat().st_mtime_ns for file in weights] == written
    assert len(weights) == 2
    table = pd.read_csv(tmp_path / "plain.csv")
    assert list(table["seed"]) == [0, 1]
    (row,) = summarize_runs(table).to_dict("records")
    assert (row["model"], row["images"], row["n_seeds"]) == ("ff_mini", 256, 2)


def test_the_first_130_ms_hold_whole_bins_and_all_images() -> None:
    score_minis = script("score_minis")
    recording = score_minis.first_130_ms(brainfit.load_recording("simulated", n_images=16))
    assert recording.responses.sizes["image"] == 16
    assert float(recording.responses["time_bin_end"].max()) == 130
    assert (recording.on_ms, recording.off_ms) == (100, 30)
