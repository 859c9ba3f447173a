"""Small matrices on one thread: two that wait for each other at every column are far slower on busy cores."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[object]:
    """Within it, numpy's OpenBLAS uses one thread; products of tensors keep theirs where torch has MKL."""
    return _openblas().limit(limits=1)


@cache
def _openblas() -> ThreadpoolController:
    return ThreadpoolController().select(internal_api="openblas")
