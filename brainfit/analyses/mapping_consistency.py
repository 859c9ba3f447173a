"""Mapping consistency: a score that corrects for the noise of the map as well as for that of the response.

A map that was fitted to noisy responses is noisy itself, and so are its predictions. Two maps, one fitted to
each half of the trials, say by how much: where they agree less than fully, part of what a prediction lacks is
the fault of the trials that the map was made from, not of the model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import xarray as xr

from brainfit.analyses.trial_halves import corrected_scores, halve
from brainfit.contracts.model import Model
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.recording import Recording
from brainfit.errors import ContractError, UnknownNameError
from brainfit.execution import Execution
from brainfit.mappings import make_mapping
from brainfit.mappings.base import SharedLinearMap
from brainfit.scoring.fitting import prepare_responses, split_features
from brainfit.scoring.reliability import N_SPLITS, measure
from brainfit.scoring.request import AUTO, N_FOLDS, TEST_FRACTION, Request, check_request
from brainfit.scoring.responses import Responses
from brainfit.scoring.result_base import Result
from brainfit.support.arguments import whole_number
from brainfit.support.memory import check_memory
from brainfit.support.progress import progress_bar
from brainfit.support.seeds import generator

N_HALVINGS = 10


@dataclass(frozen=True, eq=False, repr=False)
class MappingConsistency(Result):
    """Scores corrected for the noise of the map; `mapping_consistency` describes the variables."""

    ROWS: ClassVar[tuple[str, ...]] = ("window", "unit")


def mapping_consistency(
    model: Model | str,
    recording: Recording | str | Path = "simulated",
    *,
    region: str,
    layer: str = "committed",
    mapping: str = "ridge",
    presentation: Presentation | None = None,
    test_fraction: float = TEST_FRACTION,
    n_images: int | None = None,
    n_halvings: int = N_HALVINGS,
    seed: int = 0,
    execution: Execution | None = None,
) -> MappingConsistency:
    r"""Score a model with the noise of its map and that of the responses both taken off.

    With :math:`Y` the trial-averaged responses to held-out images, :math:`X` their prediction by a map that
    was fitted to all trials of the training images, :math:`X_1, X_2` those by maps fitted to a random half of
    these trials each, and :math:`Y_1, Y_2` the averages of random halves of the held-out images' trials,

    .. math:: r_{nc} = r(X, Y) / \sqrt{SB[\langle r(X_1, X_2) \rangle]\, SB[\langle r(Y_1, Y_2) \rangle]}

    for each unit, the means being over halvings and :math:`SB[r] = 2r / (1 + r)`. What too few training
    *images* cost is the same for both halves and is not corrected. Where units are barely reliable the number
    is low, since units count that are reliable by luck.

    All units count whose image-driven reliability is distinguishable from zero: where the map fails, the unit
    scores 0. A correlation with a constant prediction is 0, that of halves as well; where predictions from
    halves do not correlate positively in the mean over halvings, nothing reproducible was predicted, and the
    consistency is 0.

    All maps are fitted to features of one unroll, which are compressed and held once, however many maps there
    are; beside them memory holds 2 `n_halvings` averages of the responses, twice.

    Parameters
    ----------
    model, recording, region, layer, mapping, presentation, test_fraction, n_images
        As for `brainfit.score`, and the same images are held out; but `layer` cannot be ``"auto"``.
    n_halvings
        Number of random halvings of the trials of training images; each takes two fits.
    seed
        Seed of the split, the inner folds and the halves.
    execution
        Settings of the run (`brainfit.Execution`); by default on the CPU with features cached.

    Returns
    -------
    MappingConsistency
        Over (window, unit), windows ``pooled``, ``early``, ``late`` as in `brainfit.scoring.result.Score`:
        `r`, Pearson, [-1, 1]; `predictor_reliability` and `response_reliability`, the two factors under the
        root, [0, 1] and (0, 1]; `normalized`, r over the root of the second alone; `consistency`, r over the
        root of both, which by luck of noise can exceed 1; `image_driven`, the consistency once each bin's
        mean over images is taken off predictions and responses, halves as well, so that a time course that
        all images share counts for nothing. NaN only where a unit's reliability is not distinguishable from
        zero: a median over what is not NaN is one over all `n_known` units of the window. Besides,
        `predicted` over (image, unit, time_bin), and `window_bins`. The attributes say of what, and what was
        dropped and why.

    Raises
    ------
    UnknownNameError
        If there is no such model, recording, region, layer or mapping, or `layer` is ``"auto"``.
    ContractError
        If they do not have the form they must have, or no unit has two trials of every image.
    ResourceError
        If the averages or the fits would not fit into memory.

    References
    ----------
    Nayebi et al. (2022), Neural Computation 34:1652. As in its authors' code,
    github.com/neuroailab/brainmodel_utils, metrics/consistency.py, the numerator has all trials, "since
    Spearman-Brown correction applies to split-half self-consistency"; unlike there, correlations of halves
    are averaged before the ratio is taken, not ratios, which one unlucky halving makes undefined.
    """
    if layer == AUTO:
        raise UnknownNameError(
            f"unknown layer {AUTO!r}: only brainfit.score chooses a layer; name one, or pass 'committed'"
        )
    n_halvings = whole_number("n_halvings", n_halvings, least=1)
    request = check_request(
        model,
        recording,
        region=region,
        layer=layer,
        mapping=mapping,
        presentation=presentation,
        test_fraction=test_fraction,
        n_images=n_images,
        seed=seed,
        execution=execution,
    )
    responses, progress = prepare_responses(request), request.execution.progress
    rng = generator(request.seed, "halves of training trials")
    level = responses.mean[responses.train].mean(axis=(0, 2))
    responses = replace(responses, mean=responses.mean - level[:, None])
    of_training = responses.recording.responses.isel(image=responses.train)
    training = halve(of_training, n_halvings, rng, level=level)
    responses, training, level = _with_halves(responses, training, level)
    predicted = _predict(request, responses, training)
    held_out = responses.recording.responses.isel(image=responses.test)
    with progress_bar("noise ceiling (units)", held_out.sizes["unit"], shown=progress) as on_progress:
        reliability = measure(
            held_out,
            window=request.recording.response_window,
            n_splits=N_SPLITS,
            seed=request.seed,
            on_progress=on_progress,
        )
    scores = corrected_scores(
        predicted[0],
        responses.mean[responses.test],
        predicted[1:].reshape(2, -1, *predicted.shape[1:]),
        reliability,
    )
    arrays = {
        **{name: (("window", "unit"), values) for name, values in scores.items()},
        "n_known": ("window", reliability.known.sum(axis=1)),
        "predicted": (("image", "unit", "time_bin"), predicted[0] + level[:, None]),
        "window_bins": (("window", "time_bin"), reliability.bins),
    }
    coords = {name: c for name, c in held_out.coords.items() if "trial" not in c.dims}
    info = {
        "model": request.model.name,
        "weights": request.model.weights,
        "layer": request.layer,
        "mapping": request.mapping,
        "recording": request.recording.name,
        "region": region,
        "simulated": request.recording.simulated,
        "n_train_images": len(responses.train),
        "n_test_images": len(responses.test),
        "n_halvings": training.shape[1],
        "halving": reliability.halving,
        "seed": request.seed,
        "dropped": [
            f"{record['n']} {record['what']}: {record['why']}" for record in responses.dropped.records
        ],
    }
    data = xr.Dataset(arrays, {**coords, "window": list(reliability.windows)})
    return MappingConsistency(data, info)


def _with_halves(
    responses: Responses, halves: np.ndarray, level: np.ndarray
) -> tuple[Responses, np.ndarray, np.ndarray]:
    """Leave out units that have a single trial of some training image."""
    units = np.asarray(np.isfinite(halves[..., 0]).all(axis=(0, 1, 2)))
    if units.all():
        return responses, halves, level
    if not units.any():
        raise ContractError(
            f"none of {len(units)} units has two trials of every training image, and mapping consistency "
            "halves the trials of training images; brainfit.score needs only one trial of them"
        )
    responses.dropped.add("units", int((~units).sum()), "a single trial of some training image")
    recording, mean = responses.recording.select_units(units), responses.mean[:, units]
    return replace(responses, recording=recording, mean=mean), halves[..., units, :], level[units]


def _predict(request: Request, responses: Responses, halves: np.ndarray) -> np.ndarray:
    """Predict held-out images by the map of all trials, then by those of halves: (map, image, unit, bin)."""
    sets = halves.reshape(-1, *halves.shape[2:])
    n_units, n_sets, done = halves.shape[3], 1 + len(sets), 0
    mapping = cast(SharedLinearMap, make_mapping(request.mapping, request.seed))
    train, test, progress = responses.train, responses.test, request.execution.progress
    predictions = []
    with split_features(request, responses) as features:
        with progress_bar("unroll training images", len(train), shown=progress) as on_progress:
            for batch in features.batches(request.layer, train):
                some = slice(done, done + len(batch.images))
                targets = np.concatenate([responses.mean[batch.images], *sets[:, some]], axis=1)
                mapping.partial_fit(batch.trajectory.average(responses.steps), targets, responses.folds[some])
                if done == 0:
                    n_rows = mapping.n_rows * len(train) / some.stop
                    needed = {
                        "compressed features and responses": mapping.row_bytes * (len(train) / some.stop - 1),
                        "solver": mapping.working_bytes(n_rows, mapping.n_features, n_units, N_FOLDS),
                        "maps": 8.0 * mapping.n_features * n_units * n_sets,
                    }
                    check_memory(
                        needed, "lower the number of images or halvings, or choose a smaller layer or region"
                    )
                done = some.stop
                on_progress(len(batch.images))
        with progress_bar(f"fit {request.mapping} (maps)", n_sets, shown=progress) as on_progress:
            mapping.solve_each(n_sets, lambda: on_progress(1))
        with progress_bar("unroll test images", len(test), shown=progress) as on_progress:
            for batch in features.batches(request.layer, test):
                found = mapping.predict(batch.trajectory.average(responses.steps), len(batch.images))
                predictions.append(found.reshape(len(found), n_sets, n_units, -1))
                on_progress(len(batch.images))
    return np.concatenate(predictions).swapaxes(0, 1)
