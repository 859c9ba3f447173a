"""E1: what ``brainfit score`` takes as most people run it first."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import harness  # first: it fixes the threads
from peaks import in_a_process

from brainfit.support.memory import peak_bytes

SCORE = ("score", "--model", "median_convrnn", "--region", "pIT")
LIMIT_S, LIMIT_GB = 300, 4


def default_score(quick: bool) -> list[dict[str, Any]]:
    """E1: one score with an empty cache; `quick` takes a few images."""
    with tempfile.TemporaryDirectory() as folder:
        seconds, _, (n_images, gb) = in_a_process(
            run, folder, [*SCORE, *(["--images", "32"] if quick else [])]
        )
    missed = [harness.exceeds(seconds, LIMIT_S, "s")] if seconds > LIMIT_S else []
    missed += [harness.exceeds(gb, LIMIT_GB, "GB")] if gb > LIMIT_GB else []
    return [
        harness.alone(
            f"E1: brainfit {' '.join(SCORE)}, {n_images} images, empty cache",
            seconds,
            target=f"<= {LIMIT_S} s, <= {LIMIT_GB} GB",
            missed=missed,
            ours_gb=gb,
            note="with the imports and the report; the memory is that of the whole process",
        )
    ]


def run(folder: str, arguments: list[str]) -> tuple[int, float]:
    """Run the command in this process; return the number of images, and the peak in GB."""
    os.chdir(folder)
    os.environ["BRAINFIT_CACHE"] = str(Path(folder) / "cache")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.argv = ["brainfit", *arguments]
    from brainfit.cli import main

    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
    summary = next(Path(folder).rglob("score.json")).read_text(encoding="utf-8")
    return json.loads(summary)["n_images"], peak_bytes() / 1e9


WORKLOADS = {"E1": default_score}
