"""Paths of edges around a row of boxes, which neither overlap nor cross a box."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.path import Path

# All lengths are in inches.
PORT = 0.06
"""Distance between the ends of two arcs at a box."""
LANE = 0.12
"""Distance between two arcs that run side by side."""
CLEAR = 0.2
"""Distance between a box and an arc around it."""
BEND = 0.25
"""Largest radius of an arc's bends."""


class Arcs:
    """Edges that pass around the boxes, all on one side of them.

    Parameters
    ----------
    ends
        First and last box of each arc, numbered from the left from 0.

    Attributes
    ----------
    ends
        The same as an array, shape (arc, 2).
    ports
        Offsets from the middle of these boxes, shape (arc, 2); chosen so that few arcs cross.
    """

    def __init__(self, ends: Sequence[tuple[int, int]]) -> None:
        self.ends = np.array(ends, dtype=int).reshape(-1, 2)
        self.ports = np.zeros(self.ends.shape)
        away = self.ends[:, ::-1] - self.ends
        # From the left: arcs that go left, near before far; then loops; then arcs that go right.
        order = np.divide(1, away, out=np.zeros(away.shape), where=away != 0)
        for box in np.unique(self.ends):
            arcs, which = np.nonzero(self.ends == box)
            # Between the same two boxes the first arc is the inner one.
            inner = np.where(away[arcs, which] > 0, -arcs, arcs)
            sort = np.lexsort((inner, order[arcs, which]))
            self.ports[arcs[sort], which[sort]] = PORT * (np.arange(len(arcs)) - (len(arcs) - 1) / 2)

    def widen(self, widths: np.ndarray) -> np.ndarray:
        """Widen boxes until all arcs that end there have room."""
        widths = widths.copy()
        np.maximum.at(widths, self.ends, 2 * np.abs(self.ports) + PORT)
        return widths

    def lanes(self, x: np.ndarray, walls: np.ndarray) -> np.ndarray:
        """Return the distance of each arc from the axis.

        Parameters
        ----------
        x, walls
            Middle of each box along the axis, and its extent away from the axis.
        """
        spans = np.sort(x[self.ends] + self.ports, axis=1)
        lanes = np.zeros(len(spans))
        done: list[int] = []
        for arc in np.argsort(np.ptp(self.ends, axis=1), kind="stable"):  # short ones inside
            first, last = np.sort(self.ends[arc])
            beside = [k for k in done if spans[k, 0] <= spans[arc, 1] and spans[arc, 0] <= spans[k, 1]]
            lanes[arc] = max(walls[first : last + 1].max() + CLEAR, lanes[beside].max(initial=0) + LANE)
            done.append(int(arc))
        return lanes

    def paths(self, x: np.ndarray, walls: np.ndarray) -> list[Path]:
        """Return the path of each arc; parameters as for `lanes`. The axis is at y = 0."""
        points = np.stack([x[self.ends] + self.ports, walls[self.ends]], axis=-1).tolist()
        loops = self.ends[:, 0] == self.ends[:, 1]
        return [
            (_loop if loop else _arch)(start, stop, lane)
            for (start, stop), loop, lane in zip(points, loops, self.lanes(x, walls), strict=True)
        ]


def _loop(start: tuple[float, float], stop: tuple[float, float], lane: float) -> Path:
    (x0, wall), (x1, _) = start, stop
    far = wall + (lane - wall) * 4 / 3  # so that the curve itself turns at the lane
    wide = 1.5 * PORT
    return Path([start, (x0 - wide, far), (x1 + wide, far), stop], [Path.MOVETO, *[Path.CURVE4] * 3])


def _arch(start: tuple[float, float], stop: tuple[float, float], lane: float) -> Path:
    """Return a path up from a box to the lane, along it, and down to another box, with round bends."""
    (x0, wall0), (x1, wall1) = start, stop
    bend = min(BEND, abs(x1 - x0) / 2, 0.7 * (lane - max(wall0, wall1)))
    along = math.copysign(bend, x1 - x0)
    up = [start, (x0, lane - bend), (x0, lane), (x0 + along, lane)]
    down = [(x1 - along, lane), (x1, lane), (x1, lane - bend), stop]
    bent = [Path.LINETO, Path.CURVE3, Path.CURVE3]
    return Path([*up, *down], [Path.MOVETO, *bent, *bent, Path.LINETO])
