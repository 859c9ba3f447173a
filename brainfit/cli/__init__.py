"""The command line, one file a command. Nothing heavy is imported before a command runs."""

import os
import sys

from brainfit.cli.streams import settle_signals, settle_streams
from brainfit.support.out_of_memory import out_of_memory


def main() -> None:
    """Run `brainfit` with the arguments of this process."""
    settle_streams()
    settle_signals()
    # Set before torch is imported: waiting threads must not spin on cores that other processes use.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # Figures are only written to files, so the user's display and its backend must not matter.
    os.environ["MPLBACKEND"] = "agg"
    try:
        from brainfit.cli.app import app

        app(prog_name="brainfit")
    except OSError as error:  # a fault of the machine, such as a full disk, not a bug
        sys.stdout = None  # pyright: ignore[reportAttributeAccessIssue] # or Python flushes it, and fails again
        sys.exit(f"brainfit: error: {out_of_memory(error) or error}")
    except Exception as error:
        if (no_memory := out_of_memory(error)) is not None:
            sys.exit(f"brainfit: error: {no_memory}")
        print("brainfit: this is a bug in brainfit; please report it with the lines below", file=sys.stderr)  # noqa: T201
        raise
