"""The limit on the size of the feature cache."""

from __future__ import annotations

import os
import re

from brainfit.errors import ContractError
from brainfit.support.messages import printable

VARIABLE = "BRAINFIT_CACHE_LIMIT"
DEFAULT_LIMIT = 20 * 10**9
_LARGEST = 1e18
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def size_limit() -> int:
    """Return the limit in bytes: $BRAINFIT_CACHE_LIMIT, such as ``20GB``, or else 20 GB.

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
        raise ContractError(f"{VARIABLE} is {printable(repr(text))}; wanted a size such as 20GB, 500MB or 0")
    return int(min(float(found[1]) * _UNITS[found[2]], _LARGEST))
