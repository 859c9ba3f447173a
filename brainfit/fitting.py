"""Show a map what a layer does for images: batch by batch, never held whole."""

from __future__ import annotations

from contextlib import AbstractContextManager

import numpy as np

from brainfit.features import Features, open_features
from brainfit.memory import check_memory
from brainfit.progress import progress_bar
from brainfit.protocols import Mapping
from brainfit.request import Request
from brainfit.responses import Responses, prepare

N_FOLDS = 5


def prepare_request(request: Request, test_fraction: float, progress: bool) -> Responses:
    """Return the responses of a request, ready to be fitted: the same split for whoever asks the same."""
    return prepare(
        request.recording,
        request.presentation,
        test_fraction=test_fraction,
        n_folds=N_FOLDS,
        seed=request.seed,
        progress=progress,
    )


def take_in(
    request: Request, responses: Responses, mapping: Mapping, features: Features, progress: bool
) -> None:
    """Show the map what a layer does for the training images."""
    train, done = responses.train, 0
    with progress_bar(f"unroll training images, {request.layer}", len(train), shown=progress) as advance:
        for batch in features.batches(request.layer, train):
            some = slice(done, done + len(batch.images))
            averages = batch.trajectory.average(responses.steps)
            mapping.partial_fit(averages, responses.mean[batch.images], responses.folds[some])
            if done == 0:
                _check_fit(mapping, len(batch.images), len(train), responses.mean.shape[1])
            done = some.stop
            advance(len(batch.images))


def predict(
    request: Request, responses: Responses, mapping: Mapping, features: Features, progress: bool
) -> np.ndarray:
    """Predict the responses to held-out images, shape (image, unit, time_bin)."""
    predictions = []
    with progress_bar("unroll test images", len(responses.test), shown=progress) as advance:
        for batch in features.batches(request.layer, responses.test):
            averages = batch.trajectory.average(responses.steps)
            predictions.append(mapping.predict(averages, len(batch.images)))
            advance(len(batch.images))
    return np.concatenate(predictions)


def split_features(request: Request, responses: Responses) -> AbstractContextManager[Features]:
    """Open the features of a request's layer for one pass over training images and one over test images."""
    used = np.union1d(responses.train, responses.test)
    return open_features(request, [request.layer], used=used, again=responses.test)


def _check_fit(mapping: Mapping, n_seen: int, n_train: int, n_units: int) -> None:
    """Refuse, after the first batch and before the long work, a fit that memory cannot hold."""
    needed = {
        "compressed features": mapping.row_bytes * (n_train - n_seen) / n_seen,
        "solver": mapping.working_bytes(mapping.n_features, n_units, N_FOLDS),
    }
    check_memory(needed, "lower the number of images or the batch size, or choose a smaller layer or region")
