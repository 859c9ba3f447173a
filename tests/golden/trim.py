"""Make the small copy of the golden fixture that lies beside this file: see README.md.

Usage: python tests/golden/trim.py FOLDER_OF_THE_FULL_FIXTURES
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

NAME = "rgc_intermediate_224.npz"
# Absolute steps to keep of the large arrays; of the others all that are there.
KEEP_FULL = {
    "conv1": (9, 10),
    "conv2": (9,),
    "conv3": (11, 25),
    "conv4": (3, 10, 25),
    "conv5": (4, 10, 25),
    "conv6": (5, 10, 25),
}
KEEP_STATE = {"conv4": (12,), "conv5": (12,), "conv6": (12,)}


def trim(full: dict[str, np.ndarray]) -> dict[str, Any]:
    """Keep fewer steps, and of activities and states one image of two."""
    small = {}
    for key, values in full.items():
        kind, _, layer = key.partition("/")
        if kind in ("full", "state"):
            times = full[f"{kind}_t/{layer}"]
            steps = {"full": KEEP_FULL, "state": KEEP_STATE}[kind].get(layer, times)
            kept = np.flatnonzero(np.isin(times, steps))
            small[key], small[f"{kind}_t/{layer}"] = values[kept][:, :1], times[kept]
        elif kind not in ("full_t", "state_t"):
            small[key] = values
    return small


if __name__ == "__main__":
    with np.load(Path(sys.argv[1]) / NAME) as full:
        np.savez_compressed(Path(__file__).parent / NAME, **trim(dict(full)))
