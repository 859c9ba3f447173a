"""The command line, one file a command. Nothing heavy is imported before a command runs."""

import os
import sys

from brainfit.cli.app import app


def main() -> None:
    """Run `brainfit` with the arguments of this process."""
    # Before torch is imported: threads that wait must not spin on cores that others use too.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # As with `python -m`, what lies in the folder one works in can be imported; but last, so that
    # nothing there hides an installed package.
    sys.path.append(os.getcwd())  # noqa: PTH109 - sys.path wants a string
    try:
        app(prog_name="brainfit")
    except Exception:
        print("brainfit: this is a bug in brainfit; please report it with the lines below", file=sys.stderr)  # noqa: T201
        raise
