"""Run every workload beside its peers, and write what came out: ``make bench``.

``--quick`` runs them at a tiny size, to see that they work, and writes nothing. ``--only C,E5`` runs those
whose id starts so and keeps what ``perf/results.json`` has of the others. Results are written after every
workload, so what is done is done.

Longer workloads are run by hand, and shown on the page if their file exists: ``perf/full_size.py --json
perf/full_size.json`` for E2, ``perf/streamed.py --json perf/full_fit.json`` for all of F4.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import harness  # first: it fixes the threads of what is imported after it

MODULES = {
    "unroll": ("U1", "U2", "U3", "U4"),
    "fitting": ("F1", "F2", "F3"),
    "streamed": ("F4",),
    "merged": ("F5",),
    "ceilings": ("C1", "C2"),
    "default_score": ("E1",),
    "cache": ("E3",),
    "memory": ("E4",),
    "scaling": ("E5",),
    "training": ("T1", "T2"),
}
"""The files of this folder and the ids of their `WORKLOADS`."""
HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
BY_HAND = (HERE / "full_size.json", HERE / "full_fit.json")
Rows = list[dict[str, Any]]


def workloads(only: list[str]) -> Iterator[tuple[str, Callable[[bool], Rows]]]:
    """Yield the wanted ids and what measures them; modules are imported when it is their turn."""
    for name, ids in MODULES.items():
        for one in ids:
            if not only or any(one.startswith(start) for start in only):
                yield one, importlib.import_module(name).WORKLOADS[one]


def main() -> int:
    """Print a line a row; return 1 if a target was not met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes; the numbers mean nothing")
    parser.add_argument("--only", default="", help="starts of ids, such as C,E5")
    options = parser.parse_args()
    only = [start for start in options.only.split(",") if start]

    began, met = time.monotonic(), True
    for one, measure in workloads(only):
        started = time.monotonic()
        found = [stamped(row) for row in measure(options.quick)]
        for row in found:
            print(harness.show(row), flush=True)
        print(f"  {one} took {time.monotonic() - started:.0f} s", flush=True)
        met = met and all(row["met"] for row in found)
        if not options.quick:
            write_rows(RESULTS, merge(read_rows(RESULTS), found))
    print(f"all took {(time.monotonic() - began) / 60:.1f} minutes")
    if options.quick:
        return 0
    import page

    for path in page.write([row for part in (RESULTS, *BY_HAND) for row in read_rows(part)]):
        print(f"wrote {path}")
    return 0 if met else 1


def read_rows(path: Path) -> Rows:
    """Return the rows of a file, none if it is not there."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def write_rows(path: Path, rows: Rows) -> None:
    """Write rows as JSON."""
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def merge(old: Rows, new: Rows) -> Rows:
    """Replace all old rows of each id that there are new rows of; in the order of the ids."""
    fresh = {row_id(row) for row in new}
    kept = [row for row in old if row_id(row) not in fresh]
    return sorted([*kept, *new], key=lambda row: ("UFCET".find(row["workload"][0]), row_id(row)))


def row_id(row: dict[str, Any]) -> str:
    """Return the id of a row: ``C1`` of ``"C1 counts: ..."``."""
    return row["workload"].replace(":", " ").split()[0]


def stamped(row: dict[str, Any]) -> dict[str, Any]:
    """Add when and on what machine it was measured."""
    return {**row, "measured": datetime.now(UTC).date().isoformat(), "machine": machine()}


def machine() -> str:
    """Name what a reader needs to know of the machine."""
    import psutil

    memory = round(psutil.virtual_memory().total / 2**30)
    return f"{psutil.cpu_count()} cores ({platform.machine()}), {memory} GB, {harness.THREADS} threads"


if __name__ == "__main__":
    sys.exit(main())
