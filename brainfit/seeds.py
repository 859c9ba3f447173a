"""Random generators: one seed from the user, an independent stream for each purpose."""

from zlib import crc32

import numpy as np

from brainfit.errors import ContractError


def generator(seed: int, purpose: str) -> np.random.Generator:
    """Return the generator of `seed` for one purpose, unaffected by any other purpose's draws.

    Examples
    --------
    >>> a, b = generator(0, "split"), generator(0, "split")
    >>> bool(a.random() == b.random())
    True
    """
    if seed < 0:
        raise ContractError(f"a seed is a whole number from 0 up, got {seed}")
    return np.random.default_rng([seed, crc32(purpose.encode())])
