"""Time two ways to do the same side by side, and say what came out.

Import this module before numpy and torch, as ``python perf/bench.py`` does for all workloads: it fixes the
number of threads, and says that waiting ones must not spin.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

THREADS = min(2, os.cpu_count() or 1)
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = str(THREADS)
os.environ["OMP_WAIT_POLICY"] = "passive"


def interleaved(ours: Callable[[], Any], peer: Callable[[], Any], repeats: int) -> dict[str, Any]:
    """Run both in turn, A B A B ..., so that what else the machine does hits both alike.

    Neither is warmed up: call them once before where the first call does what later ones do not.

    Returns
    -------
    dict
        `ours` and `peer`, the median seconds; `ratios`, peer / ours of each pair; `ratio`, their median;
        `spread`, the lowest and the highest of them.
    """
    pairs = [(seconds(ours), seconds(peer)) for _ in range(repeats)]
    ratios = [theirs / mine for mine, theirs in pairs]
    return {
        "ours": median(mine for mine, _ in pairs),
        "peer": median(theirs for _, theirs in pairs),
        "ratios": ratios,
        "ratio": median(ratios),
        "spread": [min(ratios), max(ratios)],
    }


def seconds(function: Callable[[], Any]) -> float:
    """Return the wall-clock time of one call."""
    gc.collect()
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def around(ours: Callable[[], Any], peers: Sequence[Callable[[], Any]]) -> list[dict[str, Any]]:
    """Run each slow peer once, and ours before, between and after them.

    Returns
    -------
    list
        For each peer what `interleaved` gives; `spread` is that of the runs of ours.
    """
    mine, theirs = [seconds(ours)], []
    for peer in peers:
        theirs.append(seconds(peer))
        mine.append(seconds(ours))
    return [
        {
            "ours": median(mine),
            "peer": other,
            "ratio": other / median(mine),
            "spread": [other / max(mine), other / min(mine)],
        }
        for other in theirs
    ]


def row(
    workload: str,
    timing: dict[str, Any],
    *,
    peer: str,
    version: str,
    at_least: float | None = None,
    ours_gb: float | None = None,
    peer_gb: float | None = None,
    limit_gb: float | None = None,
    also: bool = True,
    note: str = "",
    profile: Callable[[], list[list[Any]]] | None = None,
) -> dict[str, Any]:
    """One line of ``perf/results.json``.

    Parameters
    ----------
    workload
        Its id in the table of workloads, which of them it is and what: ``"C1 counts: 1,280 images x ..."``.
    timing
        Result of `interleaved` or `around`; its seconds may be scaled up if a peer ran on a part and the note
        says so.
    peer, version
        Name and version of the peer; `version` may be empty.
    at_least
        The smallest ratio peer / ours that meets the target; None where there is none.
    ours_gb, peer_gb
        Result of `peaks.peak_gb`; None if not measured.
    limit_gb
        The largest `ours_gb` that meets the target.
    also
        True if the target's other conditions hold, such as equal results; the note names them.
    note
        Remark for the reader.
    profile
        Finds where the time goes (`profiles`); asked only if the target is missed.
    """
    missed = []
    if at_least is not None and timing["ratio"] < at_least:
        missed.append(f"{timing['ratio']:.3g}x, {1 - timing['ratio'] / at_least:.0%} too little")
    if limit_gb is not None and (ours_gb is None or ours_gb > limit_gb):
        missed.append("no memory measured" if ours_gb is None else exceeds(ours_gb, limit_gb, "GB"))
    missed += [] if also else ["what else is asked does not hold"]
    targets = [] if at_least is None else [f">= {at_least:g}x"]
    targets += [] if limit_gb is None else [f"<= {limit_gb:g} GB"]
    found = alone(
        workload,
        timing["ours"],
        target=", ".join(targets),
        missed=missed,
        ours_gb=ours_gb,
        note=note,
        profile=profile,
    )
    theirs = {"name": peer, "version": version, "seconds": timing["peer"], "peak_gb": peer_gb}
    return found | {"peer": theirs, "ratio": timing["ratio"], "spread": timing["spread"]}


def exceeds(found: float, limit: float, unit: str) -> str:
    """Describe a value, and by how much it exceeds a limit."""
    return f"{found:.3g} {unit}, {found / limit - 1:.0%} too much"


def alone(
    workload: str,
    ours_seconds: float,
    *,
    target: str,
    missed: Sequence[str],
    ours_gb: float | None = None,
    note: str = "",
    profile: Callable[[], list[list[Any]]] | None = None,
) -> dict[str, Any]:
    """Make a row without a peer: a limit of memory, a time, an exponent.

    `missed` says what is not as the target wants it, as `exceeds` does; nothing if all is.
    """
    found = {
        "workload": workload,
        "ours": {"seconds": ours_seconds, "peak_gb": ours_gb},
        "peer": {"name": None, "version": None, "seconds": None, "peak_gb": None},
        "ratio": None,
        "spread": None,
        "target": target,
        "met": not missed,
        "missed": "; ".join(missed),
        "note": note,
    }
    return {**found, "profile": profile()} if missed and profile is not None else found


def show(entry: dict[str, Any]) -> str:
    """One line for people."""
    took = f"{entry['ours']['seconds']:.3g} s"
    if entry["ours"]["peak_gb"] is not None:
        took += f", {entry['ours']['peak_gb']:.2f} GB"
    if entry["ratio"] is not None:
        low, high = entry["spread"]
        took += f"; {entry['ratio']:.2f}x [{low:.2f}, {high:.2f}] {entry['peer']['name']}"
    met = "met" if entry["met"] else "NOT MET"
    lines = [f"{entry['workload']}: {took}; target {entry['target'] or '-'}: {met}. {entry['note']}".strip()]
    for what, *seconds in entry.get("profile", [])[1:]:
        lines.append(f"    {what}: " + ", ".join(f"{value:.3g} s" for value in seconds))
    return "\n".join(lines)
