"""``brainfit ceiling``: the noise ceiling of a region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from brainfit.cli import options
from brainfit.cli.output import note, number, print_json, print_table, user_code

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    from brainfit.analyses.noise_ceiling import NoiseCeiling

_NAMES = {
    "split_half": "split-\nhalf",
    "reliability": "relia-\nbility",
    "pearson_reliability": "Pearson\nrelia-\nbility",
    "ceiling": "ceiling",
}


def ceiling(
    region: options.Region,
    recording: options.Recording = "simulated",
    presentations: options.Presentations = None,
    regions: options.Regions = None,
    images: options.Images = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split of the trials into halves.")] = 0,
    as_json: options.AsJson = False,
) -> None:
    """Estimate the noise ceiling of a region, bin by bin.

    Trials are split into random halves; a ceiling of 1 means that the halves agree. Medians are taken over
    the defined units, whose halves agree better than chance; – marks bins where fewer than half of the units
    are defined. The interval of a window's ceiling generalises to new images and new units.

    Example: brainfit ceiling --region pIT --recording mine.npz
    """
    from brainfit.analyses.noise_ceiling import noise_ceiling

    with user_code():
        data = options.load_recording(recording, images=images, presentations=presentations, regions=regions)
        found = noise_ceiling(data, region=region, n_images=images, seed=seed, execution=options.execution())
    if data.simulated:
        note(f"the recording {data.name!r} is simulated: its ceiling says nothing about brains")
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


def _summary(result: NoiseCeiling) -> dict[str, Any]:
    """Return medians over defined units as plain values; None where no unit is defined."""
    from brainfit.scoring.result import MIN_DEFINED

    found, per_bin = result.data, []
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
    return {**result.info, "n_units": found.sizes["unit"], "windows": windows, "per_bin": per_bin}


def _medians(data: xr.Dataset, prefix: str, defined: xr.DataArray) -> dict[str, Any]:
    import numpy as np

    values = {name: data[f"{prefix}{name}"].values[defined.values] for name in _NAMES}
    medians = {name: float(np.median(v)) if len(v) else None for name, v in values.items()}
    return {**medians, "n_defined": int(data[f"{prefix}defined"].sum())}


def _interval(bounds: np.ndarray) -> list[float] | None:
    low, high = map(float, bounds)
    return [low, high] if low <= high else None  # false for NaN


def _cells(row: dict[str, Any]) -> list[str]:
    numbers = [number(row[name]) for name in _NAMES]
    bounds = [f"{bound:.2f}".removeprefix("0") for bound in row.get("ci95") or ()]  # to fit into 80 columns
    return [*numbers, "–".join(bounds), str(row["n_defined"])]
