"""Log records of the library, printed as notes of a command."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from brainfit.cli.output import note


@contextmanager
def logged() -> Iterator[None]:
    """Print each log record of brainfit within the block as one line on stderr."""
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
