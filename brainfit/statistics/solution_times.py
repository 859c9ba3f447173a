"""Object solution times: when a population says which object an image shows as well as a primate does."""

from __future__ import annotations

import numpy as np

from brainfit.errors import ContractError
from brainfit.support.arguments import numbers


def object_solution_times(dprime: np.ndarray, criterion: np.ndarray, bin_centers: np.ndarray) -> np.ndarray:
    """Return when each image's d' first reaches the primates'.

    Between the centre of the first bin that reaches the criterion and that of the bin before it, d' is taken
    to run straight. An image that reaches it in the first bin is given that bin's centre: it was solved then
    or earlier.

    Parameters
    ----------
    dprime
        Shape (image, time_bin); a bin with NaN has not reached anything, and nothing is interpolated from it.
    criterion
        The primates' d' for each image, shape (image,).
    bin_centers
        Milliseconds from image onset, increasing, shape (time_bin,).

    Returns
    -------
    array, shape (image,)
        Milliseconds; NaN for an image that is never solved, or has no criterion.

    Raises
    ------
    ContractError
        If the shapes do not match, or times do not increase.

    References
    ----------
    Kar et al. (2019), Nat. Neurosci. 22:974, Methods; Nayebi et al. (2022), Neural Computation 34:1652,
    Fig. 3b.

    Examples
    --------
    >>> dprime = np.array([[0.0, 1.0, 3.0], [0.0, 1.0, 1.5]])
    >>> object_solution_times(dprime, np.array([2, 2]), np.array([75, 85, 95]))
    array([90., nan])
    """
    names = ("d'", "the criterion", "bin centres")
    dprime, criterion, centers = map(numbers, names, (dprime, criterion, bin_centers))
    if (
        dprime.shape != (*criterion.shape, *centers.shape)
        or dprime.ndim != 2
        or not (np.diff(centers) > 0).all()
    ):
        raise ContractError(
            f"d' has shape {dprime.shape}, criterion {criterion.shape}, bin centres {centers.shape}; "
            "wanted (image, time_bin), (image,) and (time_bin,), the centres increasing"
        )
    reached = dprime >= criterion[:, None]
    first = reached.argmax(axis=1)
    image, before = np.arange(len(dprime)), np.maximum(first - 1, 0)
    low, high = dprime[image, before], dprime[image, first]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where((first > 0) & np.isfinite(low), (criterion - low) / (high - low), 1.0)
    times = centers[before] + share * (centers[first] - centers[before])
    return np.where(reached.any(axis=1), times, np.nan)
