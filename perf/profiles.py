"""Profile the workloads that miss their target.

A profile is a list of lines [what, seconds, ...], the first of them the head of its table.
"""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Profile = list[list[Any]]
KINDS = {
    "convolutions": ("conv",),
    "copies": ("copy", "clone", "contiguous", "cat", "stack", "index", "fill", "zero"),
    "elementwise": (
        "elu", "relu", "sigmoid", "tanh", "mul", "add", "sub", "div", "addcmul", "lerp", "threshold",
    ),
    "pooling and resizing": ("pool", "upsample", "pad"),
}  # fmt: skip
"""Kinds of torch's operations by a part of their names; the first match counts."""
OTHER = "other"


def by_kind(works: Mapping[str, Callable[[], Any]]) -> Profile:
    """Time each kind of torch's operations, a column for each work; each was called before."""
    found = {name: _kinds(work) for name, work in works.items()}
    lines: Profile = [["", *found]]
    lines += [[kind, *(seconds[kind] for seconds in found.values())] for kind in (*KINDS, OTHER)]
    return [*lines, ["all", *(sum(seconds.values()) for seconds in found.values())]]


def _kinds(work: Callable[[], Any]) -> dict[str, float]:
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as seen:
        work()
    seconds = dict.fromkeys((*KINDS, OTHER), 0.0)
    for event in seen.key_averages():
        seconds[kind(event.key)] += event.self_cpu_time_total / 1e6
    return seconds


def kind(operation: str) -> str:
    """Return what kind an operation is of: ``convolutions`` of ``"aten::mkldnn_convolution"``."""
    name = operation.removeprefix("aten::")
    fitting = (kind for kind, parts in KINDS.items() if any(part in name for part in parts))
    return next(fitting, OTHER)


def busiest(work: Callable[[], Any], n: int = 6) -> Profile:
    """Return the seconds in the slowest functions of the calling thread, without their callees."""
    seen = cProfile.Profile()
    seen.runcall(work)
    stats: Any = pstats.Stats(seen)
    own = {_called(where): 0.0 for where in stats.stats}
    for where, (_, _, seconds, *_) in stats.stats.items():
        own[_called(where)] += seconds
    most = sorted(own.items(), key=lambda item: -item[1])[:n]
    rest = sum(own.values()) - sum(seconds for _, seconds in most)
    return [["", "ours"], *([name, seconds] for name, seconds in most), [OTHER, rest]]


def _called(where: tuple[str, int, str]) -> str:
    """Name a function without the place where it lies on this machine."""
    file, _, function = where
    name = (
        function.removeprefix("<")
        .removesuffix(">")
        .removeprefix("built-in method ")
        .removeprefix("builtins.")
    )
    if name.startswith("method "):
        name = name.split("'")[1]
    return name if file == "~" else f"{Path(file).stem}.{name}"
