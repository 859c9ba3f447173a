"""Write the tables and figures of docs/does-training-matter.md from the CSV files beside this script.

Usage: python docs/small-networks/build.py

The CSV files are results: `examples/train_minis.py` writes the accuracies, `examples/score_minis.py` the
scores and the tests. In the page, everything between ``<!-- NAME -->`` and ``<!-- end -->`` is replaced.
"""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from brainfit import figures
from brainfit.figures.numbers import interval, number
from brainfit.figures.style import SERIES, STYLE

HERE = Path(__file__).parent
PAGE = HERE.parent / "does-training-matter.md"
REGIONS = ("V4", "pIT", "cIT", "aIT")
WINDOWS = ("pooled", "early", "late")
SPANS = ("whole", "130 ms", "per bin")
BLOCK = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def tables() -> dict[str, str]:
    """Return the text of each block by its name."""
    accuracies = {task: _read(f"{task}.csv") for task in ("plain", "hard")}
    scores, pairs = _read("scores.csv"), _read("pairs.csv")
    whole, start, per_bin = (scores.loc[(scores["span"] == span) & (scores["seed"] == 0)] for span in SPANS)
    return {
        "accuracy": _accuracy(accuracies["plain"]),
        "accuracy_pairs": _accuracy_pairs(accuracies["plain"]),
        "hard": _runs(accuracies["hard"]),
        "pooled": _scores(whole, "pooled"),
        "windows": _windows(whole),
        "plain": _plain(whole),
        "pairs": _pairs(pairs.loc[pairs["span"] == SPANS[0]], WINDOWS),
        "per_bin": _windows(per_bin, ("pIT",)),
        "per_bin_pairs": _pairs(pairs.loc[pairs["span"] == SPANS[2]], WINDOWS),
        "all_steps": _all_steps(_read("all-steps.csv")),
        "start": _scores(start, "early"),
        "start_pairs": _pairs(pairs.loc[pairs["span"] == SPANS[1]], ("early",)),
    }


def _read(name: str) -> pd.DataFrame:
    return pd.read_csv(HERE / name)


def _accuracy(runs: pd.DataFrame) -> str:
    rows = [
        [
            f"`{row['model']}`",
            f"{row['parameters']:,}",
            f"{number(row['accuracy'], 3)}",
            interval(row["low"], row["high"]),
            str(row["n_seeds"]),
        ]
        for _, row in figures.summarize_runs(runs).sort_values("accuracy", ascending=False).iterrows()
    ]
    return _table(["network", "parameters", "accuracy", "95 % interval over seeds", "seeds"], rows)


def _runs(runs: pd.DataFrame) -> str:
    rows = [
        [
            f"`{row['model']}`",
            str(row["seed"]),
            f"{row['images']:,}",
            number(row["accuracy"], 3),
            interval(row["low"], row["high"]),
        ]
        for _, row in runs.iterrows()
    ]
    return _table(["network", "seed", "images", "accuracy", "95 % interval over images"], rows)


def _accuracy_pairs(runs: pd.DataFrame) -> str:
    by_seed = runs.pivot(index="seed", columns="model", values="accuracy")
    rows = []
    for other in ("median_convrnn_minimal_mini", "ff_mini", "ff_wide_mini", "basenet_mini"):
        differences = (by_seed["median_convrnn_mini"] - by_seed[other]).dropna()
        found = stats.ttest_1samp(differences, 0)
        ends = found.confidence_interval(0.95)
        cells = [number(differences.mean(), 3), interval(ends.low, ends.high), number(found.pvalue, 3)]
        rows.append([f"`median_convrnn_mini` − `{other}`", *cells, str(len(differences))])
    return _table(["difference of accuracy", "mean", "95 % interval", "p", "seeds"], rows)


