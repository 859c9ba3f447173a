"""Write small files in the layout of ``ventral_neural_data.hdf5``, with the values they should load as."""

from typing import Any

import h5py
import numpy as np

LEVELS = {0: 3, 3: 2, 6: 4}
"""For each level of variation, how many trials it was shown on."""
N_UNITS, N_BINS, SIZE = 12, 11, 8
REGIONS = ["V4"] * 4 + ["pIT"] * 3 + ["cIT"] * 2 + ["aIT", "IT", ""]
"""The last but one is in IT_NEURONS alone, the last in no list."""


def to_edit(path) -> Any:
    """Open a file for editing; typed loosely, because a name may hold a group or a dataset."""
    return h5py.File(path, "a")


def hvm_arrays(rng, n_images=(4, 6, 8), n_units=N_UNITS):
    """Return the arrays that loading should give, for all units of all regions."""
    levels = np.repeat(list(LEVELS), n_images)
    n = len(levels)
    responses = np.full((n, max(LEVELS.values()), n_units, N_BINS), np.nan, np.float32)
    for level, n_trials in LEVELS.items():
        shape = ((levels == level).sum(), n_trials, n_units, N_BINS)
        responses[levels == level, :n_trials] = rng.normal(size=shape)
    return {
        "responses": responses,
        "images": rng.integers(0, 256, (n, SIZE, SIZE), np.uint8),
        "variation": levels,
        "image_id": [f"id{k:03d}" for k in rng.permutation(n)],
        "object_name": [f"object_{k % 2}" for k in range(n)],
        "category_name": ["Animals", "Boats"] * (n // 2),
        "animal": np.resize(["Chabo", "Tito"], n_units),
        "array": np.resize(["M", "P", "A"], n_units),
        "time_bin_start": np.arange(N_BINS) * 20.0,
        "time_bin_end": np.arange(N_BINS) * 20.0 + 20,
    }


def write_hvm(path, arrays, regions=REGIONS, *, holding=("time_binned", "time_averaged")):
    """Write such a file; `holding` names the groups and datasets of responses."""
    responses, levels = arrays["responses"], arrays["variation"]
    region = np.array(regions)
    with h5py.File(path, "w") as file:
        file["images"] = arrays["images"]
        meta = file.create_group("image_meta")
        for key, name in {
            "image_id": "image_id",
            "object_name": "object_name",
            "category": "category_name",
        }.items():
            meta[key] = np.array(arrays[name], "S")
        meta["variation_level"] = np.array([f"V{level}" for level in levels], "S")
        for k, key in enumerate(
            ("size", "translation_y", "translation_z", "rotation_xy", "rotation_xz", "rotation_yz")
        ):
            meta[key] = np.arange(len(levels)) + 100.0 * k
        neural = file.create_group("neural_meta")
        for name, key in {"V4": "V4", "pIT": "PIT", "cIT": "CIT", "aIT": "AIT"}.items():
            neural[f"{key}_NEURONS"] = np.flatnonzero(region == name)
        in_it = np.isin(region, ["pIT", "cIT", "aIT", "IT"])
        neural["IT_NEURONS"] = np.flatnonzero(in_it)
        neural["ANIMAL_INFO"] = np.array(arrays["animal"], "S")
        neural["ARRAY_INFO"] = np.array(arrays["array"], "S")
        for level, n_trials in LEVELS.items():
            trials = responses[levels == level, :n_trials].transpose(3, 1, 0, 2)  # bin, trial, image, unit
            if "time_binned" in holding:
                for t in range(N_BINS):
                    file[f"time_binned/{20 * t}ms/variation_level_{level}"] = trials[t]
            if "time_averaged" in holding:
                file[f"time_averaged/variation_level_{level}"] = trials.mean(axis=0)
        average = np.nanmean(responses, axis=1)  # image, unit, bin
        if "time_binned_trial_averaged" in holding:
            file["time_binned_trial_averaged"] = average.transpose(0, 2, 1)
        if "time_averaged_trial_averaged" in holding:
            file["time_averaged_trial_averaged"] = average.mean(axis=2)
