"""How many bytes may be kept, and how many bytes are said."""

from __future__ import annotations

import os
import re

from brainfit.errors import ContractError
from brainfit.support.messages import shown

VARIABLE = "BRAINFIT_CACHE_LIMIT"
DEFAULT_LIMIT = 20 * 10**9
_LARGEST = 1e18
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def size_limit() -> int:
    """Return how many bytes of features are kept: $BRAINFIT_CACHE_LIMIT, as ``20GB``, or else 20 GB.

    Raises
    ------
    ContractError
        If the variable is not a size.
    """
    text = os.environ.get(VARIABLE, "")
    if not text.strip():
        return DEFAULT_LIMIT
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([KMGT]?)B?\s*", text.upper())
    if not found:
        raise ContractError(f"{VARIABLE} is {shown(repr(text))}; wanted a size such as 20GB, 500MB or 0")
    return int(min(float(found[1]) * _UNITS[found[2]], _LARGEST))


def size_text(size: float) -> str:
    """Return bytes in a unit that shows them.

    >>> size_text(20e9), size_text(1_234_567), size_text(12)
    ('20 GB', '1.2 MB', '12 B')
    """
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.{int(size < 10 * unit)}f} {name}"
    return f"{size:.0f} B"
