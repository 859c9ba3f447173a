"""Random generators: one seed from the user, an independent stream for each purpose."""

from zlib import crc32

import numpy as np

from brainfit.support.arguments import whole_number


def generator(seed: int, purpose: str) -> np.random.Generator:
    """Return a generator for one purpose, independent of the draws for any other purpose.

    Parameters
    ----------
    seed
        Whole number from 0 up, given by the user; the same seed gives the same draws.
    purpose
        Name of the purpose, such as ``"train-test split"``.

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
