"""Run the command line with ``python -m brainfit``, as ``torchrun -m brainfit train …`` needs."""

from brainfit.cli import main

if __name__ == "__main__":
    main()
