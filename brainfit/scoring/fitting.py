"""Fit a map to a layer's features batch by batch, and predict from them, without holding them whole."""

from __future__ import annotations

from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import replace

import numpy as np

from brainfit.contracts.response_mapping import ResponseMapping
from brainfit.errors import ContractError
from brainfit.features.stream import Features, open_features
from brainfit.mappings.controls import make_controlled
from brainfit.mappings.projection import Projected
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
    *,
    judged: bool = True,
) -> None:
    """Fit the map to the features of the training images, batch by batch.

    Parameters
    ----------
    judged
        True if the map will predict held-out images, False if it is only fitted.

    Raises
    ------
    ResourceError
        If a stage from here on would not fit into memory: before any batch, and by what the first one took.
    """
    train, done = responses.train, 0
    may_project = judged and request.mapping != "factorized"
    work = _of_fit(request, responses, mapping, features, judged)
    check(work, responses.mean.nbytes, may_project=may_project)
    with progress_bar(
        f"unroll training images, {request.layer}", len(train), shown=request.execution.progress
    ) as advance:
        for batch in features.batches(request.layer, train):
            some = slice(done, done + len(batch.images))
            averages = batch.trajectory.average(responses.steps)
            mapping.partial_fit(averages, responses.mean[batch.images], responses.folds[some])
            if done == 0:
                work = work.with_rows(len(batch.images), mapping.n_rows, mapping.row_bytes)
                work = replace(work, unroll=features.unroll)
                check(work, responses.mean.nbytes + mapping.row_bytes, may_project=may_project)
            done = some.stop
            advance(len(batch.images))


def fit(request: Request, responses: Responses, features: Features) -> ResponseMapping:
    """Fit one map for all bins from features that stream through and are never held whole.

    Raises
    ------
    ContractError
        If a control about time is asked for, and the recording has one time bin.
    ResourceError
        If a stage would not fit into memory.
    """
    if request.control is not None and responses.mean.shape[-1] < 2:
        raise ContractError(f"control {request.control!r} is about time, but the recording has one time bin")
    mapping = make_controlled(request.mapping, request.control, responses.mean[responses.train], request.seed)
    if request.projection is not None:
        mapping = Projected(mapping, request.projection, request.seed)
    fit_batches(request, responses, mapping, features)
    label, shown = f"fit {request.mapping} (passes, at most)", request.execution.progress
    with progress_bar(label, mapping.n_passes, shown=shown) as advance:
        return mapping.solve(lambda: advance(1))


def predict(
    request: Request, responses: Responses, mapping: ResponseMapping, features: Features
) -> np.ndarray:
    """Predict the responses to held-out images, shape (image, unit, time_bin)."""
    predictions = []
    with progress_bar("unroll test images", len(responses.test), shown=request.execution.progress) as advance:
        for batch in features.batches(request.layer, responses.test):
            averages = batch.trajectory.average(responses.steps)
            predictions.append(mapping.predict(averages, len(batch.images)))
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
    request: Request, responses: Responses, mapping: ResponseMapping, features: Features, judged: bool
) -> Work:
    """Return all the work that is left, by what a copy of the map does with the answer to one image."""
    some, probe = responses.train[:1], deepcopy(mapping)
    answer = features.sample(request.layer)
    probe.partial_fit(answer.average(responses.steps), responses.mean[some], responses.folds[:1])
    projected = isinstance(probe, Projected)
    solved, n_features = (probe.mapping, probe.n_components) if projected else (probe, probe.n_features)
    trials, (n_images, n_units, n_bins) = responses.recording.responses, responses.mean.shape
    work = Work(
        n_images=n_images,
        n_train=len(responses.train),
        n_test=len(responses.test) if judged else 0,
        n_trials=trials.sizes["trial"],
        n_units=n_units,
        n_bins=n_bins,
        trial_bytes=trials.dtype.itemsize,
        n_features=n_features,
        batch_size=features.batch_size,
        unroll=features.unroll,
        answer_bytes=float(sum(block.nbytes for block in answer.blocks)),
        item_bytes=answer.blocks[0].element_size(),
        solver=lambda n_rows, n_features: solved.working_bytes(n_rows, n_features, n_units, N_FOLDS),
    )
    return work.with_rows(1, probe.n_rows, probe.row_bytes)
