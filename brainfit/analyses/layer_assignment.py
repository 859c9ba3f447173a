"""Assign a layer of a model to each region: the layer that most of the region's units choose.

A unit chooses by how well each layer predicts it (`brainfit.scoring.layer_choice`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import xarray as xr

from brainfit.contracts.model import Model
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.recording import Recording, check_recording
from brainfit.errors import ContractError
from brainfit.execution import Execution
from brainfit.registry.lookup import load_recording
from brainfit.scoring.fitting import prepare_responses
from brainfit.scoring.layer_choice import LayerFit, candidates, fit_layers, vote
from brainfit.scoring.request import AUTO, N_FOLDS, TEST_FRACTION, Request, check_request
from brainfit.scoring.responses import Responses
from brainfit.scoring.result_base import Result
from brainfit.support.suggestions import unknown_name


@dataclass(frozen=True, eq=False, repr=False)
class LayerAssignment(Result):
    """The layer of each region and the votes for it; `assign_layers` describes the variables."""

    ROWS: ClassVar[tuple[str, ...]] = ("region", "layer")


def assign_layers(
    model: Model | str,
    recording: Recording | str | Path = "simulated",
    *,
    regions: Sequence[str] | None = None,
    layers: Sequence[str] | None = None,
    presentation: Presentation | None = None,
    test_fraction: float = TEST_FRACTION,
    n_images: int | None = None,
    seed: int = 0,
    execution: Execution | None = None,
) -> LayerAssignment:
    """Give each region the layer that most of its units vote for, on the training images of a score.

    A unit votes for the layer of least loss; of layers with equal votes, the region takes the one of lower
    median loss. A unit that no layer predicts better than its mean does not vote. The vote is image-driven:
    each bin's mean over images is taken off features and responses, so that a layer is chosen for what it
    knows about images and not for when it responds. The plain vote of the paper, in which the time course
    counts, is beside it.

    Images that a score with this seed holds out are not used. All regions are fitted together, a
    layer at a time; a score with ``layer="auto"`` does the same for its region alone, where a loss may differ
    by the tolerance of the solver.

    Parameters
    ----------
    model, recording, presentation, test_fraction, n_images
        As for `brainfit.score`. The paper's model here is a feedforward one.
    regions
        By default all that the recording has. ``"IT"`` is ``pIT``, ``cIT`` and ``aIT`` together.
    layers
        The candidates, in order; by default all of the model except readouts to classes
        (`brainfit.contracts.model.readout_layers`), which are candidates only if they are named here.
    seed
        Seed of the split and the inner folds.
    execution
        Settings of the run (`brainfit.Execution`); by default on the CPU with features cached.

    Returns
    -------
    LayerAssignment
        Over layer, unit and region:

        =========== ============= ===================================================================
        variable    dims          meaning
        =========== ============= ===================================================================
        loss        layer, unit   held-out squared error over variance; 1: no better than the mean
        unit_layer  unit          the layer that the unit chooses; empty if it does not vote
        votes       region, layer units that choose the layer
        share       region, layer votes / units of the region, [0, 1]; less than 1 in sum if some did not vote
        median_loss region, layer median of `loss` over the region's units
        chosen      region        the region's layer
        tied        region        another layer had as many votes, and the lower median loss decided
        committed   region        the layer that the model commits to; empty if it commits to none
        n_features  layer         features of the layer
        converged   layer         the solver converged; if not, the loss is too high
        =========== ============= ===================================================================

        No value is NaN. The coordinate `unit_region` is the requested region of each unit. The
        attributes hold the provenance, and what was dropped and why.

    Raises
    ------
    UnknownNameError
        If there is no such model, recording, region or layer.
    ContractError
        If they do not have the form they must have.
    ResourceError
        If a layer's fit would not fit into memory.

    References
    ----------
    Nayebi et al. (2018), arXiv:1807.00053, supplement 6.6 and Fig. 5b. (There by gradient descent.)
    """
    if not isinstance(recording, Recording):
        recording = load_recording(recording, n_images=n_images)
    check_recording(recording)
    _refuse_text("regions", regions)
    _refuse_text("layers", layers)
    wanted = list(recording.regions) if regions is None else list(dict.fromkeys(regions))
    if not wanted:
        raise ContractError("regions is empty; name at least one, or leave it out for all")
    options = {
        "layer": AUTO,
        "may_choose": True,
        "presentation": presentation,
        "n_images": n_images,
        "test_fraction": test_fraction,
        "seed": seed,
        "execution": execution,
    }
    requests = [check_request(model, recording, region=wanted[0], **options)]
    requests += [check_request(requests[0].model, recording, region=name, **options) for name in wanted[1:]]
    first = requests[0].with_layers(*_candidates(requests[0].model, layers))
    prepared = {request.region: prepare_responses(request) for request in requests}
    return _result(first, prepared, fit_layers(first, prepared))


def _refuse_text(name: str, value: object) -> None:
    if isinstance(value, str):
        raise ContractError(f"{name} is a list of names, got the string {value!r}; write [{value!r}]")


def _candidates(model: Model, layers: Sequence[str] | None) -> tuple[str, ...]:
    known = tuple(model.layers)
    if layers is None:
        return candidates(model)
    if isinstance(layers, (set, frozenset)):
        raise ContractError("layers is a set, which has no order; give a list of names")
    for name in layers:
        if name not in known:
            raise unknown_name("layer", name, known)
    if not layers:
        raise ContractError("layers is empty; name at least one, or leave it out for all")
    return tuple(dict.fromkeys(layers))


def _result(request: Request, prepared: dict[str, Responses], fits: dict[str, LayerFit]) -> LayerAssignment:
    layers, regions = list(fits), list(prepared)
    n_units = np.array([prepared[region].mean.shape[1] for region in regions])
    by_region, arrays = ("region", "layer"), {}
    for prefix, name in (("", "loss"), ("plain_", "plain_loss")):
        loss = [np.array([getattr(one, name)[region] for one in fits.values()]) for region in regions]
        found = [vote(layers, of_region) for of_region in loss]
        votes, units = np.array([one.votes for one in found]), np.concatenate([one.units for one in found])
        arrays |= {
            f"{prefix}loss": (("layer", "unit"), np.concatenate(loss, axis=1)),
            f"{prefix}unit_layer": ("unit", np.array([*layers, ""])[units]),  # -1, no vote, is the last: ""
            f"{prefix}votes": (by_region, votes),
            f"{prefix}share": (by_region, votes / n_units[:, None]),
            f"{prefix}median_loss": (by_region, np.array([one.median_loss for one in found])),
            f"{prefix}chosen": ("region", [one.layer for one in found]),
            f"{prefix}tied": ("region", [one.tied for one in found]),
        }
    arrays |= {
        "committed": ("region", [request.model.region_layers.get(region, "") for region in regions]),
        "n_features": ("layer", [one.n_features for one in fits.values()]),
        "converged": ("layer", [one.converged for one in fits.values()]),
    }
    units = [responses.recording.responses["unit_id"].coords for responses in prepared.values()]
    labels = ("unit_id", "animal", "array")
    coords = {name: ("unit", np.concatenate([of[name].values for of in units])) for name in labels}
    first = prepared[regions[0]]
    info = {
        "model": request.model.name,
        "weights": request.model.weights,
        "recording": request.recording.name,
        "simulated": request.recording.simulated,
        "n_train_images": len(first.train),
        "inner_folds": N_FOLDS,
        "seed": request.seed,
        "dropped": [
            f"{region}: {record['n']} {record['what']}: {record['why']}"
            for region, responses in prepared.items()
            for record in responses.dropped.records
        ],
    }
    unit_region = ("unit", np.repeat(regions, n_units))
    coords |= {"unit_region": unit_region, "layer": layers, "region": regions}
    return LayerAssignment(xr.Dataset(arrays, coords), info)
