"""State how a network is trained, as data.

A recipe goes into the run folder, the model card and every checkpoint, so that what was done can be read and
a run is never resumed under another one.

References
----------
.. [1] Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system. NeurIPS.
   arXiv:1807.00053, supplement 6.4.
.. [2] He et al. (2016), Deep residual learning for image recognition. CVPR. arXiv:1512.03385, section 3.4.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from brainfit.contracts.presentation import Presentation
from brainfit.errors import ContractError, IntegrityError
from brainfit.support.arguments import number, one_of, whole_number
from brainfit.support.messages import printable, reason
from brainfit.support.suggestions import unknown_name

OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("steps", "cosine")
LOSS_STEPS = ("last", "all")


@dataclass(frozen=True)
class Recipe:
    """Settings of a training run.

    Attributes
    ----------
    optimizer
        ``"sgd"`` with Nesterov momentum, or ``"adamw"``.
    learning_rate
        Its highest value.
    momentum
        Momentum of SGD.
    weight_decay
        Weight decay; of matrices and kernels only, not of biases, norms and constants.
    schedule
        ``"steps"`` divides the learning rate by ten at each of `milestones`; ``"cosine"`` lowers it to 0.
    milestones
        Shares of the training at which ``"steps"`` lowers it, in (0, 1).
    warmup
        Share of the training in which the learning rate rises from 0, in [0, 1).
    epochs
        Number of passes over the training images.
    batch_size
        Images of one step of the optimizer, over all processes.
    clip_value
        Bound of each component of the gradient; 0 for none.
    loss_steps
        ``"last"`` takes the cross-entropy of the last step, ``"all"`` its mean over the steps from the first
        that the image reaches.
    label_smoothing
        Share of the target that is spread over all classes, in [0, 1).
    average
        Decay of the running average of the weights that is validated and kept; 0 for none.
    on_ms, off_ms
        Presentation of each training image. None is the presentation that the model was built for.
    seed
        Seed of the order of the images and of dropout.

    Raises
    ------
    ContractError
        If a value is out of its range.

    Examples
    --------
    >>> PAPER.optimizer, PAPER.learning_rate, PAPER.clip_value
    ('sgd', 0.01, 0.7)
    >>> [round(MINI.learning_rate_at(share), 4) for share in (0.0, 0.03, 0.5, 1.0)]
    [0.0, 0.002, 0.001, 0.0]
    """

    optimizer: str = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: str = "steps"
    milestones: tuple[float, ...] = (1 / 3, 2 / 3, 8 / 9)
    warmup: float = 0.0
    epochs: float = 90
    batch_size: int = 128
    clip_value: float = 0.7
    loss_steps: str = "last"
    label_smoothing: float = 0.0
    average: float = 0.0
    on_ms: int | None = None
    off_ms: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        one_of("schedule", self.schedule, SCHEDULES)
        one_of("loss_steps", self.loss_steps, LOSS_STEPS)
        for name, low, high in (
            ("learning_rate", 1e-12, 1e6),
            ("momentum", 0, 0.9999),
            ("weight_decay", 0, 1e6),
            ("warmup", 0, 0.999),
            ("epochs", 1e-9, 1e9),
            ("clip_value", 0, 1e9),
            ("label_smoothing", 0, 0.999),
            ("average", 0, 0.999999),
        ):
            number(name, getattr(self, name), low, high)
        object.__setattr__(self, "batch_size", whole_number("batch_size", self.batch_size, least=1))
        object.__setattr__(self, "seed", whole_number("seed", self.seed))
        milestones = tuple(number("milestones", share, 0, 1) for share in self.milestones)
        object.__setattr__(self, "milestones", milestones)
        if (self.on_ms is None) != (self.off_ms is None):
            raise ContractError("a recipe gives both on_ms and off_ms, or neither")

    def learning_rate_at(self, share: float) -> float:
        """Return the learning rate once that share of the training is done, in [0, 1]."""
        if share < self.warmup:
            return self.learning_rate * share / self.warmup
        if self.schedule == "steps":
            return self.learning_rate * 0.1 ** sum(share >= at for at in self.milestones)
        done = (share - self.warmup) / (1 - self.warmup)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    def presentation(self, of_model: Presentation) -> Presentation:
        """Return the presentation of a training image, given the one that the model was built for."""
        if self.on_ms is None or self.off_ms is None:
            return of_model
        return Presentation(on_ms=self.on_ms, off_ms=self.off_ms, step_ms=of_model.step_ms)

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, which `from_dict` takes."""
        return {**asdict(self), "milestones": list(self.milestones)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], base: Recipe | None = None) -> Recipe:
        """Return the recipe that changes `base`, by default `PAPER`, in the values given.

        Raises
        ------
        UnknownNameError
            If a recipe has no such field.
        ContractError
            If a value is out of its range.
        """
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                raise unknown_name("field of a recipe", name, known)
        return cls(**{**(base or PAPER).as_dict(), **values})

    @classmethod
    def from_file(cls, path: Path, base: Recipe | None = None) -> Recipe:
        """Read a TOML file of such values; raises as `from_dict`, and IntegrityError if it cannot be read."""
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise IntegrityError(f"cannot read the recipe {printable(path, 300)}: {reason(error)}") from error
        return cls.from_dict(values, base)


PAPER = Recipe()
"""The recipe of [1]_, with the schedule of [2]_."""
MINI = Recipe(
    optimizer="adamw", learning_rate=0.002, schedule="cosine", warmup=0.03, epochs=2, batch_size=128
)
"""A recipe for small networks on rendered objects, found by trying a few."""
RECIPES = {"paper": PAPER, "mini": MINI}
