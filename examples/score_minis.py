"""Score the small networks, trained and random, and write the tables of docs/does-training-matter.md.

    python examples/score_minis.py --runs runs/minis/plain --out runs/minis/scores

Every network is scored against four regions of the simulated recording. Weights of seed 0 are those that come
with brainfit; the other seeds are runs of `train_minis.py`. Scores are kept in `--out`, so that the same
command continues where it stopped. The tables in docs/small-networks/ get a row for each score and window,
and a row for each test of a pair of networks (seed 0).
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Any

import brainfit
from brainfit.training.run import CARD

TABLES = Path(__file__).parents[1] / "docs/small-networks"
REGIONS = ("V4", "pIT", "cIT", "aIT")
WHOLE, EARLY, PER_BIN = "whole", "130 ms", "per bin"
"""Kinds of score: the whole recording; its first 130 ms; the whole recording with a map for each bin. The
minimally unrolled network was trained for 120 ms. Later its activity grows so fast that rounding decides it,
and `brainfit.score` refuses it."""
Network = tuple[str, str]
"""Model, and ``"trained"`` or ``"random"`` weights."""
MEDIAN, WIDE, MINIMAL, FF, BASENET = (
    (f"{name}_mini", "trained")
    for name in ("median_convrnn", "ff_wide", "median_convrnn_minimal", "ff", "basenet")
)
RANDOM_MEDIAN, RANDOM_WIDE = ((name, "random") for name, _ in (MEDIAN, WIDE))
NETWORKS = {
    WHOLE: (MEDIAN, RANDOM_MEDIAN, WIDE, RANDOM_WIDE, FF, BASENET),
    EARLY: (MEDIAN, MINIMAL, WIDE, RANDOM_MEDIAN),
    PER_BIN: (MEDIAN, RANDOM_MEDIAN),
}
PAIRS = {
    WHOLE: ((MEDIAN, RANDOM_MEDIAN), (WIDE, RANDOM_WIDE), (MEDIAN, FF), (MEDIAN, WIDE)),
    EARLY: ((MEDIAN, MINIMAL), (MEDIAN, RANDOM_MEDIAN), (MEDIAN, WIDE)),
    PER_BIN: ((MEDIAN, RANDOM_MEDIAN),),
}
"""Pairs that are reported; p is corrected for all pairs of the networks in them."""
SCORE_COLUMNS = (
    "span", "model", "weights", "seed", "region", "layer", "window", "image_driven", "low", "high", "plain",
    "time_course", "n_defined", "n_units", "n_images", "n_test_images",
)  # fmt: skip
PAIR_COLUMNS = (
    "span", "first", "first_weights", "second", "second_weights", "region", "window", "difference", "low",
    "high", "p_holm", "n_units",
)  # fmt: skip
Case = tuple[str, str, str, int]
"""Kind of score, model, weights, and the seed of either."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/minis/plain"), help="folder of the runs")
    parser.add_argument("--out", type=Path, default=Path("runs/minis/scores"), help="folder of the scores")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds")
    parser.add_argument("--images", type=int, default=640, help="images of the simulated recording")
    given = parser.parse_args()

    given.out.mkdir(parents=True, exist_ok=True)
    whole = brainfit.load_recording("simulated", n_images=given.images)
    whole = replace(whole, responses=whole.responses.load(), stimuli=whole.stimuli.load())  # computed once
    recordings = {WHOLE: whole, EARLY: first_130_ms(whole), PER_BIN: whole}
    endings = {WHOLE: "", EARLY: "-130ms", PER_BIN: "-per-bin"}
    scores: dict[tuple[Case, str], brainfit.Score] = {}
    for case in cases(given.seeds):
        span, model, weights, seed = case
        for region in ("pIT",) if span == PER_BIN else REGIONS:
            name = f"{model}-{weights}-{seed}-{region}-{given.images}"
            file = given.out / f"{name}{endings[span]}.nc"
            if not file.exists():
                if (network := build(model, weights, seed, given.runs)) is None:
                    continue
                print(file.stem, flush=True)
                control = "per-bin" if span == PER_BIN else None
                score = brainfit.score(network, recordings[span], region=region, control=control)
                score.to_netcdf(file)
            scores[case, region] = brainfit.Score.from_netcdf(file)
        write(TABLES / "scores.csv", SCORE_COLUMNS, rows_of_scores(scores))
        write(TABLES / "pairs.csv", PAIR_COLUMNS, rows_of_pairs(scores))


def first_130_ms(recording: brainfit.Recording) -> brainfit.Recording:
    """Return the bins that end at 130 ms or before, and the presentation that they need."""
    kept = recording.responses["time_bin_end"].values <= 130
    return replace(
        recording, responses=recording.responses.isel(time_bin=kept), on_ms=100, off_ms=30, name="simulated"
    )


def cases(n_seeds: int) -> Iterator[Case]:
    """Yield all networks with one seed before the next."""
    for seed in range(n_seeds):
        for span, networks in NETWORKS.items():
            for model, weights in networks:
                yield span, model, weights, seed


def build(model: str, weights: str, seed: int, runs: Path) -> Any:
    """Return a network, or None if it has not been trained yet."""
    if weights == "random":
        return brainfit.load_model(model, weights=f"random:{seed}")
    if seed == 0:
        return brainfit.load_model(model)
    run = runs / f"{model}-seed{seed}"
    return brainfit.load_model(model, weights=str(run)) if (run / CARD).exists() else None


def rows_of_scores(scores: dict[tuple[Case, str], brainfit.Score]) -> Iterator[Sequence[object]]:
    for (case, region), score in scores.items():
        summary = score.to_dict()
        for window, found in {"pooled": summary["pooled"], **summary["windows"]}.items():
            yield (
                *case,
                region,
                score.info["layer"],
                window,
                *map(rounded, (found["image_driven"], *found["image_driven_ci95"])),
                *map(rounded, (found["normalized"], found["time_course"])),
                int(score.data["window_defined"].sel(window=window).sum()),
                score.data.sizes["unit"],
                score.info["n_images"],
                score.info["n_test_images"],
            )


def rows_of_pairs(scores: dict[tuple[Case, str], brainfit.Score]) -> Iterator[Sequence[object]]:
    for span, pairs in PAIRS.items():
        networks = list(dict.fromkeys(network for pair in pairs for network in pair))
        for region in REGIONS:
            family = [scores.get(((span, *network, 0), region)) for network in networks]
            found = [] if None in family else brainfit.compare([one for one in family if one is not None])
            for pair in found:
                named = networks[pair.first], networks[pair.second]
                sign = 1 if named in pairs else -1
                first, second = named if named in pairs else named[::-1]
                if pair.measure != "image_driven" or (first, second) not in pairs:
                    continue
                low, high = sorted(sign * end for end in pair.ci95)
                values = map(rounded, (sign * pair.difference, low, high))
                yield (
                    *(span, *first, *second, region, pair.window),
                    *values,
                    "" if isnan(pair.p_holm) else f"{pair.p_holm:.2g}",
                    pair.n_units,
                )


def rounded(value: float | None) -> str:
    return "" if value is None or isnan(value) else f"{value:.4f}"


def write(path: Path, columns: Sequence[str], rows: Iterator[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
