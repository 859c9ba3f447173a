"""Test the map of each time bin in every other: the matrix of trained and tested bins."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from brainfit.contracts.model import Model
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.recording import Recording
from brainfit.execution import Execution
from brainfit.mappings import make_mapping
from brainfit.mappings.per_bin import PerBin
from brainfit.scoring.fitting import fit_batches, prepare_responses, split_features
from brainfit.scoring.request import TEST_FRACTION, check_request
from brainfit.scoring.result_base import Result
from brainfit.support.progress import progress_bar


@dataclass(frozen=True, eq=False, repr=False)
class TemporalGeneralization(Result):
    """The matrix of trained and tested bins; `temporal_generalization` describes the variable."""

    ROWS: ClassVar[tuple[str, ...]] = ("unit", "trained_bin", "tested_bin")


def temporal_generalization(
    model: Model | str,
    recording: Recording | str | Path = "simulated",
    *,
    region: str,
    layer: str = "committed",
    mapping: str = "ridge",
    presentation: Presentation | None = None,
    test_fraction: float = TEST_FRACTION,
    n_images: int | None = None,
    seed: int = 0,
    execution: Execution | None = None,
) -> TemporalGeneralization:
    r"""Fit a map to each time bin, and use it in every other.

    A matrix that is high on its diagonal only belongs to a model whose features come to mean something else
    as time goes on; one that is high everywhere, to a model that one map serves at all times.

    Parameters
    ----------
    model, recording, region, layer, mapping, presentation, test_fraction, n_images
        As for `brainfit.score`; the images held out are the same.
    seed
        As for `brainfit.score`.
    execution
        Settings of the run (`brainfit.Execution`); by default on the CPU with features cached.

    Returns
    -------
    TemporalGeneralization
        `r`, dims (unit, trained_bin, tested_bin): Pearson over held-out images between the response in the
        tested bin and the prediction from the model's features in the tested bin by the map of the
        trained bin; [-1, 1]; NaN where either is the same for all images. The diagonal is the `r` of a
        score with ``control="per-bin"``, which has 0 for a constant prediction. Both bins have their start
        and end in ms.

    Raises
    ------
    UnknownNameError, ContractError, ResourceError
        As `brainfit.score`.

    References
    ----------
    King & Dehaene (2014), Characterizing the dynamics of mental representations: the temporal generalization
    method. Trends Cogn. Sci. 18, 203-210.
    """
    request = check_request(
        model,
        recording,
        region=region,
        layer=layer,
        mapping=mapping,
        control="per-bin",
        presentation=presentation,
        test_fraction=test_fraction,
        n_images=n_images,
        seed=seed,
        execution=execution,
    )
    responses, progress = prepare_responses(request), request.execution.progress
    to_fit = responses.mean[responses.train]
    maps = PerBin(partial(make_mapping, request.mapping, request.seed))
    # Sums over images of prediction and response, about the mean response of the tested bin in training.
    center = to_fit.mean(axis=0)[:, None]
    sums = np.zeros((3, to_fit.shape[1], to_fit.shape[2], to_fit.shape[2]))
    with split_features(request, responses) as features:
        fit_batches(request, responses, maps, features)
        with progress_bar("fit (maps)", maps.n_passes, shown=progress) as on_progress:
            maps.solve(lambda: on_progress(1))
        with progress_bar("unroll test images", len(responses.test), shown=progress) as on_progress:
            for batch in features.batches(request.layer, responses.test):
                averages = batch.trajectory.average(responses.steps)
                predicted = maps.predict_across(averages, len(batch.images)) - center
                response = responses.mean[batch.images][:, :, None] - center
                sums += [v.sum(axis=0) for v in (predicted, predicted**2, predicted * response)]
                on_progress(len(batch.images))
    held_out = responses.mean[responses.test][:, :, None] - center
    data = xr.Dataset(
        {"r": (("unit", "trained_bin", "tested_bin"), _pearson(sums, held_out))},
        _coordinates(responses.recording.responses),
    )
    info = {
        "model": request.model.name,
        "weights": request.model.weights,
        "layer": request.layer,
        "mapping": request.mapping,
        "recording": request.recording.name,
        "region": request.region,
        "simulated": request.recording.simulated,
        "seed": request.seed,
    }
    return TemporalGeneralization(data, info)


def _pearson(sums: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return Pearson correlations with y (image, unit, 1, bin) from sums over images of p, p² and p y."""
    (p, pp, py), n = sums, len(y)
    spread_p = pp / n - (p / n) ** 2
    spread_y = y.var(axis=0)
    # Sums of squares of a constant are not exactly zero, but rounding errors.
    varies = (spread_p > 1e-10 * pp / n) & (spread_y > 0)
    covariance = py / n - p / n * y.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = covariance / np.sqrt(spread_p * spread_y)
    return np.where(varies, r.clip(-1, 1), np.nan)


def _coordinates(responses: xr.DataArray) -> dict[Any, Any]:
    units = {name: c for name, c in responses.coords.items() if c.dims == ("unit",)}
    bins = {
        f"{kind}_bin_{edge}": (f"{kind}_bin", responses[f"time_bin_{edge}"].values)
        for kind in ("trained", "tested")
        for edge in ("start", "end")
    }
    return {**units, **bins}
