"""``brainfit ceiling``: how well a region could be predicted at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from brainfit.cli import options
from brainfit.cli.output import note, others_code, print_json, print_table
from brainfit.registry import lookup

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

_NAMES = {
    "split_half": "split-\nhalf",
    "reliability": "relia-\nbility",
    "pearson_reliability": "Pearson\nrelia-\nbility",
    "ceiling": "ceiling",
}


def ceiling(
    region: Annotated[str, typer.Option(help="V1, V2, V4, pIT, cIT, aIT, or IT for the last three.")],
    recording: Annotated[
        str, typer.Option(help="A name of `brainfit list recordings` or the path of a file.")
    ] = "simulated",
    images: options.Images = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the halves of the trials.")] = 0,
    as_json: options.AsJson = False,
) -> None:
    """Estimate the noise ceiling of a region, bin by bin.

    Trials are split in random halves; a ceiling of 1 means that they say the same. Medians are over the
    units whose halves agree for sure; – marks bins where fewer than half of the units do. The interval of a
    window's ceiling speaks of new images and new units.

    Example: brainfit ceiling --region pIT --recording mine.npz
    """
    from brainfit.analyses.noise_ceiling import noise_ceiling

    with others_code():
        data = lookup.load_recording(recording, n_images=images)
        found = noise_ceiling(data, region=region, n_images=images, seed=seed, execution=options.execution())
    if data.simulated:
        note(f"the recording {data.name!r} is simulated: its ceiling says nothing about a brain")
    summary = _summary(found)
    if as_json:
        print_json(summary)
        return
    rows = [[f"{b['time_bin_start']:g}–{b['time_bin_end']:g} ms", *_cells(b)] for b in summary["per_bin"]]
    rows += [[name, *_cells(window)] for name, window in summary["windows"].items()]
    print_table(
        ["bins", *_NAMES.values(), "its\n95 %", "units\ndefined"],
        rows,
        title=f"{summary['region']} of {summary['recording']}: {summary['n_units']} units, "
        f"{summary['n_images']} images",
    )
    for line in summary["dropped"]:
        note(f"dropped {line}")


def _summary(found: xr.Dataset) -> dict[str, Any]:
    """Return medians over defined units, as plain values; None where there is none."""
    from brainfit.scoring.result import MIN_DEFINED

    per_bin = []
    for t in range(found.sizes["time_bin"]):
        at = found.isel(time_bin=t)
        enough = float(at["defined"].mean()) >= MIN_DEFINED
        bounds = {name: float(at[name]) for name in ("time_bin_start", "time_bin_end")}
        per_bin.append({**bounds, **_medians(at, "", at["defined"] if enough else at["defined"] & False)})
    windows = {
        str(name): {
            **_medians(found.sel(window=name), "window_", found["window_defined"].sel(window=name)),
            "ci95": _interval(found["window_ci95"].sel(window=name).values),
        }
        for name in found["window"].values
    }
    attributes = {**found.attrs, "simulated": bool(found.attrs["simulated"])}
    return {**attributes, "n_units": found.sizes["unit"], "windows": windows, "per_bin": per_bin}


def _medians(data: xr.Dataset, prefix: str, defined: xr.DataArray) -> dict[str, Any]:
    import numpy as np

    values = {name: data[f"{prefix}{name}"].values[defined.values] for name in _NAMES}
    medians = {name: float(np.median(v)) if len(v) else None for name, v in values.items()}
    return {**medians, "n_defined": int(data[f"{prefix}defined"].sum())}


def _interval(bounds: np.ndarray) -> list[float] | None:
    low, high = map(float, bounds)
    return [low, high] if low <= high else None  # NaN is neither


def _cells(row: dict[str, Any]) -> list[str]:
    numbers = ["–" if row[name] is None else f"{row[name]:.3f}" for name in _NAMES]
    bounds = [f"{bound:.2f}".removeprefix("0") for bound in row.get("ci95") or ()]  # eighty columns are few
    return [*numbers, "–".join(bounds), str(row["n_defined"])]
