"""Run every workload beside its peers, and write what came out: ``make bench``.

``python perf/bench.py --quick`` runs them at a tiny size, to see that they work, and writes nothing.
``--only C,E5`` runs those whose id starts so and keeps what ``perf/results.json`` has of the others.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import harness  # first: it fixes the threads of what is imported after it

MODULES = {"unroll": "U", "fitting": "F", "ceilings": "C", "cache": "E3", "memory": "E4", "scaling": "E5"}
"""Which files of this folder have workloads, and how the ids of these start."""
RESULTS = Path(__file__).parent / "results.json"


def workloads(only: list[str]) -> dict[str, Callable[..., list[dict[str, Any]]]]:
    """Return the `rows` of each module with a wanted workload."""
    wanted = {
        name: family
        for name, family in MODULES.items()
        if not only or any(start.startswith(family) or family.startswith(start) for start in only)
    }
    return {name: importlib.import_module(name).rows for name in wanted}


def main() -> int:
    """Print a line a workload; return 1 if a target was not met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes; the numbers mean nothing")
    parser.add_argument("--only", default="", help="starts of ids, such as C,E5")
    options = parser.parse_args()
    only = [start for start in options.only.split(",") if start]

    found = []
    for rows in workloads(only).values():
        for row in rows(quick=options.quick):
            if matches(row, only):
                found.append({**row, "measured": datetime.now(UTC).date().isoformat(), "machine": machine()})
                print(harness.show(row), flush=True)
    if not options.quick:
        import page

        merged = merge(json.loads(RESULTS.read_text()) if RESULTS.exists() else [], found)
        RESULTS.write_text(json.dumps(merged, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        for path in page.write(merged):
            print(f"wrote {path}")
    return 0 if options.quick or all(row["met"] for row in found) else 1


def matches(row: dict[str, Any], only: list[str]) -> bool:
    """Whether a row's id, the first word of its workload, starts as wanted."""
    return not only or any(row_id(row).startswith(start) for start in only)


def merge(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Replace all old rows of each id that there are new rows of; in the order of the ids."""
    fresh = {row_id(row) for row in new}
    kept = [row for row in old if row_id(row) not in fresh]
    return sorted([*kept, *new], key=lambda row: "UFCE".find(row["workload"][0]))


def row_id(row: dict[str, Any]) -> str:
    """Return the id of a row: ``C1`` of ``"C1 counts: ..."``."""
    return row["workload"].replace(":", " ").split()[0]


def machine() -> str:
    """Name what a reader needs to know of the machine."""
    import psutil

    memory = round(psutil.virtual_memory().total / 2**30)
    return f"{psutil.cpu_count()} cores ({platform.machine()}), {memory} GB, {harness.THREADS} threads"


if __name__ == "__main__":
    sys.exit(main())
