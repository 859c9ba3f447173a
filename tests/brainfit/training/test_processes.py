"""Several processes train as one does, also on real images, and after one of them has died."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

HELPERS = Path(__file__).parents[2] / "helpers"
WORKER = str(HELPERS / "training_worker.py")
NETWORK = """
import torch
from torch import nn

def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 49, 4)
    )
"""


def launch(processes, *arguments, **options):
    """Start processes with torchrun."""
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HELPERS), *sys.path]),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, *command, *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def finish(process):
    output, _ = process.communicate(timeout=500)
    assert process.returncode == 0, output
    return output


def curve(folder):
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [
        (int(row["step"]), float(row["loss"] or "nan"), row["accuracy"], row["val_accuracy"]) for row in rows
    ]


def assert_same_curve(one, two):
    for (step, loss, *rest), (its_step, its_loss, *its_rest) in zip(one, two, strict=True):
        assert (step, rest) == (its_step, its_rest)
        np.testing.assert_allclose(loss, its_loss, rtol=1e-5)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    finish(launch(1, WORKER, "together", folder))
    found = curve(folder)
    assert found[-1][0] == 50
    return found


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one(tmp_path, alone):
    finish(launch(2, WORKER, "together", tmp_path))
    assert_same_curve(alone, curve(tmp_path))


@pytest.mark.slow
def test_training_goes_on_after_a_process_has_died(tmp_path, alone):
    output = finish(launch(2, "--max-restarts", 1, WORKER, "dying", tmp_path))
    assert (tmp_path / "died").exists()
    assert "exitcode: -9" in output
    assert_same_curve(alone, curve(tmp_path))


@pytest.fixture
def images(tmp_path, rng):
    """A folder as ImageNet has it, with a CMYK image, a turned one and a truncated one."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for part, n in (("train", 13), ("val", 4)):
        for label, name in enumerate(("n01", "n02", "n03", "n04")):
            folder = tmp_path / "images" / part / name
            folder.mkdir(parents=True)
            for k in range(n):
                pixels = rng.integers(0, 160, size=(*rng.integers(33, 80, size=2), 3), dtype=np.uint8)
                pixels[..., label % 3] += 20 * (1 + label)
                image = Image.fromarray(pixels)
                turned = exif if k == 2 else Image.Exif()
                (image.convert("CMYK") if k == 1 else image).save(folder / f"{k}.JPEG", exif=turned)
    damaged = tmp_path / "images" / "train" / "n03" / "0.JPEG"
    damaged.write_bytes(damaged.read_bytes()[:300])
    return tmp_path / "images"


@pytest.mark.slow
def test_an_imagenet_like_folder_trains_validates_and_resumes_with_two_processes(tmp_path, images):
    (tmp_path / "net.py").write_text(NETWORK)
    arguments = (
        "-m", "brainfit", "train", "--model", "net.py:network", "--task", f"imagefolder:{images}",
        "--image-size", 32, "--epochs", 12, "--set", "batch_size=12", "--checkpoint-minutes", 0,
    )  # fmt: skip
    finish(launch(1, *arguments, "--out", "one", cwd=tmp_path))
    first = launch(2, *arguments, "--out", "two", cwd=tmp_path)
    deadline = time.monotonic() + 200
    while not list(tmp_path.glob("two/checkpoints/*.pt")) and time.monotonic() < deadline:
        time.sleep(0.02)
    first.send_signal(signal.SIGTERM)
    output, _ = first.communicate(timeout=200)
    assert first.returncode != 0, output
    assert not (tmp_path / "two" / "model-card.json").exists(), output
    output = finish(launch(2, *arguments, "--out", "two", cwd=tmp_path))
    assert "continuing at step" in output
    assert "train/n03/0.JPEG cannot be read and is skipped" in output
    assert_same_curve(curve(tmp_path / "one"), curve(tmp_path / "two"))
    one, two = (json.loads((tmp_path / name / "model-card.json").read_text()) for name in ("one", "two"))
    assert one["accuracy"] == two["accuracy"]
    assert one["accuracy"]["n_images"] == 16
    assert one["steps"] == 48
