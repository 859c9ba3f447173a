"""The page of docs about speed and memory, with its figures, made from ``perf/results.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from brainfit.figures.style import CEILING, FAINT, INK, MEDIAN, MODEL, MUTED, STYLE

DOCS = Path(__file__).resolve().parents[1] / "docs"
FAMILIES = {
    "U": "Unrolling networks over time",
    "F": "Fitting",
    "C": "Noise ceilings",
    "E": "End to end",
    "T": "Training",
}
WANTED = {
    **dict.fromkeys(("U1", "U2", "U3", "U4 ff", "U4 resnet18")),
    "U5": "needs the code of the authors of the networks, which is no part of this project",
    "F1 scikit-learn": None,
    "F1 himalaya": "needs himalaya, of the extra `perf`",
    **dict.fromkeys(("F2", "F2 SGD", "F3", "F3 bfloat16", "F3 SGD", "F4")),
    "F4 whole": "`python perf/streamed.py --json perf/full_fit.json`, by hand",
    **dict.fromkeys(("F5 unmerged", "F5 scikit-learn", "C1 counts", "C1 continuous", "C2", "E1")),
    "E2": "`python perf/full_size.py --images 5120 --json perf/full_size.json`, by hand",
    **dict.fromkeys(("E3", "E4", "E5", "T1", "T2 objects", "T2 imagefolder")),
}
"""Expected rows by the beginning of their names, and the reason why a row may be missing."""
INTRODUCTION = """\
# Performance

