"""Estimate the memory of a score, stage by stage, and refuse early what would not fit."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace

from brainfit.contracts.response_mapping import ResponseMapping
from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ResourceError
from brainfit.features.sizing import UnrollMemory
from brainfit.features.stream import Features
from brainfit.scoring.request import N_FOLDS, Request
from brainfit.scoring.responses import CHUNK_BYTES, Responses
from brainfit.support import memory
from brainfit.support.messages import format_bytes

_IMAGE_BYTES = 8
"""Bytes of the image's number in a row."""
_COPIES = 5
"""Copies of a batch's features that exist at once on their way into rows."""
_SPLIT_BYTES = 900
"""Bytes for each trial of the random halves of `brainfit.noise_ceiling`."""


@dataclass(frozen=True)
class Work:
    """The sizes of a fit and a score.

    Attributes
    ----------
    n_images
        Number of images whose trials are averaged.
    n_train, n_test
        Number of images that a map is fitted to, and of those that it predicts; the latter is 0 in a choice
        of layers.
    n_trials, n_units, n_bins, trial_bytes
        Sizes of the responses, and bytes of each number.
    n_features, n_rows
        Number of features that the map gets, and of rows that it keeps of an image.
    batch_size
        Number of images that go through the model together.
    unroll
        Memory that showing images to the model takes.
    answer_bytes
        Bytes of the layer's features of an image.
    item_bytes
        Bytes of a number that the map computes with.
    feature_bytes
        Mean bytes of a feature in the rows that are kept.
    solver
        Function from the numbers of rows and features to the bytes that solving takes beside the rows.
    """

    n_images: int
    n_train: int
    n_test: int
    n_trials: int
    n_units: int
    n_bins: int
    trial_bytes: int
    n_features: int = 0
    n_rows: float = 0
    batch_size: int = 0
    unroll: UnrollMemory = field(default_factory=UnrollMemory)
    answer_bytes: float = 0
    item_bytes: int = 4
    feature_bytes: float = 4
    solver: Callable[[float, int], float] = lambda n_rows, n_features: 0.0

    @property
    def means(self) -> float:
        """Bytes of the trial averages."""
        return 8.0 * self.n_images * self.n_units * self.n_bins

    @property
    def bytes_of_row(self) -> float:
        """Bytes of a row: features, the column of ones, targets, and which image it is of."""
        return self.feature_bytes * self.n_features + self._bytes_beside_features

    @property
    def _bytes_beside_features(self) -> float:
        return self.item_bytes * (1 + self.n_units) + _IMAGE_BYTES

    def with_rows(self, n_images: int, n_rows: int, n_bytes: float) -> Work:
        """Return the same work with the rows per image and bytes per feature that some images took."""
        of_features = n_bytes / n_rows - self._bytes_beside_features
        return replace(self, n_rows=n_rows / n_images, feature_bytes=of_features / self.n_features)

    def with_images(self, n_images: int) -> Work:
        """Return the same work on `n_images` images."""
        share = n_images / self.n_images
        return replace(
            self,
            n_images=n_images,
            n_train=round(self.n_train * share),
            n_test=round(self.n_test * share),
        )


def estimate(work: Work) -> dict[str, float]:
    """Estimate the peak bytes of each stage of a score, with everything that is held through it.

    Not included is what the process held before: libraries, the model, the recording if it is in memory.

    Parameters
    ----------
    work
        Sizes of the work.

    Returns
    -------
    dict
        Bytes by the name of the stage, in the order of the stages.
    """
    per_image = float(work.n_units * work.n_bins)
    trials = work.trial_bytes * work.n_trials * per_image
    chunk = max(trials, min(CHUNK_BYTES * work.trial_bytes / 4, work.n_images * trials))
    test = work.n_test * trials
    of_units = max(test / work.n_units, min(CHUNK_BYTES * work.trial_bytes / 4, test))
    rows = work.n_train * work.n_rows * work.bytes_of_row
    predicted = 8.0 * work.n_test * per_image
    size = min(work.batch_size, work.n_images)
    batch = max(work.unroll.bytes(size), size * _COPIES * work.answer_bytes)
    coef = 8.0 * work.n_features * work.n_units
    halves = _SPLIT_BYTES * work.n_test * work.n_trials
    train = work.n_train / work.n_images
    return {
        "averaging trials": work.means + max(2 * chunk, (1 + 2 * train) * work.means),
        "unrolling a batch": work.means + batch,
        "compressed rows": work.means + rows + batch,
        "solving": work.means + rows + work.solver(work.n_train * work.n_rows, work.n_features),
        "predictions": work.means + coef + 2 * predicted + batch,
        "ceilings": work.means + coef + 6 * predicted + 2 * of_units + halves,
    }


