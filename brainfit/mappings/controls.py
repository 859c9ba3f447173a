"""Controls that make a claim about time honest: another time course for the same features.

``per-bin`` gives each time bin a map of its own; ``time-shuffled`` shows the features of the same steps
in another order; ``graded`` has no dynamics but one time course for all units, fitted to the responses.
What a model scores above the last two it owes to its own dynamics; what ``per-bin`` scores above the
model is what its features hold, but not in a form that one map reads at all times.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from brainfit.contracts.response_mapping import ResponseMapping
from brainfit.contracts.trajectory import Trajectory
from brainfit.mappings import make_mapping
from brainfit.mappings.per_bin import PerBin
from brainfit.mappings.transformed import Transformed
from brainfit.support.seeds import generator


def make_controlled(mapping: str, control: str | None, responses: np.ndarray, seed: int) -> ResponseMapping:
    """Return a new map under a control, or as it is.

    Parameters
    ----------
    mapping
        Its name.
    control
        One of `CONTROLS`, or None.
    responses
        Those to fit, trial-averaged, shape (image, unit, time_bin); ``graded`` has its time course from them.
    seed
        Of the order of the steps, and of the map.
    """
    make = partial(make_mapping, mapping, seed)
    match control:
        case "per-bin":
            return PerBin(make)
        case "time-shuffled":
            order = generator(seed, "order of the steps").permutation(responses.shape[-1])
            return TimeShuffled(make(), order)
        case "graded":
            return Graded(make(), shared_time_course(responses))
    return make()


class TimeShuffled(Transformed):
    """A map of the same steps in another order, the same order for all images.

    Parameters
    ----------
    mapping
        Of the shuffled steps.
    order
        For each time bin the one whose features it is given, shape (time_bin,).
    """

    def __init__(self, mapping: ResponseMapping, order: np.ndarray) -> None:
        super().__init__(mapping)
        self.order = order

    def transform(self, trajectory: Trajectory) -> Trajectory:
        """Return the bins in that order."""
        return Trajectory.from_steps([trajectory.blocks[trajectory.index[int(step)]] for step in self.order])


class Graded(Transformed):
    """A map of the last step's features, scaled by one time course: all images rise and fall alike.

    The model should be shown the image all the time, so that the last step is what the image comes to.

    Parameters
    ----------
    mapping
        Of the scaled features.
    course
        The scale in each time bin, shape (time_bin,).
    """

    def __init__(self, mapping: ResponseMapping, course: np.ndarray) -> None:
        super().__init__(mapping)
        self.course = course

    def transform(self, trajectory: Trajectory) -> Trajectory:
        """Return the last block at the size of each bin."""
        last = trajectory.blocks[trajectory.index[-1]]
        return Trajectory.from_steps([last * float(size) for size in self.course])


def shared_time_course(responses: np.ndarray) -> np.ndarray:
    """Return the one time course that explains most of how responses differ between images.

    It is the first right singular vector of the matrix (image and unit) x bin, once each unit's mean over
    images is taken off in each bin, so that no baseline is in it, and each unit is divided by its standard
    deviation. Its largest value is 1.

    Parameters
    ----------
    responses
        Shape (image, unit, time_bin).

    Returns
    -------
    array, shape (time_bin,)
    """
    responses = responses - responses.mean(axis=0)
    size = responses.std(axis=(0, 2), keepdims=True)
    rows = (responses / np.where(size > 0, size, 1)).reshape(-1, responses.shape[-1])
    course = np.linalg.eigh(rows.T @ rows)[1][:, -1]
    return course / course[np.abs(course).argmax()]
