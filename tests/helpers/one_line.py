"""Check that a reader takes what it is given or refuses it in one line."""

from brainfit.errors import BrainfitError


def assert_one_line(read):
    """Call a reader; the only error that it may raise is a `BrainfitError` of one line."""
    try:
        read()
    except BrainfitError as error:
        if not str(error) or "\n" in str(error):
            raise AssertionError(f"wanted one line, got {error}") from error
