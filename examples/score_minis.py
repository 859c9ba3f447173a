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
from pathlib import Path
from typing import Any

import brainfit
from brainfit.training.run import CARD

TABLES = Path(__file__).parents[1] / "docs/small-networks"
MODELS = ("median_convrnn_mini", "ff_wide_mini", "median_convrnn_minimal_mini", "ff_mini", "basenet_mini")
REGIONS = ("V4", "pIT", "cIT", "aIT")
PAIRS = (
    (("median_convrnn_mini", "trained"), ("median_convrnn_mini", "random")),
    (("ff_wide_mini", "trained"), ("ff_wide_mini", "random")),
    (("median_convrnn_mini", "trained"), ("median_convrnn_minimal_mini", "trained")),
    (("median_convrnn_mini", "trained"), ("ff_mini", "trained")),
    (("median_convrnn_mini", "trained"), ("ff_wide_mini", "trained")),
)
"""Pairs that are reported; p is corrected for all pairs of the networks in them."""
SCORE_COLUMNS = (
    "model", "weights", "seed", "region", "layer", "window", "image_driven", "low", "high", "plain",
    "time_course", "n_defined", "n_units", "n_images", "n_test_images",
)  # fmt: skip
PAIR_COLUMNS = (
    "first", "first_weights", "second", "second_weights", "region", "window", "difference", "low", "high",
    "p_holm", "n_units",
)  # fmt: skip
Case = tuple[str, str, int]
"""Model, ``"trained"`` or ``"random"``, and the seed of either."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/minis/plain"), help="folder of the runs")
    parser.add_argument("--out", type=Path, default=Path("runs/minis/scores"), help="folder of the scores")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--images", type=int, default=640, help="images of the simulated recording")
    given = parser.parse_args()

    given.out.mkdir(parents=True, exist_ok=True)
    recording = brainfit.load_recording("simulated", n_images=given.images)
    scores: dict[tuple[Case, str], brainfit.Score] = {}
    for case in cases(given.seeds):
        for region in REGIONS:
            file = given.out / f"{'-'.join(map(str, case))}-{region}-{given.images}.nc"
            if not file.exists():
                if (model := build(case, given.runs)) is None:
                    continue
                print(file.stem, flush=True)
                brainfit.score(model, recording, region=region).to_netcdf(file)
            scores[case, region] = brainfit.Score.from_netcdf(file)
        write(TABLES / "scores.csv", SCORE_COLUMNS, rows_of_scores(scores))
    write(TABLES / "pairs.csv", PAIR_COLUMNS, rows_of_pairs(scores))


def cases(n_seeds: int) -> Iterator[Case]:
    """Yield all networks with one seed before the next."""
    for seed in range(n_seeds):
        for weights in ("trained", "random"):
            for model in MODELS:
                yield model, weights, seed


def build(case: Case, runs: Path) -> Any:
    """Return the network of a case, or None if it has not been trained yet."""
    model, weights, seed = case
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
    networks = list(dict.fromkeys(network for pair in PAIRS for network in pair))
    for region in REGIONS:
        family = [scores.get(((*network, 0), region)) for network in networks]
        if None in family:
            continue
        for pair in brainfit.compare([score for score in family if score is not None]):
            named = networks[pair.first], networks[pair.second]
            sign = 1 if named in PAIRS else -1
            ordered = named if named in PAIRS else named[::-1]
            if pair.measure != "image_driven" or ordered not in PAIRS:
                continue
            low, high = sorted(sign * end for end in pair.ci95)
            numbers = map(rounded, (sign * pair.difference, low, high))
            yield *ordered[0], *ordered[1], region, pair.window, *numbers, f"{pair.p_holm:.2g}", pair.n_units


def rounded(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def write(path: Path, columns: Sequence[str], rows: Iterator[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
