"""What is asked of a score, checked before any work is done."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from brainfit.contracts.model import Model, check_attributes, holds_image
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.recording import Recording, check_recording
from brainfit.contracts.vocabulary import CONTROLS, DEVICES, MAPPINGS, PRECISIONS
from brainfit.errors import ContractError
from brainfit.features.model_content import model_content
from brainfit.features.store import open_store
from brainfit.registry.lookup import load_model, load_recording
from brainfit.scoring.responses import require_trials
from brainfit.statistics.splits import sample_images
from brainfit.support.arguments import one_of, text, whole_number
from brainfit.support.suggestions import unknown_name

AUTO = "auto"
"""In place of a layer: the one that the training images choose."""
BATCH_SIZE = 16
"""Images that go through the model together, unless another number is asked for or memory is short."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """A score that can be computed: names are resolved, and the parts fit together.

    `recording` has the units of `region` and the images asked for; `layer` is one of the model's, or
    `AUTO` where that was allowed; `may_shrink` says that batches may be made smaller where memory is short;
    `content` is the hash of all that the model computes with
    (`brainfit.features.model_content`), None where features are not to be kept; the rest is as for `brainfit.score`.
    """

    model: Model
    recording: Recording
    region: str
    layer: str
    mapping: str
    control: str | None
    presentation: Presentation
    batch_size: int
    device: str
    seed: int
    projection: int | None = None
    precision: str = "float32"
    content: str | None = None
    may_shrink: bool = False


def check_request(
    model: Model | str,
    recording: Recording | str | Path,
    *,
    region: str,
    layer: str,
    mapping: str,
    control: str | None,
    presentation: Presentation | None,
    n_images: int | None,
    batch_size: int | None,
    device: str,
    seed: int,
    projection: int | None = None,
    precision: str = "float32",
    cache: bool = True,
    may_choose: bool = False,
) -> Request:
    """Resolve names and defaults, and refuse what cannot be scored; raises as `brainfit.score` does.

    `may_choose` says that the caller can choose a layer if `layer` is `AUTO`.
    """
    seed = whole_number("seed", seed)
    may_shrink = batch_size is None
    batch_size = BATCH_SIZE if batch_size is None else whole_number("batch_size", batch_size, least=1)
    precision = one_of("precision", precision, PRECISIONS)
    region, layer = text("region", region), text("layer", layer)
    if text("mapping", mapping) not in MAPPINGS:
        raise unknown_name("mapping", mapping, MAPPINGS)
    if projection is not None:
        projection = whole_number("projection", projection, least=1)
        if mapping == "factorized":
            raise ContractError(
                "a factorized map needs each feature's channel and place, which a projection mixes; "
                "choose another mapping, or leave the projection out"
            )
    if control is not None and text("control", control) not in CONTROLS:
        raise unknown_name("control", control, CONTROLS)
    model = _model(model, device)
    presentation = _presentation(presentation, model)
    if control == "graded":
        presentation = replace(presentation, on_ms=presentation.on_ms + presentation.off_ms, off_ms=0)
    recording = select(recording, region, n_images, seed)
    require_trials(recording)
    if not (may_choose and layer == AUTO):
        layer = _layer(model, layer, region)
    return Request(
        model=model,
        recording=recording,
        region=region,
        layer=layer,
        mapping=mapping,
        control=control,
        presentation=presentation,
        batch_size=batch_size,
        device=device,
        seed=seed,
        projection=projection,
        precision=precision,
        content=_content(model) if cache else None,
        may_shrink=may_shrink,
    )


def _content(model: Model) -> str | None:
    """Return by what the model's features are found again; None, and say so, if that cannot be known."""
    try:
        content = model_content(model)
    except ContractError as error:
        _log.info("features of model %r are not kept in the cache: %s", model.name, error)
        return None
    open_store().prepare()  # a cache that cannot be written is refused now, not after trials were averaged
    return content


def _model(model: Model | str, device: str) -> Model:
    model = load_model(model) if isinstance(model, str) else model
    check_attributes(model)
    if one_of("device", device, DEVICES) == "cuda" and not torch.cuda.is_available():
        raise ContractError("device 'cuda' was asked for, but torch sees no GPU; use device 'cpu'")
    if isinstance(model, torch.nn.Module):
        model.to(device)
    return model


def _presentation(presentation: Presentation | None, model: Model) -> Presentation:
    if presentation is None:
        shown = Presentation(step_ms=model.step_ms)
        # It cannot be shown gray (model_zoo.adapters.from_sequence); the provenance says what was shown.
        held = holds_image(model)
        return replace(shown, on_ms=shown.on_ms + shown.off_ms, off_ms=0) if held else shown
    if not isinstance(presentation, Presentation):
        raise ContractError(f"presentation is a brainfit.Presentation, got {type(presentation).__name__}")
    if presentation.step_ms != model.step_ms:
        raise ContractError(
            f"model {model.name!r} takes steps of {model.step_ms} ms, the presentation has "
            f"{presentation.step_ms} ms; give a presentation with step_ms={model.step_ms}"
        )
    return presentation


def select(recording: Recording | str | Path, region: str, n_images: int | None, seed: int) -> Recording:
    """Keep the region's units, and as many images as asked for, in the order of their names."""
    if not isinstance(recording, Recording):
        recording = load_recording(recording, n_images=n_images)
    check_recording(recording)
    recording = recording.select_region(region)
    order = np.argsort(recording.responses["image_id"].values.astype(str), kind="stable")
    if (order[1:] < order[:-1]).any():  # what is drawn for an image must not depend on where it stands
        recording = recording.select_images(order)
    if n_images is None or n_images == recording.n_images:
        return recording
    names = recording.responses["object_name"].values
    return recording.select_images(sample_images(names, n_images, seed=seed))


def _layer(model: Model, layer: str, region: str) -> str:
    if layer != "committed":
        if layer not in model.layers:
            raise unknown_name("layer", layer, model.layers)
        return layer
    if region not in model.region_layers:
        raise ContractError(
            f"model {model.name!r} commits to no layer for region {region!r}; "
            f"name one of its layers: {', '.join(model.layers)}"
        )
    return model.region_layers[region]
