"""Time two ways to do the same side by side, and measure what memory one takes.

Import this module before numpy and torch, as ``python perf/bench.py`` does for all workloads: it fixes the
number of threads, and says that waiting ones must not spin.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

THREADS = min(2, os.cpu_count() or 1)
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = str(THREADS)
os.environ["OMP_WAIT_POLICY"] = "passive"

_GB = 1e9


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
    """Wall-clock time of one call."""
    gc.collect()
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def peak_gb(function: Callable[[], Any]) -> float:
    """Measure by how much one call raises the resident memory at most, in GB (1e9 bytes).

    The call is made in a forked child, which has all that the caller has; what was there before does not
    count, unless it is written to. The child uses one thread, for OpenMP's do not survive a fork.

    Raises
    ------
    RuntimeError
        If the call fails, or the child is killed.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_measure, args=(function, sender))
    _release_free_memory()
    child.start()
    sender.close()
    try:
        return receiver.recv() / _GB
    except EOFError as error:
        child.join()
        raise RuntimeError(f"the measured call ended with exit code {child.exitcode}") from error
    finally:
        child.join()


def _measure(function: Callable[[], Any], sender: Any) -> None:
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    with threadpool_limits(1):
        before = _max_rss()
        function()
        sender.send(_max_rss() - before)


def _max_rss() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _release_free_memory() -> None:
    """Give freed memory back to the system: the child would use it again, and nobody would see."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


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
) -> dict[str, Any]:
    """One line of ``perf/results.json``.

    Parameters
    ----------
    workload
        Its id in the table of workloads and what it is, such as ``"C1 counts: 1,280 images x ..."``.
    timing
        Of `interleaved`; its seconds may be scaled up where a peer ran on a part, if the note says so.
    peer, version
        What it is compared with; `version` may be empty.
    at_least
        The smallest ratio peer / ours that meets the target; None where there is none.
    ours_gb, peer_gb
        Of `peak_gb`; None where not measured.
    limit_gb
        The largest `ours_gb` that meets the target.
    also
        Whether all else that the target asks holds, such as equal results; the note says what.
    note
        What a reader must know.
    """
    fast = at_least is None or timing["ratio"] >= at_least
    small = limit_gb is None or (ours_gb is not None and ours_gb <= limit_gb)
    targets = [] if at_least is None else [f">= {at_least:g}x"]
    targets += [] if limit_gb is None else [f"<= {limit_gb:g} GB"]
    return {
        "workload": workload,
        "ours": {"seconds": timing["ours"], "peak_gb": ours_gb},
        "peer": {"name": peer, "version": version, "seconds": timing["peer"], "peak_gb": peer_gb},
        "ratio": timing["ratio"],
        "spread": timing["spread"],
        "target": ", ".join(targets),
        "met": bool(fast and small and also),
        "note": note,
    }


def alone(
    workload: str,
    ours_seconds: float,
    *,
    target: str,
    met: bool,
    ours_gb: float | None = None,
    note: str = "",
) -> dict[str, Any]:
    """Like `row`, for what has no peer: a limit of memory, a time, an exponent."""
    return {
        "workload": workload,
        "ours": {"seconds": ours_seconds, "peak_gb": ours_gb},
        "peer": {"name": None, "version": None, "seconds": None, "peak_gb": None},
        "ratio": None,
        "spread": None,
        "target": target,
        "met": bool(met),
        "note": note,
    }


def show(entry: dict[str, Any]) -> str:
    """One line for people."""
    took = f"{entry['ours']['seconds']:.3g} s"
    if entry["ours"]["peak_gb"] is not None:
        took += f", {entry['ours']['peak_gb']:.2f} GB"
    if entry["ratio"] is not None:
        low, high = entry["spread"]
        took += f"; {entry['ratio']:.2f}x [{low:.2f}, {high:.2f}] {entry['peer']['name']}"
    met = "met" if entry["met"] else "NOT MET"
    return f"{entry['workload']}: {took}; target {entry['target'] or '-'}: {met}. {entry['note']}".strip()
