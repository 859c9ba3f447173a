"""Fit a map to a layer's features batch by batch, and predict from them, without holding them whole."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import dataclass, replace
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
from brainfit.scoring.memory_plan import Work, check
from brainfit.scoring.request import Request
from brainfit.scoring.responses import Responses, prepare
from brainfit.support.progress import progress_bar

N_FOLDS = 5


def prepare_responses(request: Request) -> Responses:
    """Return the responses of a request, ready to be fitted; equal requests give equal splits.

    Raises
    ------
    ContractError
        If there are too few images or units with trials.
    ResourceError
        If their trials could not be averaged, or ceilings not be computed, in the memory there is.
    """
    check(_of_responses(request), 0, may_project=False)
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
        If a stage from here on would not fit into memory: before any batch, and by what the first one took.
    """
    train, done = responses.train, 0
    may_project = judged and request.mapping != "factorized"
    transform = transform or FeatureTransform(responses.steps)
    work = _of_fit(request, responses, mapping, features, transform, judged)
    check(work, responses.mean.nbytes, may_project=may_project)
    with progress_bar(
        f"unroll training images, {request.layer}", len(train), shown=request.execution.progress
    ) as advance:
        for batch in features.batches(request.layer, train):
            some = slice(done, done + len(batch.images))
            shown = transform(batch.trajectory)
            mapping.partial_fit(shown, responses.mean[batch.images], responses.folds[some])
            if done == 0:
                work = work.with_rows(len(batch.images), mapping.n_rows, mapping.row_bytes)
                work = replace(work, unroll=features.unroll)
                check(work, responses.mean.nbytes + mapping.row_bytes, may_project=may_project)
            done = some.stop
            advance(len(batch.images))


@dataclass(frozen=True)
class FeatureTransform:
    """The way from a layer's trajectory to what a map is fitted to, the same for all images.

    Attributes
    ----------
    steps
        Model steps of each time bin, over which features are averaged.
    control
        What a control does to the time course; None if nothing.
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
    label, shown = f"fit {request.mapping} (passes, at most)", request.execution.progress
    with progress_bar(label, mapping.n_passes, shown=shown) as advance:
        return mapping.solve(lambda: advance(1))


def predict(
    request: Request,
    responses: Responses,
    mapping: ResponseMapping,
    features: Features,
    transform: FeatureTransform,
) -> np.ndarray:
    """Predict the responses to held-out images, shape (image, unit, time_bin)."""
    predictions = []
    with progress_bar("unroll test images", len(responses.test), shown=request.execution.progress) as advance:
        for batch in features.batches(request.layer, responses.test):
            predictions.append(mapping.predict(transform(batch.trajectory), len(batch.images)))
            advance(len(batch.images))
    return np.concatenate(predictions)


def split_features(request: Request, responses: Responses) -> AbstractContextManager[Features]:
    """Open the features of a request's layer for one pass over training images and one over test images."""
    used = np.union1d(responses.train, responses.test)
    return open_features(request.features, request.execution, used=used, again=responses.test)


def _of_responses(request: Request) -> Work:
    """Return the work on the responses alone, as it is known before any of them is read."""
    trials = request.recording.responses
    n_images, n_trials, n_units, n_bins = trials.shape
    n_test = round(request.test_fraction * n_images)
    return Work(
        n_images=n_images,
        n_train=n_images - n_test,
        n_test=n_test,
        n_trials=n_trials,
        n_units=n_units,
        n_bins=n_bins,
        trial_bytes=trials.dtype.itemsize,
    )


def _of_fit(
    request: Request,
    responses: Responses,
    mapping: ResponseMapping,
    features: Features,
    transform: FeatureTransform,
    judged: bool,
) -> Work:
    """Return all the work that is left, by what a copy of the map does with the answer to one image."""
    some, probe = responses.train[:1], deepcopy(mapping)
    answer = features.sample(request.layer)
    probe.partial_fit(transform(answer), responses.mean[some], responses.folds[:1])
    trials, (n_images, n_units, n_bins) = responses.recording.responses, responses.mean.shape
    work = Work(
        n_images=n_images,
        n_train=len(responses.train),
        n_test=len(responses.test) if judged else 0,
        n_trials=trials.sizes["trial"],
        n_units=n_units,
        n_bins=n_bins,
        trial_bytes=trials.dtype.itemsize,
        n_features=probe.n_features,
        batch_size=features.batch_size,
        unroll=features.unroll,
        answer_bytes=float(sum(block.nbytes for block in answer.blocks)),
        item_bytes=answer.blocks[0].element_size(),
        solver=lambda n_rows, n_features: probe.working_bytes(n_rows, n_features, n_units, N_FOLDS),
    )
    return work.with_rows(1, probe.n_rows, probe.row_bytes)
