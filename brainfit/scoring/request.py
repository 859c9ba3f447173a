"""Check what is asked of a fit, before any work is done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from brainfit.contracts.model import Model
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.recording import Recording, check_recording
from brainfit.contracts.vocabulary import CONTROLS, MAPPINGS
from brainfit.errors import ContractError
from brainfit.execution import Execution, or_default
from brainfit.features.plan import FeaturePlan, plan_features, usable_model, usable_presentation
from brainfit.registry.lookup import load_recording
from brainfit.scoring.responses import require_trials
from brainfit.statistics.splits import sample_images
from brainfit.support.arguments import fraction, text, whole_number
from brainfit.support.suggestions import unknown_name

AUTO = "auto"
"""Stands for the layer that the training images choose."""
N_FOLDS = 5
"""Number of inner folds of the training images, on which penalties and layers are chosen."""
TEST_FRACTION = 0.25
"""Share of images held out within each object, unless another one is given."""


@dataclass(frozen=True)
class Request:
    """A fit that can be computed: names are resolved, and the parts fit together.

    Attributes
    ----------
    features
        The features that are fitted: those of `layer`, or of every candidate if it is `AUTO`.
    execution
        Device, precision, batch size, cache and progress bars of the work.
    recording
        The units of `region`, and the images asked for.
    region, layer, mapping, control, projection, test_fraction, seed
        As for `brainfit.score`.
    """

    features: FeaturePlan
    execution: Execution
    recording: Recording
    region: str
    layer: str
    mapping: str
    control: str | None
    projection: int | None
    test_fraction: float
    seed: int

    @property
    def model(self) -> Model:
        """The model whose features are fitted."""
        return self.features.model

    def with_layers(self, *layers: str) -> Request:
        """Return the same request for these layers; `layer` is the first of several candidates."""
        return replace(self, layer=layers[0], features=replace(self.features, layers=layers))


def check_request(
    model: Model | str,
    recording: Recording | str | Path,
    *,
    region: str,
    layer: str,
    execution: Execution | None,
    seed: int,
    mapping: str = "ridge",
    control: str | None = None,
    projection: int | None = None,
    presentation: Presentation | None = None,
    test_fraction: float = TEST_FRACTION,
    n_images: int | None = None,
    may_choose: bool = False,
) -> Request:
    """Resolve names and defaults, and refuse what cannot be fitted; raises as `brainfit.score` does.

    Parameters
    ----------
    may_choose
        True if the caller can choose a layer where `layer` is `AUTO`.
    """
    execution = or_default(execution)
    seed = whole_number("seed", seed)
    test_fraction = fraction("test_fraction", test_fraction)
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
    model = usable_model(model, execution)
    recording = select(recording, region, n_images, seed)
    presentation = usable_presentation(presentation, model, recording)
    if control == "graded":
        presentation = replace(presentation, on_ms=presentation.on_ms + presentation.off_ms, off_ms=0)
    require_trials(recording)
    chooses = may_choose and layer == AUTO
    layers = tuple(model.layers) if chooses else (resolve_layer(model, layer, region),)
    return Request(
        features=plan_features(model, layers, recording.stimuli, presentation, execution),
        execution=execution,
        recording=recording,
        region=region,
        layer=AUTO if chooses else layers[0],
        mapping=mapping,
        control=control,
        projection=projection,
        test_fraction=test_fraction,
        seed=seed,
    )


def select(recording: Recording | str | Path, region: str, n_images: int | None, seed: int) -> Recording:
    """Keep the region's units, and as many images as asked for, in the order of their names."""
    if not isinstance(recording, Recording):
        recording = load_recording(recording, n_images=n_images)
    check_recording(recording)
    return choose_images(recording.select_region(region), n_images, seed)


def choose_images(recording: Recording, n_images: int | None, seed: int) -> Recording:
    """Keep as many images as asked for, in the order of their names; equal for all regions."""
    order = np.argsort(recording.responses["image_id"].values.astype(str), kind="stable")
    if (order[1:] < order[:-1]).any():  # what is drawn for an image must not depend on where it stands
        recording = recording.select_images(order)
    if n_images is None or n_images == recording.n_images:
        return recording
    names = recording.responses["object_name"].values
    return recording.select_images(sample_images(names, n_images, seed=seed))


def resolve_layer(model: Model, layer: str, region: str) -> str:
    """Return a layer of the model: the one named, or for ``"committed"`` the model's own for the region.

    Raises
    ------
    UnknownNameError
        If the model has no such layer.
    ContractError
        If the model names no layer for the region.
    """
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
