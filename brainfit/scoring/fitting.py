"""Fit a map to a layer's features batch by batch, and predict from them, without holding them whole."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from brainfit.contracts.response_mapping import ResponseMapping
from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ContractError
from brainfit.features.stream import Features, open_features
from brainfit.mappings import make_mapping
from brainfit.mappings.controls import Transform, make_control
from brainfit.mappings.per_bin import PerBin
from brainfit.mappings.projection import Projection, draw_projection
from brainfit.scoring.memory_plan import check_fit, check_responses_fit
from brainfit.scoring.request import N_FOLDS, Request
from brainfit.scoring.responses import Responses, prepare
from brainfit.support.progress import progress_bar


def prepare_responses(request: Request) -> Responses:
    """Return the responses of a request, ready to be fitted; equal requests give equal splits.

    Raises
    ------
    ContractError
        If there are too few images or units with trials.
    ResourceError
        If their trials could not be averaged, or ceilings not be computed, in the memory there is.
    """
    check_responses_fit(request)
    return prepare(
        request.recording,
        request.features.presentation,
        test_fraction=request.test_fraction,
        n_folds=N_FOLDS,
        seed=request.seed,
        progress=request.execution.progress,
    )


def fit_batches(
    request: Request,
    responses: Responses,
    mapping: ResponseMapping,
    features: Features,
    transform: FeatureTransform | None = None,
    *,
    judged: bool = True,
) -> None:
    """Fit the map to the features of the training images, batch by batch.

    Parameters
    ----------
    transform
        The way from the layer's trajectory to what the map is fitted to; by default, averages over bins.
    judged
        True if the map will predict held-out images, False if it is only fitted.

    Raises
    ------
    ResourceError
        If a stage from here on would not fit into memory; raised before any batch.
    """
    transform = transform or FeatureTransform(responses.steps)
    check_fit(request, responses, mapping, features, transform, judged=judged)
    train, done = responses.train, 0
    label, shown = f"extract features of training images, {request.layer}", request.execution.progress
    with progress_bar(label, len(train), shown=shown) as on_progress:
        for batch in features.batches(request.layer, train):
            folds = responses.folds[done : done + len(batch.images)]
            mapping.partial_fit(transform(batch.trajectory), responses.mean[batch.images], folds)
            done += len(batch.images)
            on_progress(len(batch.images))


@dataclass(frozen=True)
class FeatureTransform:
    """The way from a layer's trajectory to what a map is fitted to, the same for all images.

    Attributes
    ----------
    steps
        Model steps of each time bin, over which features are averaged.
    control
        Change that a control makes to the time course; None for none.
    projection
        Random projection of the features; None if they stay whole.
    """

    steps: Sequence[Sequence[int]]
    control: Transform | None = None
    projection: Projection | None = None

    def __call__(self, trajectory: Trajectory) -> Trajectory:
        """Average over bins, then apply the control and the projection."""
        trajectory = trajectory.average(self.steps)
        for transform in (self.control, self.projection):
            trajectory = trajectory if transform is None else transform(trajectory)
        return trajectory

    def summary(self) -> dict[str, Any]:
        """Return what the projection did, if there is one, as plain values."""
        return {"projection": self.projection.summary()} if self.projection else {}


def make_transform(request: Request, responses: Responses, features: Features) -> FeatureTransform:
    """Return the transform that a request asks for.

    Raises
    ------
    ContractError
        If a control about time is asked for and the recording has one time bin, or if a projection would not
        make features fewer.
    """
    if request.control is not None and responses.mean.shape[-1] < 2:
        raise ContractError(f"control {request.control!r} is about time, but the recording has one time bin")
    control = make_control(request.control, responses.mean[responses.train], request.seed)
    projection = None
    if request.projection is not None:
        projection = draw_projection(features.sample(request.layer), request.projection, request.seed)
    return FeatureTransform(responses.steps, control, projection)


def fit(
    request: Request, responses: Responses, features: Features, transform: FeatureTransform
) -> ResponseMapping:
    """Fit one map for all bins, or one for each, from features that stream through and are never held whole.

    Raises
    ------
    ResourceError
        If a stage would not fit into memory.
    """
    make = partial(make_mapping, request.mapping, request.seed)
    mapping = PerBin(make) if request.control == "per-bin" else make()
    fit_batches(request, responses, mapping, features, transform)
    label, shown = f"fit {request.mapping} (passes)", request.execution.progress
    with progress_bar(label, mapping.n_passes, shown=shown) as on_progress:
        return mapping.solve(lambda: on_progress(1))


def predict(
    request: Request,
    responses: Responses,
    mapping: ResponseMapping,
    features: Features,
    transform: FeatureTransform,
) -> np.ndarray:
    """Predict the responses to held-out images, shape (image, unit, time_bin)."""
    predictions = []
    label, shown = "extract features of test images", request.execution.progress
    with progress_bar(label, len(responses.test), shown=shown) as on_progress:
        for batch in features.batches(request.layer, responses.test):
            predictions.append(mapping.predict(transform(batch.trajectory), len(batch.images)))
            on_progress(len(batch.images))
    return np.concatenate(predictions)


def split_features(request: Request, responses: Responses) -> AbstractContextManager[Features]:
    """Open the features of a request's layer for one pass over training images and one over test images."""
    used = np.union1d(responses.train, responses.test)
    return open_features(request.features, request.execution, used=used, again=responses.test)
