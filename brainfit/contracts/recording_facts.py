"""What is known of a recording from its labels alone, in the words that every command uses."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from brainfit.contracts.vocabulary import REGION_CHOICES
from brainfit.support.messages import printable

if TYPE_CHECKING:
    import xarray as xr

    from brainfit.contracts.recording import Recording

_MOST_NAMES = 12
"""Names in one line; of more, only the number is given."""


def recording_facts(recording: Recording) -> dict[str, str]:
    """Describe a recording by its labels, without reading a response or a pixel.

    Returns
    -------
    dict
        A line of text by the name of the fact: ``images``, ``trials``, ``units``, ``time bins`` and
        ``noise ceiling``; where the recording has them also ``split``, ``presentation`` and
        ``response window``.

    Examples
    --------
    >>> from data_loaders.simulated.recording import simulated
    >>> for fact, line in recording_facts(simulated(n_images=64, n_trials=4)).items():
    ...     print(f"{fact}: {line}")
    images: 64 of 64 objects, 128 × 128 pixels, uint8
    trials: up to 4 per image
    units: V4 88 (Ada 44, Bo 44); pIT 76 (Ada 6, Bo 70); cIT 75 (Ada 58, Bo 17); aIT 17 (Ada 17)
    time bins: 25 from 0 to 250 ms, each 10 ms wide
    noise ceiling: from single trials
    """
    responses, stimuli = recording.responses, recording.stimuli
    objects = len(np.unique(_text(responses["object_name"])))
    pixels = f"{stimuli.sizes['height']} × {stimuli.sizes['width']} pixels, {stimuli.dtype}"
    facts = {"images": f"{recording.n_images:,} of {objects} {_plural('object', objects)}, {pixels}"}
    if "split" in responses.coords:
        counts = Counter(_text(responses["split"]))
        facts["split"] = ", ".join(f"{counts[part]:,} {part} images" for part in ("train", "test"))
    if recording.on_ms is not None:
        facts["presentation"] = f"image for {recording.on_ms} ms, then gray for {recording.off_ms} ms"
    n_trials = responses.sizes.get("trial")
    facts["trials"] = "averaged" if n_trials is None else f"up to {n_trials:,} per image"
    facts["units"] = units_by_region(responses)
    facts["time bins"] = _bins(responses)
    if recording.response_window is not None:
        facts["response window"] = "{:g} to {:g} ms".format(*recording.response_window)
    obstacle = ceiling_obstacle(recording)
    facts["noise ceiling"] = f"none, so it cannot be scored: {obstacle}" if obstacle else "from single trials"
    return facts


def units_by_region(responses: xr.DataArray) -> str:
    """Return the number of units of each region, and in it of each animal, as text.

    Examples
    --------
    >>> import xarray as xr
    >>> labels = {"region": ("unit", ["V4", "V4", "IT"]), "animal": ("unit", ["b", "a", "a"])}
    >>> units_by_region(xr.DataArray(np.zeros(3), dims="unit", coords=labels))
    'V4 2 (a 1, b 1); IT 1 (a 1)'
    """
    pairs = Counter(zip(_text(responses["region"]), _text(responses["animal"]), strict=True))
    regions = sorted({region for region, _ in pairs}, key=_rank)
    lines = []
    for region in regions:
        animals = {animal: n for (where, animal), n in sorted(pairs.items()) if where == region}
        names = ", ".join(f"{printable(animal)} {n}" for animal, n in animals.items())
        many = f"{len(animals)} animals" if len(animals) > _MOST_NAMES else names
        lines.append(f"{printable(region)} {sum(animals.values()):,} ({many})")
    return "; ".join(lines) or "none"


def ceiling_obstacle(recording: Recording) -> str | None:
    """Return why a recording has no noise ceiling, and so no score; None if nothing stands in the way.

    Only its shape is known here: a recording with trials may still have too few images that repeat.
    """
    n_trials = recording.responses.sizes.get("trial", 0)
    if n_trials >= 2:
        return None
    return (
        f"recording {printable(repr(recording.name))} has {('no single trials', 'one trial')[n_trials]} "
        f"({', '.join(map(str, recording.responses.dims))}), but a noise ceiling needs at least 2 trials per "
        "image; give the responses of single trials (image, trial, unit, time_bin)"
    )


def _bins(responses: xr.DataArray) -> str:
    start, end = (responses[f"time_bin_{edge}"].values.astype(float) for edge in ("start", "end"))
    narrow, wide = (end - start).min(), (end - start).max()
    width = f"{narrow:g}" if narrow == wide else f"{narrow:g} to {wide:g}"
    overlap = ", overlapping (each is taken by its centre)" if (start[1:] < end[:-1]).any() else ""
    each = "each " if len(start) > 1 else ""
    return f"{len(start)} from {start[0]:g} to {end.max():g} ms, {each}{width} ms wide{overlap}"


def _text(labels: xr.DataArray) -> list[str]:
    return labels.values.astype(str).tolist()


def _rank(region: str) -> int:
    return REGION_CHOICES.index(region) if region in REGION_CHOICES else len(REGION_CHOICES)


def _plural(noun: str, n: int) -> str:
    return noun if n == 1 else f"{noun}s"
