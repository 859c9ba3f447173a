"""Make the small copies of the golden fixtures that lie beside this file: see README.md.

Usage: python tests/golden/trim.py FOLDER_OF_THE_FULL_FIXTURES
"""

import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
IMAGES_IN = "rgc_intermediate"  # of all fixtures of that size they are the same
# Absolute steps to keep of activities, with the last one: while the image is seen, and after. Of states, one.
FULL_STEPS = (9, 15)
STATE_STEPS = (12,)
LARGEST_MAP = 10


def trim(full: dict[str, np.ndarray], images: np.ndarray) -> dict[str, Any]:
    """Keep small arrays whole, and of activities and states fewer steps, one image and fewer pixels."""
    meta = json.loads(str(full["meta"]))
    small, every = {}, {}
    for key, values in full.items():
        kind, _, layer = key.partition("/")
        if kind == "full" and layer == "imnetds":
            small |= {key: values, f"full_t/{layer}": full[f"full_t/{layer}"]}
        elif kind in ("full", "state"):
            times = full[f"{kind}_t/{layer}"]
            steps = (*FULL_STEPS, meta["T"] - 1) if kind == "full" else STATE_STEPS
            kept = np.isin(times, steps)
            every[key] = math.ceil(values.shape[2] / LARGEST_MAP)
            small[key] = values[kept, :1, :: every[key], :: every[key]]
            small[f"{kind}_t/{layer}"] = times[kept]
        elif kind == "images_uint8" and np.array_equal(values, images) and meta["fixture"] != IMAGES_IN:
            meta["images_in"] = IMAGES_IN
        elif kind not in ("full_t", "state_t", "inputs", "meta"):
            small[key] = values
    return {"meta": json.dumps(meta | {"every": every})} | small


def read(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an npz file."""
    with np.load(path) as file:
        return dict(file)


def main(folder: Path) -> None:
    """Trim every fixture; copy those that are already small."""
    images = read(folder / f"{IMAGES_IN}.npz")["images_uint8"]
    for path in sorted(folder.glob("*.npz")):
        if path.stem == "decoders":
            shutil.copyfile(path, HERE / path.name)
        else:
            np.savez_compressed(HERE / path.name, **trim(read(path), images))
    for path in (folder / "ckpt" / "rgc_intermediate").iterdir():
        copy = HERE / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
