"""A benchmark: everything that two scores must share to be comparable, under one name."""

from __future__ import annotations

from dataclasses import dataclass, field

from brainfit.contracts.presentation import Presentation
from brainfit.contracts.vocabulary import MAPPINGS, REGION_CHOICES
from brainfit.support.arguments import fraction, one_of, text, whole_number
from brainfit.support.suggestions import unknown_name

SPLITS = ("within object",)
"""How images are held out: see `brainfit.statistics.splits.train_test_split`."""
METRICS = ("pearson",)
"""What a prediction is held against responses with."""
CEILINGS = ("split-half",)
"""What a score is normalised by: the Spearman-Brown corrected correlation between halves of the trials."""


@dataclass(frozen=True)
class Benchmark:
    """What to score against, and how.

    Attributes
    ----------
    name
        How it is called in results.
    recording
        Name of the recording; `brainfit.load_recording` resolves it.
    region
        One of V1, V2, V4, pIT, cIT, aIT, or IT for the last three together.
    presentation
        What a model is shown, and when.
    test_fraction
        Share of each object's images that is held out, in (0, 1).
    mapping
        Name of the map from features to responses.
    version
        Raised whenever a change moves scores.
    reference
        What to cite for it.
    split, metric, ceiling
        How images are held out, what a prediction is judged by, and what by that is divided: one of `SPLITS`,
        `METRICS` and `CEILINGS`. There is one of each so far.

    Raises
    ------
    UnknownNameError
        If there is no such region or mapping.
    ContractError
        If anything else is not of its form.

    Examples
    --------
    >>> Benchmark("my-pIT", recording="simulated", region="pIT").test_fraction
    0.25
    """

    name: str
    recording: str
    region: str
    presentation: Presentation = field(default_factory=Presentation)
    test_fraction: float = 0.25
    mapping: str = "ridge"
    version: int = 1
    reference: str = ""
    split: str = SPLITS[0]
    metric: str = METRICS[0]
    ceiling: str = CEILINGS[0]

    def __post_init__(self) -> None:
        for name in ("name", "reference"):
            text(f"the {name} of a benchmark", getattr(self, name))
        for kind, known in (("region", REGION_CHOICES), ("mapping", MAPPINGS)):
            if text(kind, getattr(self, kind)) not in known:
                raise unknown_name(kind, getattr(self, kind), known)
        for kind, known in (("split", SPLITS), ("metric", METRICS), ("ceiling", CEILINGS)):
            one_of(kind, getattr(self, kind), known)
        fraction("test_fraction", self.test_fraction)
        whole_number("version", self.version, least=1)
