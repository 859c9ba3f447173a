"""How much memory there is, how much a run will take, and a refusal before it takes too much."""

from __future__ import annotations

import ctypes
import math
import resource
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Self

import psutil

from brainfit.errors import ResourceError
from brainfit.support.messages import format_bytes

_CGROUP = Path("/sys/fs/cgroup")
_MEMBER = Path("/proc/self/cgroup")
_NAMES = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""Of a control group of either version: its limit, what it uses, and what of this is files' that can go."""
_LIBRARIES = 0.43e9
"""Resident memory that imports take before a score begins: 0.41 GB with torch 2.13."""
_ADDRESSES = 1.35e9
"""Address space for the same: 1.0 GB, and what two threads and their libraries reserve for later."""
_EVERY_S = 0.001


def peak_bytes() -> int:
    """Largest resident memory of this process so far, in bytes.

    Linux counts in `ru_maxrss` what the process held that started this one, but not in `VmHWM`.
    """
    with suppress(OSError):
        _, found, rest = Path("/proc/self/status").read_text(encoding="ascii").partition("VmHWM:")
        if found:
            return 1024 * int(rest.split()[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def available_bytes() -> int:
    """Memory that this process may still take, in bytes.

    The least of what the machine has free, what the limits of its control group and of those above that one
    leave (a container's, of either version), and its own limit of addresses (``ulimit -v``).
    """
    free = [psutil.virtual_memory().available, _left_of_addresses()]
    free += [_left_in(folder, version) for folder, version in _groups()]
    return int(max(min(free), 0))


def check_start() -> None:
    """Refuse to begin where the libraries of a score would not fit: they crash where memory ends.

    Raises
    ------
    ResourceError
        If they would not.
    """
    hint = "close other programs, or raise the limit of this container or batch job"
    check_memory({"libraries": _LIBRARIES}, hint)
    if (left := _left_of_addresses()) < _ADDRESSES:
        raise ResourceError(
            f"this needs about {format_bytes(_ADDRESSES)} of addresses, and the limit (ulimit -v) leaves "
            f"{format_bytes(left)}; raise it"
        )


def _left_of_addresses() -> float:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return math.inf
    return max(limit - psutil.Process().memory_info().vms, 0)


def _groups() -> Iterator[tuple[Path, int]]:
    """Yield the folders of the control groups that may limit this process, with the version of each.

    A container may see itself at the top, whatever the name by which the machine knows it; so folders that
    are not there are only passed over.
    """
    with suppress(OSError):
        for line in _MEMBER.read_text().splitlines():
            _, _, member = line.partition(":")
            controllers, _, name = member.partition(":")
            if not controllers:
                tops, version = (_CGROUP, _CGROUP / "unified"), 2
            elif "memory" in controllers.split(","):
                tops, version = (_CGROUP / "memory",), 1
            else:
                continue
            below = PurePosixPath(name.lstrip("/"))
            for top in tops:
                for part in (below, *below.parents):
                    if ".." not in part.parts:  # of a group outside what this process sees
                        yield top / part, version


def _left_in(group: Path, version: int) -> float:
    """Return what a control group's limit leaves; infinity where it has none."""
    limit, used, reclaimable = _NAMES[version]
    try:
        left = int((group / limit).read_text()) - int((group / used).read_text())
    except (OSError, ValueError):  # "max" is no number
        return math.inf
    with suppress(OSError, ValueError):
        facts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        left += int(facts.get(reclaimable, 0))
    return left


class PeakMemory:
    """Sees how much more memory this process holds at most, while the block lasts.

    Attributes
    ----------
    peak
        In bytes, beyond what was held when the block began; what comes and goes within a millisecond, or
        into memory that was freed before and not given back, is not seen.
    before
        What was held then.
    kept
        What of it was still held when the block ended.
    """

    peak = before = kept = 0.0

    def __enter__(self) -> Self:
        self._process, self._done = psutil.Process(), threading.Event()
        trim_heap()
        self.before = float(self._process.memory_info().rss)
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._take()
        trim_heap()
        self.kept = self._process.memory_info().rss - self.before

    def _look(self) -> None:
        while not self._done.wait(_EVERY_S):
            self._take()

    def _take(self) -> None:
        self.peak = max(self.peak, self._process.memory_info().rss - self.before)


def trim_heap() -> None:
    """Give freed memory back to the system, where it does not do so by itself: or it would be counted."""
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)


def check_memory(needed: Mapping[str, float], hint: str) -> None:
    """Refuse work that does not fit.

    Parameters
    ----------
    needed
        What will be held at the same time, in bytes, by the name of what holds it.
    hint
        What the user can lower.

    Raises
    ------
    ResourceError
        If the sum exceeds what is available.
    """
    total, free = sum(needed.values()), available_bytes()
    if total > free:
        parts = ", ".join(f"{name} {format_bytes(size)}" for name, size in needed.items())
        raise ResourceError(
            f"this needs about {format_bytes(total)} ({parts}), and {format_bytes(free)} are available; "
            f"{hint}"
        )
