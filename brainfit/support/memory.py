"""Available and used memory, and a refusal of work that does not fit."""

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
"""Files of a control group by version: its limit, its use, and the reclaimable part of its use."""
_LIBRARIES = 0.43e9
"""Resident memory that imports take before a score begins: 0.41 GB with torch 2.13."""
_ADDRESSES = 1.35e9
"""Address space for the same: 1.0 GB, and what two threads and their libraries reserve for later."""
_EVERY_S = 0.001


def peak_bytes() -> int:
    """Return the largest resident memory of this process so far, in bytes.

    On Linux `ru_maxrss` includes the memory of the process that started this one; `VmHWM` does not.
    """
    with suppress(OSError):
        _, found, rest = Path("/proc/self/status").read_text(encoding="ascii").partition("VmHWM:")
        if found:
            return 1024 * int(rest.split()[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def available_bytes() -> int:
    """Return the memory that this process can still take, in bytes.

    It is the smallest of the machine's free memory, the room within the limits of the process's control group
    and of those above it (of a container, of either version), and the room within its own limit of addresses
    (``ulimit -v``).
    """
    free = [psutil.virtual_memory().available, _left_of_addresses()]
    free += [_left_in(folder, version) for folder, version in _groups()]
    return int(max(min(free), 0))


def check_start() -> None:
    """Check that the numerical libraries fit into memory; they crash, or hang, where it ends.

    Raises
    ------
    ResourceError
        If they do not fit.
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
    """Yield the folders and versions of the control groups that may limit this process.

    A container may see itself at the top, under another name than the machine's, so folders may not exist.
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
                    if ".." not in part.parts:  # a group that this process cannot see
                        yield top / part, version


def _left_in(group: Path, version: int) -> float:
    """Return the bytes that a control group's limit leaves; infinity if it has no limit."""
    limit, used, reclaimable = _NAMES[version]
    try:
        left = int((group / limit).read_text()) - int((group / used).read_text())
    except (OSError, ValueError):  # the limit can be "max"
        return math.inf
    with suppress(OSError, ValueError):
        facts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        left += int(facts.get(reclaimable, 0))
    return left


class PeakMemory:
    """Peak of this process's memory during a block.

    Attributes
    ----------
    peak
        Largest number of bytes beyond those held at the start; use for less than a millisecond, or of memory
        that was freed but not returned to the system, is not seen.
    before
        Bytes held at the start.
    kept
        Additional bytes still held at the end.
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
    """Return freed memory to the system, which would otherwise count it as used."""
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)


def check_memory(needed: Mapping[str, float], hint: str) -> None:
    """Check that work fits into memory.

    Parameters
    ----------
    needed
        Bytes that are held at the same time, by the name of their purpose.
    hint
        Advice on what the user can lower.

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
