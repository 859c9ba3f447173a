"""Read the time bins of a file in BrainIO's layout, in ms from image onset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from brainfit.errors import ContractError
from brainfit.support.messages import printable

from .layout import Layout

TIMES = ("time_bin_start", "time_bin_end", "time_bin_stop")
_WANTED_MS = 10.0
_NEAR_MS = 0.01
"""Largest difference, in ms, between times that are equal but for rounding."""
_SECONDS = 5.0
"""Bound between the two units: all times in seconds are below it, and some time in ms is above."""


@dataclass(frozen=True, eq=False)
class TimeBins:
    """Time bins of a recording, and the bins of the file that they average.

    Attributes
    ----------
    start, end
        Times in ms, shape (time_bin,).
    members
        Positions of the file's bins that each bin averages, shape (time_bin, n).
    windows
        Description in words.
    n_dropped
        Number of the file's bins that are in no whole bin.
    """

    start: np.ndarray
    end: np.ndarray
    members: np.ndarray
    windows: str
    n_dropped: int = 0


def time_bins(layout: Layout, path: Path) -> TimeBins:
    """Return the bins of a file.

    Times are seconds if all are within ±5 and every bin is narrower than 1; else they are ms. Adjoining bins
    of one width of which 10 ms is a multiple are averaged to 10 ms. Bins that overlap never are averaged:
    that would smear responses in time.

    Raises
    ------
    ContractError
        If the file lacks the start or the end of its bins.
    """
    start, end = _times(layout, path)
    width = end - start
    if np.abs([start, end]).max() < _SECONDS and width.max() < 1:
        # Rounded to µs: float32 seconds are no more exact, and 99.999999 would begin no whole bin of 10 ms.
        start, end = (np.round(1000 * times, 3) for times in (start, end))
        width = np.round(end - start, 3)
    follow = np.allclose(start[1:], end[:-1], rtol=0, atol=_NEAR_MS)
    several = round(_WANTED_MS / width[0]) if 0 < width[0] < _WANTED_MS else 1
    whole_ms = np.allclose(width * several, _WANTED_MS, rtol=0, atol=_NEAR_MS)
    if several > 1 and follow and whole_ms and start.size >= several:
        beside = (start + _WANTED_MS / 2) % _WANTED_MS - _WANTED_MS / 2
        whole = np.flatnonzero(np.abs(beside) < _NEAR_MS)
        first = int(whole[0]) if whole.size and whole[0] + several <= start.size else 0
        members = np.arange(first, start.size - several + 1, several)[:, None] + np.arange(several)
        return TimeBins(
            start[members[:, 0]],
            end[members[:, -1]],
            members,
            f"{width[0]:g} ms wide, one after the other: averaged to {_WANTED_MS:g} ms",
            start.size - members.size,
        )
    return TimeBins(start, end, np.arange(start.size)[:, None], _described(start, end))


def _described(start: np.ndarray, end: np.ndarray) -> str:
    width, step = np.unique(np.round(end - start, 3)), np.unique(np.round(np.diff(start), 3))
    wide = f"{width[0]:g}" if width.size == 1 else f"{width[0]:g} to {width[-1]:g}"
    if not step.size:
        return f"{wide} ms wide, one"
    apart = f"{step[0]:g}" if step.size == 1 else f"{step[0]:g} to {step[-1]:g}"
    overlap = ": overlapping, taken by their centre" if (start[1:] < end[:-1] - _NEAR_MS).any() else ""
    return f"{wide} ms wide, {apart} ms apart{overlap}"


def _times(layout: Layout, path: Path) -> tuple[np.ndarray, np.ndarray]:
    here = layout.coords.get("time_bin", {})
    here = here or {name: np.atleast_1d(layout.scalars[name]) for name in TIMES if name in layout.scalars}
    ends = [name for name in TIMES[1:] if name in here]
    if TIMES[0] not in here or not ends:
        raise ContractError(
            f"{printable(path, 300)} lacks time_bin_start, or time_bin_end (also time_bin_stop), for its "
            f"{layout.sizes[2]} time bins; it has {', '.join(here) or 'neither'}"
        )
    times = here[TIMES[0]], here[ends[0]]
    for name, values in zip((TIMES[0], ends[0]), times, strict=True):
        if (
            values.dtype.kind not in "iuf"
            or values.shape != (layout.sizes[2],)
            or not np.isfinite(values).all()
        ):
            raise ContractError(
                f"{printable(path, 300)}: {name} is {values.dtype} of shape {values.shape}; wanted "
                f"{layout.sizes[2]} finite numbers"
            )
    return times[0].astype(float), times[1].astype(float)
