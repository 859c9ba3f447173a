"""The command line, one file a command. Nothing heavy is imported before a command runs."""

import os
import sys

from brainfit.cli.app import app
from brainfit.cli.streams import settle_signals, settle_streams
from brainfit.support.out_of_memory import out_of_memory


def main() -> None:
    """Run `brainfit` with the arguments of this process."""
    settle_streams()
    settle_signals()
    # Before torch is imported: threads that wait must not spin on cores that others use too.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # Figures go to files, so it does not matter what would show them on a screen, or whether it works.
    os.environ["MPLBACKEND"] = "agg"
    try:
        # As with `python -m`, what lies in the folder one works in can be imported; but last, so that
        # nothing there hides an installed package.
        sys.path.append(os.getcwd())  # noqa: PTH109 - sys.path wants a string
        app(prog_name="brainfit")
    except OSError as error:  # the machine's doing, such as a full disk: no bug
        sys.stdout = None  # pyright: ignore[reportAttributeAccessIssue] # or Python writes what is left, and fails
        sys.exit(f"brainfit: error: {out_of_memory(error) or error}")
    except Exception as error:
        if (told := out_of_memory(error)) is not None:
            sys.exit(f"brainfit: error: {told}")
        print("brainfit: this is a bug in brainfit; please report it with the lines below", file=sys.stderr)  # noqa: T201
        raise
