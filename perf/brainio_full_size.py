"""Seconds and memory to score one region of a recording as large as the published temporal one.

``python perf/brainio_full_size.py FOLDER`` makes a netCDF file in BrainIO's layout in a folder of its own in
FOLDER, 256 neuroids x 148,480 presentations x 39 windows of 20 ms, float32, 5.9 GB, with 3,200 stimuli of
46 or 47 repetitions each in random order; scores its pIT units in a process of its own; prints what that
took; and removes all of it again. ``--scale N`` makes one with an Nth of the images, ``--compressed`` one
that is packed as newer writers do.

Its content is simulated: units respond to random patches of the images.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import netCDF4
import numpy as np
import xarray as xr

import brainfit
from brainfit.support.memory import peak_bytes
from data_loaders.brainio.recording import from_brainio
from data_loaders.images.table import write_stimuli

IDENTIFIER = "synthetic.FullSize2026.temporal"
N_PRESENTATIONS, N_IMAGES, PIXELS = 148_480, 3200, 32
REGIONS = {"V4": 88, "pIT": 76, "cIT": 75, "aIT": 17}
STARTS = np.arange(-100, 290, 10)
MODEL = {"name": "ff", "image_size": 65, "channel_divisor": 8}
TARGET_GIB = 6


def make(folder: Path, scale: int, compressed: bool) -> Path:
    """Write the stimuli, and the responses neuroid by neuroid."""
    rng = np.random.default_rng(0)
    n_images, n_presentations = N_IMAGES // scale, N_PRESENTATIONS // scale
    ids = np.array([f"image_{k:04d}" for k in rng.permutation(n_images)])
    objects = np.arange(n_images) % max(64 // scale, 2)
    small = rng.integers(0, 256, (n_images, 4, 4, 3), dtype=np.uint8)
    pixels = small.repeat(PIXELS // 4, axis=1).repeat(PIXELS // 4, axis=2)
    columns = {
        "image_id": ids,
        "object_name": np.char.add("object_", objects.astype(str)),
        "category_name": np.char.add("category_", (objects % 8).astype(str)),
        "variation": rng.choice([3, 6], n_images),
    }
    stem = folder / f"stimulus_{IDENTIFIER.replace('.', '_')}"
    dims = ("image", "height", "width", "channel")
    write_stimuli(
        xr.DataArray(pixels, dims=dims), columns, stem.with_suffix(".csv"), stem.with_suffix(".zip")
    )

    turn = rng.permutation(n_presentations)
    image, repetition = turn % n_images, turn // n_images
    patches = small.reshape(n_images, -1).astype(np.float32) / 128 - 1
    course = np.exp(-(((STARTS + 10 - 120) / 60.0) ** 2)).astype(np.float32)
    region = np.repeat(list(REGIONS), list(REGIONS.values()))
    path = folder / f"assy_{IDENTIFIER.replace('.', '_')}.nc"
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.setncatts({"identifier": IDENTIFIER, "stimulus_set_identifier": IDENTIFIER, "simulated": 1})
        sizes = {"neuroid": region.size, "presentation": n_presentations, "time_bin": STARTS.size}
        for dim, size in sizes.items():
            dataset.createDimension(dim, size)
        labels = {
            "neuroid_id": ("neuroid", np.array([f"Chabo_{k}" for k in range(region.size)])),
            "subregion": ("neuroid", region),
            "region": ("neuroid", np.where(region == "V4", "V4", "IT")),
            "animal": ("neuroid", np.resize(["Chabo", "Tito"], region.size)),
            "arr": ("neuroid", np.resize(["M", "A", "P"], region.size)),
            "stimulus_id": ("presentation", ids[image]),
            "repetition": ("presentation", repetition),
            "time_bin_start": ("time_bin", STARTS),
            "time_bin_end": ("time_bin", STARTS + 20),
        }
        for name, (dim, values) in labels.items():
            text = values.dtype.kind == "U"
            variable = dataset.createVariable(name, str if text else values.dtype, (dim,))
            variable[...] = values.astype(object) if text else values
        packed = {"compression": "zlib", "complevel": 1} if compressed else {}
        data = dataset.createVariable("data", "f4", tuple(sizes), fill_value=np.nan, **packed)
        step = int(data.chunking()[0]) if compressed else 1  # a packed piece is written once
        for first in range(0, region.size, step):
            units = min(step, region.size - first)
            tuning = (patches @ rng.normal(size=(patches.shape[1], units)).astype(np.float32)).T / 4
            values = rng.standard_normal((units, n_presentations, STARTS.size), np.float32)
            for unit, tuned in enumerate(tuning):
                values[unit] += tuned[image, None] * course
            data[first : first + units] = values
    return path


def score(path: Path) -> dict[str, object]:
    """Score pIT, and return what that took in this process."""
    started = time.monotonic()
    recording = from_brainio(path)
    loaded = time.monotonic() - started
    options = {name: value for name, value in MODEL.items() if name != "name"}
    found = brainfit.score(brainfit.load_model(str(MODEL["name"]), **options), recording, region="pIT")
    return {
        "responses": dict(recording.responses.sizes),
        "load_s": round(loaded, 1),
        "score_s": round(time.monotonic() - started - loaded, 1),
        "peak_gib": round(peak_bytes() / 2**30, 2),
        "normalized_r": round(float(np.nanmedian(found.data["window_normalized"].sel(window="pooled"))), 3),
    }


def main() -> None:
    """Print one line of JSON; exit with 1 if the memory exceeds the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where to make the file, or the file with --score")
    parser.add_argument("--scale", type=int, default=1, help="an Nth of the images")
    parser.add_argument("--compressed", action="store_true", help="pack the responses")
    parser.add_argument("--score", action="store_true", help="only score the file that is there")
    asked = parser.parse_args()
    if asked.score:
        print(json.dumps(score(asked.folder)))
        return
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        started = time.monotonic()
        path = make(Path(folder), asked.scale, asked.compressed)
        made = {"bytes": path.stat().st_size, "make_s": round(time.monotonic() - started, 1)}
        command = [sys.executable, __file__, str(path), "--score"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    took = made | json.loads(done.stdout)
    print(json.dumps(took))
    sys.exit(took["peak_gib"] > TARGET_GIB)


if __name__ == "__main__":
    main()
