"""Errors that brainfit raises on purpose.

Each is raised at the boundary where the wrong value came in, with a one-line message that names the problem,
the value, the expected form and the remedy. The command line prints that line and exits with 1; a Python
caller can catch `BrainfitError` or the built-in type.
"""

from __future__ import annotations


class BrainfitError(Exception):
    """Base of all errors that a user's input, files or machine can cause."""


class ContractError(BrainfitError, ValueError):
    """A model, recording, array or option does not have the required form."""


class UnknownNameError(BrainfitError, LookupError):
    """No model, recording, benchmark, region or layer has that name."""

    __str__ = Exception.__str__


class PluginError(BrainfitError, ImportError):
    """A catalogue entry or a user's factory could not be imported or called."""


class IntegrityError(BrainfitError, OSError):
    """A file is damaged, does not match its checksum, or cannot be read or written."""

    __str__ = Exception.__str__


class ResourceError(BrainfitError, MemoryError):
    """The work does not fit this machine; raised before it starts, or when memory runs out."""
