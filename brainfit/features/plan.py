"""Say which layers of which model are computed for which images, before anything is computed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import xarray as xr

from brainfit.contracts.model import Model, check_attributes, holds_image
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.recording import Recording
from brainfit.errors import ContractError
from brainfit.execution import Execution
from brainfit.features.content import content_hash
from brainfit.features.model_contract import require_values
from brainfit.features.store import prepare_cache
from brainfit.registry.lookup import load_model

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeaturePlan:
    """A model's layers, the images, and how these are presented.

    Attributes
    ----------
    model
        The model, on the device on which it will run.
    layers
        Names of the layers that are needed, all from one pass over the images if possible.
    stimuli
        The images, dims ``("image", "height", "width", "channel")``; may be lazy.
    presentation
        The presentation, in the model's steps.
    content
        Hash of everything that the model computes with (`brainfit.features.content`), under which
        features are cached; None if they are not.
    """

    model: Model
    layers: tuple[str, ...]
    stimuli: xr.DataArray
    presentation: Presentation
    content: str | None = None


def plan_features(
    model: Model,
    layers: Sequence[str],
    stimuli: xr.DataArray,
    presentation: Presentation,
    execution: Execution,
) -> FeaturePlan:
    """Plan the features of a usable model (`usable_model`), and find out whether they can be cached.

    Raises
    ------
    IntegrityError
        If the cache cannot be written.
    """
    content = cache_content(model) if execution.cache else None
    if content is not None and not prepare_cache():
        content = None  # refused, or found out, now and not after trials were averaged
    return FeaturePlan(model, tuple(layers), stimuli, presentation, content)


def usable_model(model: Model | str, execution: Execution) -> Model:
    """Load a model that is given by name, check it, and move it to the device.

    Raises
    ------
    UnknownNameError, PluginError
        If there is no such model, or it cannot be built.
    ContractError
        If it lacks something that `brainfit.contracts.model.Model` lists, or its parameters lack values.
    """
    model = load_model(model) if isinstance(model, str) else model
    check_attributes(model)
    require_values(model)
    if isinstance(model, torch.nn.Module):
        model.to(execution.device)
    return model


def usable_presentation(
    presentation: Presentation | None, model: Model, recording: Recording | None
) -> Presentation:
    """Return the presentation if it has the model's step; for None the recording's own, or the default one.

    Raises
    ------
    ContractError
        If it is not a presentation, or its step or its durations do not fit the model.
    """
    if presentation is None:
        default = own_presentation(recording, model.step_ms)
        if holds_image(model):  # the provenance records it
            return replace(default, on_ms=default.on_ms + default.off_ms, off_ms=0)
        return default
    if not isinstance(presentation, Presentation):
        raise ContractError(f"presentation is a brainfit.Presentation, got {type(presentation).__name__}")
    if presentation.step_ms != model.step_ms:
        raise ContractError(
            f"model {model.name!r} takes steps of {model.step_ms} ms, the presentation has "
            f"{presentation.step_ms} ms; give a presentation with step_ms={model.step_ms}"
        )
    return presentation


def own_presentation(recording: Recording | None, step_ms: int) -> Presentation:
    """Return the presentation of a recording that has one, and otherwise the default one.

    Raises
    ------
    ContractError
        If its durations are not whole numbers of steps.
    """
    if recording is None or recording.on_ms is None or recording.off_ms is None:
        return Presentation(step_ms=step_ms)
    return Presentation(recording.on_ms, recording.off_ms, step_ms)


def cache_content(model: Model) -> str | None:
    """Return the hash under which features are cached, or log why there is none and return None."""
    try:
        return content_hash(model)
    except ContractError as error:
        _log.info("features of model %r are not kept in the cache: %s", model.name, error)
        return None
