"""Measure the memory that a call takes, in a process of its own."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable
from typing import Any

import harness  # first: it fixes the threads

from brainfit.support.memory import peak_bytes, trim_heap

_GB = 1e9


def peak_gb(function: Callable[[], Any]) -> float:
    """Measure by how much one call raises the resident memory at most, in GB (1e9 bytes).

    The call is made in a forked child, which has all that the caller has; what was there before does not
    count, unless it is written to. The child uses one thread, for OpenMP's do not survive a fork.

    Raises
    ------
    RuntimeError
        If the call fails, or the child is killed.
    """
    gc.collect()
    trim_heap()  # or the child would use freed memory again, and nobody would see
    return _answer("fork", _with_one_thread, function)


def in_a_process(function: Callable[..., Any], *arguments: Any) -> tuple[float, float, Any]:
    """Call a function of a module in a new process, with all threads.

    For what takes too long to be done for the time and again for the memory, and needs nothing of the caller.

    Returns
    -------
    tuple
        Seconds, by how much the resident memory rose at most in GB, and what the function returned.

    Raises
    ------
    RuntimeError
        If the call fails, or the child is killed.
    """
    return _answer("spawn", _measured, function, *arguments)


def _answer(start: str, target: Callable[..., None], *arguments: Any) -> Any:
    """Return what a child sends."""
    context: Any = multiprocessing.get_context(start)
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=target, args=(sender, *arguments))
    child.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError as error:
        child.join()
        raise RuntimeError(f"the measured call ended with exit code {child.exitcode}") from error
    finally:
        child.join()


def _with_one_thread(sender: Any, function: Callable[[], Any]) -> None:
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    with threadpool_limits(1):
        before = peak_bytes()
        function()
        sender.send((peak_bytes() - before) / _GB)


def _measured(sender: Any, function: Callable[..., Any], *arguments: Any) -> None:
    found: list[Any] = []
    before = peak_bytes()
    seconds = harness.seconds(lambda: found.append(function(*arguments)))
    sender.send((seconds, (peak_bytes() - before) / _GB, *found))
