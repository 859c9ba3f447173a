"""Preview what a score of a recording would refuse, leave out and remark, without a model.

A score runs through the same functions, so a preview has the words of the score.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from brainfit.contracts.model import Model
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.recording import Recording
from brainfit.errors import ContractError
from brainfit.features.plan import own_presentation, usable_presentation
from brainfit.scoring.evaluation import check_evaluable
from brainfit.scoring.notices import Notice, model_notices, picture_notices, unit_notices
from brainfit.scoring.pictures import Pictures
from brainfit.scoring.reliability import measure
from brainfit.scoring.request import N_FOLDS, TEST_FRACTION, select
from brainfit.scoring.responses import prepare, require_trials


@dataclass(frozen=True)
class Preview:
    """What is known of a score before there is one.

    Attributes
    ----------
    refusal
        The error that a score would raise; None if it would be computed.
    notices
        Remarks that it would make.
    dropped
        What it would leave out, and why.
    """

    refusal: str | None = None
    notices: tuple[Notice, ...] = ()
    dropped: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "cannot_be_scored": self.refusal,
            "notices": [notice._asdict() for notice in self.notices],
            "dropped": self.dropped,
        }


def preview_recording(
    recording: Recording,
    region: str,
    *,
    n_images: int | None = None,
    pictures: Pictures | None = None,
    seed: int = 0,
) -> Preview:
    """Preview a score of one region by any model in steps of 10 ms.

    Parameters
    ----------
    recording
        All its responses to the region are read, and its images.
    region, n_images, seed
        As for `brainfit.score`.
    pictures
        The pictures that its images show, if that is known.
    """
    try:
        chosen = select(recording, region, n_images, seed)
        presentation = own_presentation(chosen, Presentation.step_ms)
        require_trials(chosen)
        responses = prepare(
            chosen,
            presentation,
            test_fraction=TEST_FRACTION,
            n_folds=N_FOLDS,
            seed=seed,
            pictures=pictures,
        )
        check_evaluable(responses)
    except ContractError as error:
        return Preview(refusal=str(error))
    test = responses.recording.responses.isel(image=responses.test)
    reliability = measure(test, window=responses.recording.response_window, n_splits=1, seed=seed)
    pooled = list(reliability.windows).index("pooled")
    found = (*unit_notices(reliability.known[pooled]), *picture_notices(responses.split))
    return Preview(None, found, responses.dropped.records)


def preview_model(model: Model) -> Preview:
    """Preview a score by a model, on a recording without a presentation of its own."""
    notices = tuple(model_notices(model))
    try:
        usable_presentation(None, model, None)
    except ContractError as error:
        return Preview(str(error), notices)
    return Preview(None, notices)
