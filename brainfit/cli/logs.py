"""What the library logs, as notes of a command."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from brainfit.cli.output import note


@contextmanager
def logged() -> Iterator[None]:
    """Print what brainfit logs in the block to stderr, a line each."""
    logger, handler = logging.getLogger("brainfit"), _Notes()
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())
