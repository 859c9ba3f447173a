"""A benchmark: everything that two scores must share to be comparable, under one name."""

from __future__ import annotations

from dataclasses import dataclass, field

from brainfit.presentation import Presentation


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
