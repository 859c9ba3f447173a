"""Random generators: one seed from the user, an independent stream for each purpose."""

from zlib import crc32

import numpy as np

from brainfit.support.arguments import whole_number


def generator(seed: int, purpose: str) -> np.random.Generator:
    """Return the generator of `seed` for one purpose, unaffected by any other purpose's draws.

    Parameters
    ----------
    seed
        Whole number from 0 up, the one that the user gives: the same seed, the same draws.
    purpose
        What the draws are for, such as ``"train-test split"``; its own stream for each.

    Raises
    ------
    ContractError
        If `seed` is not a whole number from 0 up.

    Examples
    --------
    >>> a, b = generator(0, "split"), generator(0, "split")
    >>> bool(a.random() == b.random())
    True
    """
    return np.random.default_rng([whole_number("a seed", seed), crc32(purpose.encode())])