Speed and memory of brainfit, compared with other ways to compute the same. `make bench` measures it
all, writes `perf/results.json` and makes this page from it; do not edit it by hand. The two sides of a row
ran in turn, A B A B, with the same number of threads, so a ratio hardly depends on what else the machine
did; seconds do. A ratio is the peer's time over ours, the median over pairs of runs, with the lowest and
the highest in brackets; a slow peer ran once, with ours before and after it. Memory is the largest resident
memory that the work added, with one thread where there is a peer.
"""


def write(rows: list[dict[str, Any]], docs: Path = DOCS) -> list[Path]:
    """Write ``performance.md`` and its figures; return their paths."""
    figures = {"ratios": ratios(rows)}
    if any("curve" in row for row in rows):
        figures["scaling"] = scaling(rows)
    paths = []
    (docs / "figures").mkdir(exist_ok=True)
    for name, figure in figures.items():
        path = docs / "figures" / f"performance_{name}.svg"
        with mpl.rc_context({"svg.hashsalt": "brainfit", "svg.fonttype": "path"}):
            figure.savefig(path, metadata={"Date": None})
        paths.append(path)
    page = docs / "performance.md"
    page.write_text(text(rows), encoding="utf-8")
    return [page, *paths]


def text(rows: list[dict[str, Any]]) -> str:
    """Return the page as Markdown."""
    parts = [INTRODUCTION, *(f"Measured on {m}." for m in sorted({row["machine"] for row in rows}))]
    parts += ["", *missed_targets(rows), *not_measured(rows)]
    parts.append("\n![Ratio of each workload with a peer, and its target](figures/performance_ratios.svg)")
    for family, title in FAMILIES.items():
        some = [row for row in rows if row["workload"].startswith(family)]
        if some:
            parts += [f"\n## {title}\n", *table(some), "", *notes(some)]
            parts += [line for row in some if row.get("profile") for line in profile_table(row)]
    if any("curve" in row for row in rows):
        parts.append("\n![Time against size](figures/performance_scaling.svg)")
    return "\n".join(parts) + "\n"


def label(row: dict[str, Any]) -> str:
    """Return what a row is called: ``C1 counts`` of ``"C1 counts: ..."``."""
    return row["workload"].split(":")[0]


def missed_targets(rows: list[dict[str, Any]]) -> list[str]:
    """List the targets that were missed, and by how much."""
    missed = [row for row in rows if not row["met"]]
    if not missed:
        return ["All targets of what was measured are met."]
    lines = (f"- {label(row)}: {row['missed']}; wanted {relation(row['target'])}." for row in missed)
    return ["Targets not met:\n", *lines]


def not_measured(rows: list[dict[str, Any]]) -> list[str]:
    """List the expected rows that were not measured, with reasons."""
    there = [label(row) for row in rows]
    missing = {
        name: reason
        for name, reason in WANTED.items()
        if not any(one == name or (name in ("E4", "E5") and one.startswith(name)) for one in there)
    }
    lines = (f"- {name}" + (f": {reason}." if reason else ".") for name, reason in missing.items())
    return ["\nNot measured:\n", *lines] if missing else []


def profile_table(row: dict[str, Any]) -> list[str]:
    """Return the profile of a row that missed its target, as a table."""
    (_, *sides), *entries = row["profile"]
    two = len(sides) == 2
    head = ["part", *(f"{side}, seconds" for side in sides), *(["ratio"] if two else [])]
    lines = [f"\n### Where the time goes: {label(row)}\n", "| " + " | ".join(head) + " |"]
    lines.append("|" + "---|" * len(head))
    for what, *seconds in entries:
        ratio = [f"{seconds[1] / seconds[0]:.2f}" if seconds[0] else ""] if two else []
        lines.append("| " + " | ".join([what, *(f"{value:.3g}" for value in seconds), *ratio]) + " |")
    whole, wanted = sum(seconds[0] for what, *seconds in entries if what != "all"), at_least(row)
    if two and wanted is not None:
        slow = [
            f"{what} ({seconds[0] / whole:.0%} of the time of {sides[0]})"
            for what, *seconds in entries
            if what != "all" and seconds[1] < wanted * seconds[0]
        ]
        lines.append(f"\nBelow the wanted ratio of {wanted:.3g}: {', '.join(slow) or 'no part'}.")
    return lines


def relation(target: str) -> str:
    """Return a target with signs for people."""
    return target.replace("<=", "≤").replace(">=", "≥")


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Return the lines of one table."""
    head = ("workload", "seconds", "GB", "peer", "seconds", "GB", "ratio", "target", "met")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        peer = " ".join(filter(None, (row["peer"]["name"], row["peer"]["version"])))
        ratio = "" if row["ratio"] is None else "{:.3g} [{:.3g}, {:.3g}]".format(row["ratio"], *row["spread"])
        cells = (
            row["workload"],
            *numbers(row["ours"]),
            peer,
            *numbers(row["peer"]),
            ratio,
            relation(row["target"]),
            "yes" if row["met"] else "**no**",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def numbers(side: dict[str, Any]) -> tuple[str, str]:
    """Return seconds and GB as text, empty where not measured."""
    seconds, gb = side["seconds"], side["peak_gb"]
    return "" if seconds is None else f"{seconds:.3g}", "" if gb is None else f"{gb:.2g}"


def notes(rows: list[dict[str, Any]]) -> list[str]:
    """Return a line for each row that has something to say."""
    return [f"- {label(row)}: {row['note']}." for row in rows if row["note"]]


def ratios(rows: list[dict[str, Any]]) -> Figure:
    """Draw the ratio of each row with a peer, with its spread and its target."""
    rows = [row for row in rows if row["ratio"] is not None]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 1.2 + 0.3 * len(rows)), layout="constrained")
        ax = figure.subplots()
        for y, row in enumerate(rows):
            color = MODEL if row["met"] else MEDIAN
            ax.plot(row["spread"], [y, y], color=color, linewidth=3, alpha=0.4)
            ax.plot(row["ratio"], y, "o", color=color)
            wanted = at_least(row)
            if wanted is not None:
                ax.plot([wanted, wanted], [y - 0.35, y + 0.35], color=INK, linewidth=1.2)
        ax.axvline(1, color=MUTED, linewidth=0.6, zorder=0)
        ax.set_xscale("log")
        ax.set_yticks(range(len(rows)), [label(row) for row in rows])
        ax.invert_yaxis()
        ax.set_xlabel("Time of the peer / ours (log); black: target; orange: not met")
    return figure


def at_least(row: dict[str, Any]) -> float | None:
    """Return the smallest ratio that meets the target of a row, if it names one."""
    first = row["target"].split("x")[0]
    return float(first.removeprefix(">= ")) if first.startswith(">= ") else None


def scaling(rows: list[dict[str, Any]]) -> Figure:
    """Draw time against size, for the rows that have a `curve`."""
    rows = [row for row in rows if "curve" in row]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        ax = figure.subplots()
        colors = (MODEL, MEDIAN, CEILING, "#009E73", "#E69F00", "#CC79A7")
        for k, row in enumerate(rows):
            sizes, seconds = (np.array(values) for values in row["curve"])
            ax.loglog(
                sizes / sizes[0], seconds / seconds[0], marker="o", markersize=4, label=label(row),
                color=colors[k % len(colors)], linestyle=("-", "--")[k // len(colors) % 2],
            )  # fmt: skip
        if rows:
            most = max(row["curve"][0][-1] / row["curve"][0][0] for row in rows)
            ax.loglog([1, most], [1, most], color=FAINT, zorder=0, label="in proportion")
        ax.set(xlabel="Size / smallest size", ylabel="Time / time of the smallest")
        figure.legend(loc="outside right center")
    return figure
