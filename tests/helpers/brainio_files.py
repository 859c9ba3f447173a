"""Write files in exactly BrainIO's layout, as Brain-Score publishes them, with their stimuli."""

import csv
import io
import zipfile

import netCDF4
import numpy as np
from PIL import Image

REGIONS = ("V4", "pIT", "pIT", "cIT")


def write_stimulus_set(folder, identifier, ids, columns=None, *, old=False, pixels=None):
    """`stimulus_<identifier>.csv` and `.zip`; returns the pixels, (image, 8, 8, 3) uint8."""
    if pixels is None:
        pixels = np.random.default_rng(1).integers(0, 256, (len(ids), 8, 8, 3), dtype=np.uint8)
    stem = folder / f"stimulus_{identifier.replace('.', '_')}"
    names = ("image_id", "image_file_name") if old else ("stimulus_id", "filename")
    columns = columns or {}
    with stem.with_suffix(".csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*names, *columns])
        writer.writerows(zip(ids, [f"{name}.png" for name in ids], *columns.values(), strict=True))
    with zipfile.ZipFile(stem.with_suffix(".zip"), "w") as archive:
        for name, image in zip(ids, pixels, strict=True):
            content = io.BytesIO()
            Image.fromarray(image).save(content, "PNG")
            archive.writestr(f"{name}.png", content.getvalue())
    return pixels


def write_assembly(
    path,
    values,
    *,
    image,
    repetition=None,
    neuroid=None,
    presentation=None,
    start=None,
    width=20.0,
    dims=("neuroid", "presentation", "time_bin"),
    id_name="stimulus_id",
    end_name="time_bin_end",
    variable="data",
    leftovers=False,
    attributes=None,
    fixed_text=False,
    **encoding,
):
    """A netCDF file; `values` has dims (neuroid, presentation, time_bin) whatever `dims` are on disk."""
    n_units, n_presentations, n_bins = values.shape
    start = np.arange(n_bins) * 10.0 if start is None else np.asarray(start)
    labels = {
        "neuroid": {
            "neuroid_id": np.array([f"Chabo_L_M_{u}" for u in range(n_units)]),
            "subregion": np.resize(REGIONS, n_units),
            "region": np.where(np.resize(REGIONS, n_units) == "V4", "V4", "IT"),
            "animal": np.resize(["Chabo", "Tito"], n_units),
            "arr": np.resize(["M", "A", "P"], n_units),
            "x": np.linspace(0, 1, n_units),
        }
        | (neuroid or {}),
        "presentation": {id_name: np.asarray(image)}
        | ({} if repetition is None else {"repetition": np.asarray(repetition)})
        | (presentation or {}),
        "time_bin": {"time_bin_start": start, end_name: start + width},
    }
    if leftovers:
        for dim, size in (("neuroid", n_units), ("presentation", n_presentations)):
            labels[dim][dim] = np.arange(size)
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.setncatts(attributes or {})
        for dim, size in zip(("neuroid", "presentation", "time_bin"), values.shape, strict=True):
            dataset.createDimension(dim, size)
        for dim, of_dim in labels.items():
            for name, entries in of_dim.items():
                if entries is not None:
                    _write_labels(dataset, dim, name, np.asarray(entries), fixed_text)
        fill = {"fill_value": np.nan} if values.dtype.kind == "f" else {}
        data = dataset.createVariable(variable, values.dtype, dims, **fill, **encoding)
        order = [("neuroid", "presentation", "time_bin").index(dim) for dim in dims]
        data[...] = values.transpose(order) if len(dims) == 3 else values[:, :, 0].transpose(order)
        data.coordinates = " ".join(name for of_dim in labels.values() for name in of_dim)
    return path


def _write_labels(dataset, dim, name, entries, fixed_text):
    if entries.dtype.kind == "U" and fixed_text:
        encoded = np.char.encode(entries, "utf-8")
        length = f"string{encoded.itemsize}"
        if length not in dataset.dimensions:
            dataset.createDimension(length, encoded.itemsize)
        variable = dataset.createVariable(name, "S1", (dim, length))
        variable[...] = encoded.view("S1").reshape(len(entries), -1)
    elif entries.dtype.kind == "U":
        dataset.createVariable(name, str, (dim,))[...] = entries.astype(object)
    else:
        dataset.createVariable(name, entries.dtype, (dim,))[...] = entries


def trial_level(folder, *, n_images=6, n_units=8, n_bins=5, **options):
    """Images shown 2 to 4 times in shuffled order: the path, and (image, trial, unit, time_bin)."""
    rng = np.random.default_rng(0)
    identifier = "lab.Tiny2020"
    trials = np.full((n_images, 4, n_units, n_bins), np.nan, np.float32)
    shown = [(i, k) for i in range(n_images) for k in range(2 + i % 3)]
    image, trial = np.array([shown[at] for at in rng.permutation(len(shown))]).T
    values = rng.normal(size=(n_units, len(shown), n_bins)).astype(np.float32)
    trials[image, trial] = values.swapaxes(0, 1)
    ids = np.array([f"im{i:03d}" for i in range(n_images)])
    shown_columns = {
        "object_name": np.resize(["bear", "car"], n_images),
        "category_name": np.resize(["animals", "cars"], n_images),
        "variation": np.resize([0, 3, 6], n_images),
        "rxy": np.linspace(-90, 90, n_images),
    }
    old = options.pop("old", False)
    write_stimulus_set(folder, identifier, ids, shown_columns, old=old)
    in_file = {name: column[image] for name, column in shown_columns.items()} if old else {}
    path = write_assembly(
        folder / f"assy_{identifier.replace('.', '_')}.nc",
        values,
        image=ids[image],
        repetition=trial,
        id_name="image_id" if old else "stimulus_id",
        presentation={**in_file, **options.pop("presentation", {})},
        **options,
    )
    return path, trials
