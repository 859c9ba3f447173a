"""Run small linear algebra on one thread.

On busy cores, synchronising threads at every column costs more than it saves.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[object]:
    """Return a context in which numpy's OpenBLAS uses one thread; torch with MKL keeps its threads."""
    return _openblas().limit(limits=1)


@cache
def _openblas() -> ThreadpoolController:
    return ThreadpoolController().select(internal_api="openblas")
