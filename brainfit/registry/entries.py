"""What a catalogue says of each name: where its factory is, and plain facts to list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ModelEntry:
    """A line of the catalogue of models: where its factory is, and plain facts to list.

    Attributes
    ----------
    target
        ``"module:factory"``, relative to `model_zoo`.
    parameters
        Numbers that training changes, at the largest of `image_sizes`.
    layers
        From the input up.
    steps
        Of the presentation that it is trained under.
    image_sizes
        In pixels, those that it was described for.
    source
        Who described it.
    options
        What its factory is called with: the name stands for them, so that no one else may give them.
    """

    target: str
    parameters: int | None = None
    layers: tuple[str, ...] = ()
    steps: int | None = None
    image_sizes: tuple[int, ...] = ()
    source: str = ""
    options: Mapping[str, str | int | bool] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordingEntry:
    """A line of the catalogue of recordings; `simulated` is None where it is not known yet."""

    target: str
    summary: str = ""
    simulated: bool | None = None


@dataclass(frozen=True)
class BenchmarkEntry:
    """A line of the catalogue of benchmarks: where its builder is, what it scores against, what to cite."""

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
