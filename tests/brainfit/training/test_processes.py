"""Training with two processes equals training with one."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

WORKER = str(Path(__file__).parents[2] / "helpers" / "training_worker.py")


def curve(folder, processes):
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(WORKER).parent), *sys.path]),
        "OMP_NUM_THREADS": "1",
    }
    subprocess.run(
        [sys.executable, *launch, WORKER, "together", folder],
        env=environment,
        check=True,
        capture_output=True,
        timeout=300,
    )
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [
        (int(row["step"]), float(row["loss"] or "nan"), row["accuracy"], row["val_accuracy"]) for row in rows
    ]


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one(tmp_path):
    one, two = curve(tmp_path / "one", 1), curve(tmp_path / "two", 2)
    assert one[-1][0] == 50
    for (step, loss, *rest), (its_step, its_loss, *its_rest) in zip(one, two, strict=True):
        assert (step, rest) == (its_step, its_rest)
        np.testing.assert_allclose(loss, its_loss, rtol=1e-5)
