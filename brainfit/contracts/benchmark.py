"""Define a benchmark: everything that two scores must share to be comparable, under one name."""

from __future__ import annotations

from dataclasses import dataclass, field

from brainfit.contracts.presentation import Presentation
from brainfit.contracts.vocabulary import MAPPINGS, REGION_CHOICES
from brainfit.support.arguments import fraction, text, whole_number
from brainfit.support.suggestions import unknown_name


@dataclass(frozen=True)
class Benchmark:
    """A recording's region with everything that decides how a model is scored against it.

    Attributes
    ----------
    name
        Name that results show.
    recording
        Name of the recording; `brainfit.load_recording` resolves it.
    region
        One of V1, V2, V4, pIT, cIT, aIT, or IT for the last three together.
    presentation
        Stimulus timeline shown to the model.
    test_fraction
        Share of each object's images that is held out, in (0, 1).
    mapping
        Name of the regression from features to responses.
    version
        Number that rises whenever a change moves scores.
    reference
        Publication to cite.

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

    def __post_init__(self) -> None:
        for name in ("name", "reference"):
            text(f"the {name} of a benchmark", getattr(self, name))
        for kind, known in (("region", REGION_CHOICES), ("mapping", MAPPINGS)):
            if text(kind, getattr(self, kind)) not in known:
                raise unknown_name(kind, getattr(self, kind), known)
        fraction("test_fraction", self.test_fraction)
        whole_number("version", self.version, least=1)
