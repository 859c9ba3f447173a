"""Controls that make a claim about time honest: other time courses for the same features.

``per-bin`` gives each time bin a map of its own; ``time-shuffled`` shows the features of the same steps in
another order; ``graded`` has no dynamics but one time course for all units, fitted to the responses. A model
owes to its own dynamics what it scores above the last two; what ``per-bin`` scores above the model is
information that its features hold, but not in a form that one map reads at all times.

The last two are functions from trajectory to trajectory, applied to training and held-out images alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from brainfit.contracts.trajectory import Trajectory
from brainfit.support.seeds import generator

Transform = Callable[[Trajectory], Trajectory]


def make_control(control: str | None, responses: np.ndarray, seed: int) -> Transform:
    """Return what a control does to trajectories; without one, and ``per-bin``, they stay as they are.

    Parameters
    ----------
    control
        One of `brainfit.contracts.vocabulary.CONTROLS`, or None.
    responses
        Trial-averaged responses to the training images, shape (image, unit, time_bin): ``graded`` takes its
        time course from them.
    seed
        Seed of the order of the bins.
    """
    match control:
        case "time-shuffled":
            order = generator(seed, "order of the steps").permutation(responses.shape[-1])
            return partial(reorder_bins, order=order.tolist())
        case "graded":
            return partial(scale_last_bin, course=shared_time_course(responses).tolist())
    return lambda trajectory: trajectory


def reorder_bins(trajectory: Trajectory, order: Sequence[int]) -> Trajectory:
    """Return the bins of a trajectory in another order, the same for all images.

    Parameters
    ----------
    trajectory
        Features of a layer, one step for each time bin.
    order
        For each time bin the one whose features it is given, shape (time_bin,).
    """
    return Trajectory.from_steps([trajectory.blocks[trajectory.index[bin_]] for bin_ in order])


def scale_last_bin(trajectory: Trajectory, course: Sequence[float]) -> Trajectory:
    """Return the features of the last bin times one time course, so that all images rise and fall alike.

    The model should see the image for the whole presentation, so that the last bin is its final state.

    Parameters
    ----------
    trajectory
        Features of a layer, one step for each time bin.
    course
        Scale in each time bin, shape (time_bin,).
    """
    last = trajectory.blocks[trajectory.index[-1]]
    return Trajectory.from_steps([last * scale for scale in course])


def shared_time_course(responses: np.ndarray) -> np.ndarray:
    """Return the one time course that explains most of how responses differ between images.

    It is the first right singular vector of the matrix (image and unit) x bin, after subtracting each unit's
    mean over images in each bin, which removes baselines, and dividing each unit by its standard deviation.
    Its largest value is 1.

    Parameters
    ----------
    responses
        Trial-averaged responses, shape (image, unit, time_bin).

    Returns
    -------
    array, shape (time_bin,)
    """
    responses = responses - responses.mean(axis=0)
    size = responses.std(axis=(0, 2), keepdims=True)
    rows = (responses / np.where(size > 0, size, 1)).reshape(-1, responses.shape[-1])
    course = np.linalg.eigh(rows.T @ rows)[1][:, -1]
    return course / course[np.abs(course).argmax()]
