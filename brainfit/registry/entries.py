"""Entries of the catalogues: where the factory of a name is, and plain facts to list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ModelEntry:
    """Entry of a model: where its factory is, and plain facts to list.

    Attributes
    ----------
    target
        ``"module:factory"``, relative to `model_zoo`.
    parameters
        Number of trainable parameters, at the largest of `image_sizes`.
    layers
        Names of the layers, from the input up.
    steps
        Number of steps of the presentation in training.
    image_sizes
        Image sizes in pixels that its authors describe.
    source
        Publication that describes it.
    options
        Options that the name fixes for its factory; a caller cannot give them.
    weights
        Kinds of weights that it can have, the default first: ``"random"``; ``"trained"`` for weights that
        come with brainfit; ``"published"`` for weights that `brainfit weights fetch` downloads.
    """

    target: str
    parameters: int | None = None
    layers: tuple[str, ...] = ()
    steps: int | None = None
    image_sizes: tuple[int, ...] = ()
    source: str = ""
    options: Mapping[str, str | int | bool] = field(default_factory=dict)
    weights: tuple[str, ...] = ("random",)


@dataclass(frozen=True)
class RecordingEntry:
    """Entry of a recording; `simulated` is None if it is unknown before loading."""

    target: str
    summary: str = ""
    simulated: bool | None = None


@dataclass(frozen=True)
class BenchmarkEntry:
    """Entry of a benchmark: where its factory is, its recording and region, and what to cite."""

    target: str
    recording: str = ""
    region: str = ""
    version: int = 1
    summary: str = ""
    reference: str = ""

    @property
    def options(self) -> Mapping[str, str]:
        """Arguments of the builder: the region."""
        return {"region": self.region}
