"""How much memory there is, how much a run will take, and a refusal before it takes too much."""

from __future__ import annotations

import ctypes
import resource
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import psutil

from brainfit.errors import ResourceError

GIB = 2.0**30
_CGROUP = Path("/sys/fs/cgroup")
_EVERY_S = 0.001


def peak_gib() -> float:
    """Largest resident memory of this process so far, in GiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / GIB if sys.platform == "darwin" else peak * 1024 / GIB


def available_bytes() -> int:
    """Memory that this process may still take: what the machine has free, or its container's limit."""
    free = psutil.virtual_memory().available
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return free
    return min(free, max(limit - used, 0))


class Watch:
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
        give_back()
        self.before = float(self._process.memory_info().rss)
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._take()
        give_back()
        self.kept = self._process.memory_info().rss - self.before

    def _look(self) -> None:
        while not self._done.wait(_EVERY_S):
            self._take()

    def _take(self) -> None:
        self.peak = max(self.peak, self._process.memory_info().rss - self.before)


def give_back() -> None:
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
        parts = ", ".join(f"{name} {readable(size)}" for name, size in needed.items())
        raise ResourceError(
            f"this needs about {readable(total)} ({parts}), and {readable(free)} are available; {hint}"
        )


def readable(size: float) -> str:
    """Bytes in a unit that shows them.

    >>> readable(3.21 * GIB), readable(0.05 * GIB), readable(1000)
    ('3.2 GiB', '51.2 MiB', '0.000954 MiB')
    """
    return f"{size / GIB:.1f} GiB" if size >= 0.1 * GIB else f"{size * 1024 / GIB:.3g} MiB"
