"""Measure how near the simulated recording is to published ones: the table of docs/simulated-recording.md.

``python perf/realism.py [--version 1] [--images 192]`` prints a Markdown table, one column a region.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from brainfit.contracts.recording import Recording
from data_loaders.simulated import truth
from data_loaders.simulated.recording import VERSIONS, simulated, simulated_v1

REGIONS = ("V4", "pIT", "cIT", "aIT")
EVOKED, EARLY, LATE, WINDOW = slice(7, 17), slice(7, 10), slice(15, 20), slice(7, 25)


def correlations(values: np.ndarray) -> np.ndarray:
    """Return the correlations of all pairs of columns of (row, unit) that vary."""
    values = values[:, values.std(axis=0) > 1e-9]
    return np.corrcoef(values.T)[np.triu_indices(values.shape[1], 1)]


def measure(recording: Recording, counts: np.ndarray, mean: np.ndarray, region: str) -> dict[str, str]:
    """Return the rows of the table for one region."""
    labels = recording.responses
    units = np.flatnonzero(labels["region"].values == region)
    part = recording.select_units(units)
    count = counts[:, :, units, EVOKED].sum(axis=3)
    average, variance = np.nanmean(count, axis=1), np.nanvar(count, axis=1, ddof=1)
    noise = []
    for animal in np.unique(labels["animal"].values[units]):
        same = labels["animal"].values[units] == animal
        rows = (count - average[:, None])[:, :, same].reshape(-1, same.sum())
        noise.append(correlations(rows[np.isfinite(rows).all(axis=1)]))
    of_region = mean[:, units]
    early, late = of_region[..., EARLY].mean(-1), of_region[..., LATE].mean(-1)
    tells = early.std(axis=0) > 1e-9
    tuning = [np.corrcoef(early[:, u], late[:, u])[0, 1] for u in np.flatnonzero(tells)]
    ceiling = truth.true_ceiling(part).values[tells]
    shown = replace(part, responses=part.responses.isel(time_bin=WINDOW))
    rate = 100 * VERSIONS[recording.provenance["version"]].blank(recording.provenance["seed"])[units]
    return {
        "rate on a blank, at the peak of the mean response (spikes/s)": f"{np.median(rate):.0f}, "
        f"{np.median(rate * of_region.mean(0).max(-1)):.0f}",
        "Fano factor, 70-170 ms": f"{np.median(variance.mean(0) / average.mean(0)):.2f}",
        "noise correlation within an animal, 70-170 ms": f"{np.concatenate(noise).mean():.3f}",
        "signal correlation, mean (sd)": "{:.2f} ({:.2f})".format(
            *(f(correlations(of_region[..., EVOKED].mean(-1))) for f in (np.mean, np.std))
        ),
        "tuning 70-100 ms against 150-200 ms, median r": f"{np.median(tuning):.2f}",
        "reliability of the average in the best bin, median": f"{np.median(np.nanmax(ceiling, 1) ** 2):.2f}",
        "share of the variance that is image-driven, from 70 ms": (
            f"{np.nanmedian(truth.image_driven_share(shown)):.2f}"
        ),
        "units that tell no images apart": f"{np.mean(~tells):.0%}",
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", default="2", choices=VERSIONS)
    parser.add_argument("--images", type=int, default=192)
    given = parser.parse_args()
    recording = {"1": simulated_v1, "2": simulated}[given.version](n_images=given.images)
    counts = recording.responses.values * VERSIONS[given.version].blank(0)[:, None]
    mean = truth.mean_responses(recording).values
    columns = [measure(recording, counts, mean, region) for region in REGIONS]
    print(f"| | {' | '.join(REGIONS)} |\n|---|{'---|' * len(REGIONS)}")
    for row in columns[0]:
        print(f"| {row} | {' | '.join(column[row] for column in columns)} |")


if __name__ == "__main__":
    main()