def peak(stages: dict[str, float]) -> tuple[str, float]:
    """Return the stage that takes the most memory, and its bytes."""
    name = max(stages, key=lambda name: stages[name])
    return name, stages[name]


def check(work: Work, held: float, *, may_project: bool) -> dict[str, float]:
    """Refuse work that does not fit into memory, and name what would fit.

    Parameters
    ----------
    work
        Sizes of the work.
    held
        Bytes of the estimate that are allocated already.
    may_project
        True if fewer, projected features are a remedy.

    Returns
    -------
    dict
        The estimate, in bytes by stage.

    Raises
    ------
    ResourceError
        If a stage takes more than is available.
    """
    stages, room = estimate(work), memory.available_bytes() + held
    name, needed = peak(stages)
    if needed > room:
        ways = "; ".join(remedies(work, room, may_project)) or "no number of images or features would fit"
        raise ResourceError(
            f"{name} needs about {format_bytes(needed)}, and {format_bytes(room)} are available; {ways}"
        )
    return stages


def check_responses_fit(request: Request) -> None:
    """Refuse responses that cannot be averaged, or their ceilings computed, before any is read."""
    trials = request.recording.responses
    n_images, n_trials, n_units, n_bins = trials.shape
    n_test = round(request.test_fraction * n_images)
    work = Work(
        n_images=n_images,
        n_train=n_images - n_test,
        n_test=n_test,
        n_trials=n_trials,
        n_units=n_units,
        n_bins=n_bins,
        trial_bytes=trials.dtype.itemsize,
    )
    check(work, 0, may_project=False)


def check_fit(
    request: Request,
    responses: Responses,
    mapping: ResponseMapping,
    features: Features,
    transform: Callable[[Trajectory], Trajectory],
    *,
    judged: bool,
) -> None:
    """Refuse a fit and the score after it by the features of one image, before any batch is computed.

    Parameters
    ----------
    mapping
        The map before any batch; a copy of it is fitted to the image.
    judged
        True if the map will predict held-out images.

    Raises
    ------
    ResourceError
        If a stage would not fit into memory.
    """
    one, probe = responses.train[:1], deepcopy(mapping)
    sample = features.sample(request.layer)
    probe.partial_fit(transform(sample), responses.mean[one], responses.folds[:1])
    trials, (n_images, n_units, n_bins) = responses.recording.responses, responses.mean.shape
    work = Work(
        n_images=n_images,
        n_train=len(responses.train),
        n_test=len(responses.test) if judged else 0,
        n_trials=trials.sizes["trial"],
        n_units=n_units,
        n_bins=n_bins,
        trial_bytes=trials.dtype.itemsize,
        n_features=probe.n_features,
        batch_size=features.batch_size,
        unroll=features.unroll,
        answer_bytes=float(sum(block.nbytes for block in sample.blocks)),
        item_bytes=sample.blocks[0].element_size(),
        solver=lambda n_rows, n_features: probe.working_bytes(n_rows, n_features, n_units, N_FOLDS),
    ).with_rows(1, probe.n_rows, probe.row_bytes)
    check(work, responses.mean.nbytes, may_project=judged and request.mapping != "factorized")


def remedies(work: Work, room: float, may_project: bool) -> list[str]:
    """Return the changes that would each alone fit into `room` bytes: batch size, images, projection."""

    def fits(changed: Work) -> bool:
        return peak(estimate(changed))[1] <= room

    found = []
    if size := _largest(work.batch_size - 1, lambda n: fits(replace(work, batch_size=n))):
        found.append(f"a batch size of {size} would fit (--batch-size {size})")
    if images := _largest(work.n_images - 1, lambda n: fits(work.with_images(n)), least=8):
        found.append(f"{images} images would fit (--images {images})")
    if may_project and (
        n := _largest(work.n_features - 1, lambda n: fits(replace(work, n_features=n)), least=16)
    ):
        found.append(f"{n} projected features would fit (--project {n})")
    return found


def _largest(most: int, fits: Callable[[int], bool], least: int = 1) -> int:
    """Return the largest whole number from `least` to `most` that fits, by bisection; 0 if there is none."""
    if most < least or not fits(least):
        return 0
    low, high = least, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
