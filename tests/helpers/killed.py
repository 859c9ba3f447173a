"""Compute a small score in a process of its own, to be killed while it runs."""

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

from tiny import TinyModel, tiny_recording

from brainfit.execution import Execution
from brainfit.features import content
from brainfit.scoring.score import score

N_BATCHES = 12


class Slow(TinyModel):
    """A model that is slow enough to be interrupted."""

    def unroll(self, images, presentation, layers):
        time.sleep(0.03)
        return super().unroll(images, presentation, layers)


def score_to(folder: Path, cache: str | None) -> None:
    """Write a score's files without run-specific facts; they appear when the score is complete."""
    content.code_identity = lambda modules: []  # source files may be edited while tests run
    os.environ["BRAINFIT_CACHE"] = cache or ""
    result = score(
        Slow(),
        tiny_recording(n_images=48),
        region="pIT",
        execution=Execution(batch_size=48 // N_BATCHES, cache=cache is not None),
    )
    result = replace(result, info={**result.info, "seconds": 0, "peak_memory_gb": 0})
    unfinished = folder.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)  # left by a killed process
    unfinished.mkdir()
    result.to_netcdf(unfinished / "score.nc")
    result.to_json(unfinished / "score.json")
    unfinished.rename(folder)
