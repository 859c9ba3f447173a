"""How much memory there is, how much a run will take, and a refusal before it takes too much."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from brainfit.errors import ResourceError

GIB = 2.0**30
_CGROUP = Path("/sys/fs/cgroup")


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
        parts = ", ".join(f"{name} {_readable(size)}" for name, size in needed.items())
        raise ResourceError(
            f"this needs about {_readable(total)} ({parts}), and {_readable(free)} are available; {hint}"
        )


def _readable(size: float) -> str:
    """Bytes in a unit that shows them.

    >>> _readable(3.21 * GIB), _readable(0.05 * GIB), _readable(1000)
    ('3.2 GiB', '51.2 MiB', '0.000954 MiB')
    """
    return f"{size / GIB:.1f} GiB" if size >= 0.1 * GIB else f"{size * 1024 / GIB:.3g} MiB"
