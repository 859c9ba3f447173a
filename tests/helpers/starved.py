"""Compute a small score in a process of its own that runs out of memory."""

import math
import os
import resource
import sys

import numpy as np
import psutil
import scipy.linalg
import torch
from killed import N_BATCHES, Slow
from tiny import tiny_recording
from typer.testing import CliRunner

from brainfit.cli import main
from brainfit.cli.app import app
from brainfit.features import content
from brainfit.registry.lookup import register_model, register_recording
from brainfit.support import memory

STAGES = ("fit", "predict", "assemble", "to_netcdf", "write_report")
"""Functions, in their order, in the midst of which memory may end."""


def too_much(*_, **__):
    """Allocate more than any limit of these tests allows, with torch or numpy."""
    return (
        torch.ones(2**34, dtype=torch.uint8) if os.environ["TAKES"] == "torch" else np.ones(2**34, np.uint8)
    )


def score_in(room, stage, takes, folder, cache):
    """Run `brainfit score` within a number of bytes, or with a stage that exceeds memory."""
    import brainfit.report.write
    import brainfit.scoring.result
    import brainfit.scoring.score

    folder.mkdir()
    for number, path in ((1, os.devnull), (2, folder / "stderr")):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.environ.update(BRAINFIT_CACHE=str(cache), TAKES=takes)
    content.code_identity = lambda modules: []  # source files may be edited while tests run
    memory._left_of_addresses = lambda: math.inf  # otherwise the score is refused before it begins
    register_model("slow", Slow)
    register_recording("tiny", lambda: tiny_recording(n_images=48))
    places = {"to_netcdf": brainfit.scoring.result.Score, "write_report": brainfit.report.write}
    if stage in STAGES:
        setattr(places.get(stage, brainfit.scoring.score), stage, too_much)
    options = ["--region", "pIT", "--batch-size", str(48 // N_BATCHES), "--out", str(folder / "runs" / "run")]
    sys.argv = ["brainfit", "score", "--model", "slow", "--recording", "tiny", *options]
    CliRunner().invoke(app, ["list", "models"])  # loads typer's own libraries before memory is limited
    scipy.linalg.eigh(
        np.eye(200) @ np.eye(200)
    )  # OpenBLAS exits if it cannot allocate its buffers; this allocates them
    limit = psutil.Process().memory_info().vms + room
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    main()
