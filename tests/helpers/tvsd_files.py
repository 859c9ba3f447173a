"""Write the files of TVSD at small size: all 1,024 channels, few trials and samples."""

import h5py
import numpy as np
from matlab_files import put, stamp
from PIL import Image
from scipy.io import savemat

N_TRAIN, N_TEST, N_REPEATS, N_DAYS = 12, 3, 4, 2
FIRST_MS, N_SAMPLES = -5, 45


def own_inverse(rng):
    """Return a mapping that swaps channels in pairs, from 1 on."""
    pairs = rng.permutation(1024).reshape(-1, 2)
    mapping = np.empty(1024, int)
    mapping[pairs[:, 0]], mapping[pairs[:, 1]] = pairs[:, 1], pairs[:, 0]
    return mapping + 1


def trial_rows(rng, correct=True):
    """Return ALLMAT as h5py reads it, shape (6 or 7, trial)."""
    train = np.concatenate([np.arange(1, N_TRAIN + 1), np.zeros(N_TEST * N_REPEATS, int)])
    test = np.concatenate([np.zeros(N_TRAIN, int), np.repeat(np.arange(1, N_TEST + 1), N_REPEATS)])
    order = rng.permutation(len(train))
    train, test = train[order], test[order]
    n = len(train)
    rep = rng.permutation(n)  # shuffled by the publishers
    rows = [np.arange(1, n + 1), train, test, rep, 1 + np.arange(n) % 4]
    return np.array([*rows, *([np.ones(n, int)] if correct else []), 1 + np.arange(n) % N_DAYS], float)


def write_tvsd(folder, rng, *, rows=None, mapping=None, dtype="f4", responses=None, image="jpg"):
    """Write all files; return the path of the responses, and these as (trial, unit, sample) after mapping."""
    rows = trial_rows(rng) if rows is None else rows
    mapping = own_inverse(rng) if mapping is None else mapping
    n = rows.shape[1]
    raw = rng.normal(size=(N_SAMPLES, n, 1024)).astype(dtype) if responses is None else responses
    logs, images = folder / "_logs", folder / "images"
    logs.mkdir()
    with h5py.File(folder / "THINGS_MUA_trials.mat", "w", userblock_size=512) as file:
        file.create_dataset("ALLMUA", data=raw, chunks=(N_SAMPLES, 4, 256))
        file["ALLMAT"] = rows
        file["tb"] = np.arange(FIRST_MS, FIRST_MS + N_SAMPLES, dtype=float)[:, None]
    stamp(folder / "THINGS_MUA_trials.mat")
    with h5py.File(logs / "things_imgs.mat", "w", userblock_size=512) as file:
        for name, n_images in (("train_imgs", N_TRAIN), ("test_imgs", N_TEST)):
            classes = [f"{name[:2]}{k // 4}" for k in range(n_images)]
            paths = [f"object_images\\{c}\\{c}_{k:02d}.{image}" for k, c in enumerate(classes)]
            put(file, name, {"class": classes, "things_path": paths, "local_path": paths})
            for path in paths:
                target = images.joinpath(*path.split("\\")[1:])
                target.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(target)
    stamp(logs / "things_imgs.mat")
    savemat(logs / "1024chns_mapping_20220105.mat", {"mapping": mapping[None].astype(float)})
    mapped = np.take(raw, np.asarray(mapping) - 1, axis=2, mode="clip").transpose(1, 2, 0)
    return folder / "THINGS_MUA_trials.mat", mapped