def _scores(scores: pd.DataFrame, window: str) -> str:
    rows = []
    for network, group in _networks(scores):
        cells = []
        for region in REGIONS:
            here = _one(group, region, window)
            cells.append(f"{number(here['image_driven'])} ({interval(here['low'], here['high'])})")
        rows.append([*network, *cells])
    return _table(["network", "weights", *REGIONS], rows)


def _windows(scores: pd.DataFrame, regions: tuple[str, ...] = REGIONS) -> str:
    rows = []
    for network, group in _networks(scores):
        cells = [
            " / ".join(number(_one(group, region, window)["image_driven"]) for window in ("early", "late"))
            for region in regions
        ]
        rows.append([*network, *cells])
    return _table(["network", "weights", *(f"{region} early / late" for region in regions)], rows)


def _plain(scores: pd.DataFrame) -> str:
    rows = []
    for network, group in _networks(scores):
        here = [_one(group, region, "pooled") for region in REGIONS]
        rows.append([*network, *(number(row["plain"]) for row in here)])
    course = [number(_one(scores, region, "pooled")["time_course"]) for region in REGIONS]
    return _table(["network", "weights", *REGIONS], [*rows, ["mean time course alone", "–", *course]])


def _all_steps(scores: pd.DataFrame) -> str:
    rows = [
        [
            f"`{row['model']}`",
            f"{row['images']:,}",
            number(row["accuracy"], 3),
            row["region"],
            f"{number(row['image_driven'])} ({interval(row['low'], row['high'])})",
        ]
        for _, row in scores.iterrows()
    ]
    return _table(["network", "images", "accuracy", "region", "image-driven score"], rows)


def _pairs(pairs: pd.DataFrame, windows: tuple[str, ...]) -> str:
    rows = []
    sides = ["first", "first_weights", "second", "second_weights"]
    for (model, weights, other, its), group in pairs.groupby(sides, sort=False):
        for region, of_region in group.groupby("region", sort=False):
            cells = []
            for window in windows:
                row = of_region.loc[of_region["window"] == window].iloc[0]
                p = "< 0.001" if row["p_holm"] < 0.001 else f"{number(row['p_holm'], 3)}"
                cells.append(
                    f"{number(row['difference'])} ({interval(row['low'], row['high'])}), p {p}"
                    if window == windows[0]
                    else f"{number(row['difference'])}, p {p}"
                )
            rows.append([f"`{model}` {weights} − `{other}` {its}", str(region), *cells])
    return _table(["difference", "region", *windows], rows)


def _networks(scores: pd.DataFrame) -> list[tuple[list[str], pd.DataFrame]]:
    groups = scores.groupby(["model", "weights"], sort=False)
    return [([f"`{model}`", weights], group) for (model, weights), group in groups]


def _one(scores: pd.DataFrame, region: str, window: str) -> pd.Series:
    return scores.loc[(scores["region"] == region) & (scores["window"] == window)].iloc[0]


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def draw_curves(curves: pd.DataFrame) -> Figure:
    """Draw the training loss of each network against the number of images seen."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        ax = figure.subplots()
        for (model, group), (color, marker) in zip(curves.groupby("model", sort=False), SERIES, strict=False):
            ax.plot(
                group["images"] / 1000, group["loss"], marker=marker, markersize=4, color=color, label=model
            )
        ax.set(xlabel="Images seen (thousands)", ylabel="Cross-entropy on training images")
        ax.legend()
    return figure


def main() -> None:
    """Write the figures and the page."""
    runs = _read("plain.csv")
    with mpl.rc_context({"svg.hashsalt": "brainfit", "svg.fonttype": "path"}):
        for show in (figures.trained_against_parameters, figures.trained_bars):
            display = show(runs)
            display.figure().savefig(HERE / f"{display.name}.svg", metadata={"Date": None})
        draw_curves(_read("hard-curves.csv")).savefig(HERE / "hard_curves.svg", metadata={"Date": None})
    found = tables()
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(BLOCK.sub(lambda at: at[1] + found[at[2]] + at[3], text), encoding="utf-8")


if __name__ == "__main__":
    main()
