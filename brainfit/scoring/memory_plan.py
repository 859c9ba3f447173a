"""How much memory a score will take, stage by stage, said before the long work starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from brainfit.errors import ResourceError
from brainfit.features.sizing import Unroll
from brainfit.scoring.responses import CHUNK_BYTES
from brainfit.support import memory
from brainfit.support.messages import format_bytes

_IMAGE_BYTES = 8
"""Bytes in which a row says which image it is of."""
_COPIES = 5
"""The answer to a batch, and what is made of it on the way into rows."""
_SPLIT_BYTES = 900
"""That the random halves of `brainfit.noise_ceiling` take for each trial."""


@dataclass(frozen=True)
class Work:
    """What a fit and a score are made of.

    Attributes
    ----------
    n_images
        Whose trials are averaged.
    n_train, n_test
        Images that a map is fitted to, and that it is judged on; none of the latter in a choice of layers.
    n_trials, n_units, n_bins, trial_bytes
        Of the responses, and bytes of each number.
    n_features, n_rows
        Features that the map gets, and rows that it keeps of an image.
    batch_size
        Images that go through the model together.
    unroll
        What memory showing images to the model takes.
    answer_bytes
        What the layer's answer to an image takes.
    item_bytes
        What a number takes that the map computes with.
    feature_bytes
        What a feature takes in the rows that are kept, on average.
    solver
        Bytes that solving takes beside the rows, for so many rows and features.
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
    unroll: Unroll = field(default_factory=Unroll)
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
        """Return the same work, knowing how many rows some images became, and what these take."""
        of_features = n_bytes / n_rows - self._bytes_beside_features
        return replace(self, n_rows=n_rows / n_images, feature_bytes=of_features / self.n_features)

    def with_images(self, n_images: int) -> Work:
        """Return the same work on so many images."""
        share = n_images / self.n_images
        return replace(
            self,
            n_images=n_images,
            n_train=round(self.n_train * share),
            n_test=round(self.n_test * share),
        )


def estimate(work: Work) -> dict[str, float]:
    """Return how many bytes each stage of a score takes at its worst, with what is held through it.

    Beside these there is what the process had before: libraries, the model, the recording if it is in memory.

    Parameters
    ----------
    work
        What is to be done.

    Returns
    -------
    dict
        By the name of the stage, in their order.
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
    """Return the stage that takes the most memory, and how much."""
    name = max(stages, key=lambda name: stages[name])
    return name, stages[name]


def check(work: Work, held: float, *, may_project: bool) -> dict[str, float]:
    """Refuse what does not fit, and say what would.

    Parameters
    ----------
    work
        What is to be done.
    held
        Bytes of it that are there already.
    may_project
        Whether fewer, projected features are a way out.

    Returns
    -------
    dict
        The estimate.

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


def remedies(work: Work, room: float, may_project: bool) -> list[str]:
    """Return what each would fit into so many bytes alone: a batch size, a number of images, a projection."""

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
    """Return the largest whole number from `least` to `most` that fits, where all below it do; 0 if none."""
    if most < least or not fits(least):
        return 0
    low, high = least, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
