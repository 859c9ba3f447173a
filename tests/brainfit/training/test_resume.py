"""A run that is stopped and resumed ends in the same bytes as an uninterrupted one."""

import csv
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_task import SmallTask, small_network

from brainfit.errors import ContractError, IntegrityError
from brainfit.training.loop import train
from brainfit.training.recipe import MINI

RECIPE = replace(MINI, epochs=6, batch_size=16, average=0.9)


def run(folder, recipe=RECIPE, **options):
    network = small_network()
    trained = train(network, SmallTask(), recipe, folder, name="small", **options)
    return trained, digest(network), (folder / "metrics.csv").read_bytes()


def digest(network):
    return hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in network.parameters())).hexdigest()


def test_a_run_stopped_after_any_step_ends_in_the_same_bytes(tmp_path, monkeypatch):
    whole = run(tmp_path / "whole")
    assert whole[0].step == whole[0].n_steps == 24
    assert whole[0].accuracy is not None
    for step in (1, 3, 8, 20, 23):
        folder = tmp_path / str(step)
        stop_after(monkeypatch, step)
        first, *_ = run(folder)
        assert (first.step, first.accuracy, first.interrupted_by) == (step, None, "SIGTERM")
        monkeypatch.undo()
        second = run(folder)
        assert second[1:] == whole[1:]
        assert second[0].accuracy is not None
        assert second[0].accuracy.by_decoder == whole[0].accuracy.by_decoder


def stop_after(monkeypatch, step):
    from brainfit.training import loop

    backward, done = loop.backward, []

    def counted(*arguments):
        done.append(1)
        if len(done) == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return backward(*arguments)

    monkeypatch.setattr(loop, "backward", counted)


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_in_the_same_bytes(tmp_path):
    helpers = str(Path(__file__).parents[2] / "helpers")
    worker = [sys.executable, str(Path(helpers) / "training_worker.py"), "killable"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([helpers, *sys.path])}
    whole = subprocess.run(
        [*worker, tmp_path / "whole"], env=environment, check=True, capture_output=True, text=True
    )
    rng, kills = random.Random(0), 0
    while kills < 10:
        child = subprocess.Popen([*worker, tmp_path / "killed"], env=environment, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 3 + 3 * rng.random()
        while child.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        child.kill()
        if child.wait() == 0:
            break
        kills += 1
    last = subprocess.run(
        [*worker, tmp_path / "killed"], env=environment, check=True, capture_output=True, text=True
    )
    assert kills >= 1
    assert last.stdout == whole.stdout
    assert (tmp_path / "killed" / "metrics.csv").read_bytes() == (
        tmp_path / "whole" / "metrics.csv"
    ).read_bytes()


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, caplog):
    whole = run(tmp_path / "whole")
    run(tmp_path / "run", checkpoint_minutes=0)
    paths = sorted((tmp_path / "run" / "checkpoints").glob("*.pt"))
    assert [path.name for path in paths] == ["step-00000023.pt", "step-00000024.pt"]
    paths[1].write_bytes(paths[1].read_bytes()[:1000])
    again = run(tmp_path / "run")
    assert "damaged" in caplog.text
    assert again[1:] == whole[1:]
    for path in paths:
        path.write_bytes(b"nothing")
    with pytest.raises(IntegrityError, match=r"no checkpoint of .* can be read"):
        run(tmp_path / "run")


def test_another_recipe_or_network_is_refused_naming_the_difference(tmp_path):
    run(tmp_path)
    with pytest.raises(ContractError, match=r"another run: .*learning_rate 0.002, not 0.1;.*another --out"):
        run(tmp_path, replace(RECIPE, learning_rate=0.1))
    with pytest.raises(ContractError, match="model small, not other"):
        train(small_network(), SmallTask(), RECIPE, tmp_path, name="other")
    with pytest.raises(ContractError, match="task small"):
        train(small_network(), SmallTask(seed=1), RECIPE, tmp_path, name="small")


def test_a_loss_that_is_not_finite_names_the_step_and_keeps_the_checkpoint(tmp_path, monkeypatch):
    from brainfit.training import loop

    backward, done = loop.backward, []

    def failing(*arguments):
        done.append(1)
        loss, correct = backward(*arguments)
        return (loss * float("nan"), correct) if len(done) == 15 else (loss, correct)

    monkeypatch.setattr(loop, "backward", failing)
    with pytest.raises(ContractError, match=r"not finite at step 15; lower the learning rate .*clip_value"):
        run(tmp_path, checkpoint_minutes=0)
    assert torch.load(sorted((tmp_path / "checkpoints").glob("*.pt"))[-1])["step"] < 20


def test_a_full_disk_is_one_line_and_the_run_resumes_afterwards(small_disk, monkeypatch):
    monkeypatch.setattr("brainfit.training.checkpoint._KEPT", 1000)
    with pytest.raises(
        IntegrityError, match=r"cannot write the checkpoint .*continues from the checkpoint before"
    ):
        train(small_network(64), SmallTask(), RECIPE, small_disk / "run", name="small", checkpoint_minutes=0)
    for path in sorted((small_disk / "run" / "checkpoints").glob("*.pt"))[:-1]:
        path.unlink()
    monkeypatch.undo()
    found = train(small_network(64), SmallTask(), RECIPE, small_disk / "run", name="small")
    assert found.step == found.n_steps


def test_metrics_have_a_row_for_every_block_and_epoch(tmp_path):
    run(tmp_path)
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [4, 8, 12, 16, 20, 20, 24]
    assert all(row["val_accuracy"] or row["loss"] for row in rows)
