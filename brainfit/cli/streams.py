"""Protect a command from full disks, closed terminals and termination signals."""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn


def settle_streams() -> None:
    """Keep unencodable characters and a closed terminal from stopping a result."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if sys.stderr is None:  # closed; the next file to be opened would take its number, and receive its notes
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    elif isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _Forgiving(
            sys.stderr.buffer, sys.stderr.encoding, errors="backslashreplace", line_buffering=True
        )


def settle_signals() -> None:
    """Let a termination signal and a closed terminal end a command as Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # `nohup` ignores SIGHUP on purpose
            signal.signal(number, _interrupt)


def _interrupt(number: int, _: object) -> NoReturn:
    raise KeyboardInterrupt(number)


class _Forgiving(io.TextIOWrapper):
    """A stream whose write errors are ignored: no note is worth a run."""

    def write(self, text: str, /) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()
