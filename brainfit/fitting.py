"""Show a model images, and a map what a layer does for them: batch by batch, never held whole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from brainfit.extraction import Batch, extract
from brainfit.memory import check_memory
from brainfit.progress import progress_bar
from brainfit.protocols import Mapping
from brainfit.provenance import ContentHash
from brainfit.recording import Recording
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
    request: Request, responses: Responses, mapping: Mapping, content: ContentHash, progress: bool
) -> None:
    """Show the model the training images, and the map what a layer does for them."""
    train, done = responses.train, 0
    with progress_bar(f"unroll training images, {request.layer}", len(train), shown=progress) as advance:
        for batch in unrolled(request, responses.recording, train):
            some = slice(done, done + len(batch.images))
            features = batch.trajectory.average(responses.steps)
            mapping.partial_fit(features, responses.mean[batch.images], responses.folds[some])
            content.update("pixels", batch.pixels)
            if done == 0:
                _check_fit(mapping, len(batch.images), len(train), responses.mean.shape[1])
            done = some.stop
            advance(len(batch.images))


def predict(
    request: Request, responses: Responses, mapping: Mapping, content: ContentHash, progress: bool
) -> np.ndarray:
    """Predict the responses to held-out images, shape (image, unit, time_bin)."""
    predictions = []
    with progress_bar("unroll test images", len(responses.test), shown=progress) as advance:
        for batch in unrolled(request, responses.recording, responses.test):
            features = batch.trajectory.average(responses.steps)
            predictions.append(mapping.predict(features, len(batch.images)))
            content.update("pixels", batch.pixels)
            advance(len(batch.images))
    return np.concatenate(predictions)


def unrolled(request: Request, recording: Recording, images: np.ndarray) -> Iterator[Batch]:
    """Yield what the layer does for each batch of these images."""
    return extract(
        request.model,
        request.layer,
        recording.stimuli,
        images,
        request.presentation,
        batch_size=request.batch_size,
        device=request.device,
    )


def _check_fit(mapping: Mapping, n_seen: int, n_train: int, n_units: int) -> None:
    """Refuse, after the first batch and before the long work, a fit that memory cannot hold."""
    needed = {
        "compressed features": mapping.row_bytes * (n_train - n_seen) / n_seen,
        "solver": mapping.working_bytes(mapping.n_features, n_units, N_FOLDS),
    }
    check_memory(needed, "lower the number of images or the batch size, or choose a smaller layer or region")
