"""Records of what was left out of a recording or a score, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Dropped:
    """List of what was left out, and why, for every recording and score."""

    records: list[dict[str, Any]] = field(default_factory=list)

    def add(self, what: str, n: int, why: str) -> None:
        """Note that `n` of `what` were left out, if any were."""
        if n:
            self.records.append({"what": what, "n": int(n), "why": why})
