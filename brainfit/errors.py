"""Every error that brainfit raises on purpose.

Each is raised once, at the boundary where the bad thing came in, with one line that says
what was wrong, what was got, what was wanted and what to do. The command line prints that
line and exits with 1; a Python caller may catch `BrainfitError` or the familiar built-in.
"""

from __future__ import annotations


class BrainfitError(Exception):
    """Base of all errors that a user's input, files or machine can cause."""


class ContractError(BrainfitError, ValueError):
    """A model, recording, array or option does not have the form that is asked for."""


class UnknownNameError(BrainfitError, LookupError):
    """No model, recording, benchmark, region or layer has that name."""

    __str__ = Exception.__str__


class PluginError(BrainfitError, ImportError):
    """A catalogue entry or a user's factory could not be imported or called."""


class IntegrityError(BrainfitError, OSError):
    """A file is damaged, is not what its checksum says, or cannot be read or written."""

    __str__ = Exception.__str__


class ResourceError(BrainfitError, MemoryError):
    """The work does not fit this machine; said before the work starts, or when memory has run out."""
