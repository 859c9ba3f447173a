"""What the command's surroundings may do to it, made harmless: full disks, closed terminals, signals."""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path


def settle_streams() -> None:
    """Let no character and no closed terminal stand in the way of a result."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if sys.stderr is None:  # closed; the next file to be opened would take its number, and its notes
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    elif isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _Forgiving(
            sys.stderr.buffer, sys.stderr.encoding, errors="backslashreplace", line_buffering=True
        )


def settle_signals() -> None:
    """Let a request to stop, and a terminal that goes away, do as Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # `nohup` has it ignored, and means it
            signal.signal(number, signal.default_int_handler)


class _Forgiving(io.TextIOWrapper):
    """A stream to which it does not matter whether it can be written: no note is worth a run."""

    def write(self, text: str, /) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()
