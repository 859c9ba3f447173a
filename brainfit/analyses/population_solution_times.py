"""Object solution times of a population, be it the units of a region or the features of a model's layer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
import xarray as xr

from brainfit.contracts.model import Model
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.recording import Recording
from brainfit.errors import ContractError
from brainfit.execution import Execution, or_default
from brainfit.features.plan import plan_features, usable_model, usable_presentation
from brainfit.features.stream import open_features
from brainfit.registry.lookup import load_recording
from brainfit.scoring.pictures import find_pictures
from brainfit.scoring.request import resolve_layer, select
from brainfit.scoring.responses import average_trials
from brainfit.scoring.result_base import Result
from brainfit.statistics.decoding import decode_dprime
from brainfit.statistics.groups import number_groups
from brainfit.statistics.solution_times import object_solution_times
from brainfit.support.arguments import numbers, whole_number
from brainfit.support.memory import check_memory


@dataclass(frozen=True, eq=False, repr=False)
class SolutionTimes(Result):
    """When a population solves each image; `neural_solution_times` describes the variables."""

    ROWS: ClassVar[tuple[str, ...]] = ("image",)


def neural_solution_times(
    recording: Recording | str | Path,
    criterion: np.ndarray,
    *,
    region: str = "IT",
    seed: int = 0,
) -> SolutionTimes:
    """Return solution times of a region's units, averaged over trials.

    Parameters
    ----------
    recording
        A recording, or its name or path.
    criterion
        The primates' d' for each image of the recording, shape (image,); NaN where unknown.
    region
        Region of the units; units without a trial of some image are left out.
    seed
        As for `decode_dprime`.

    Returns
    -------
    SolutionTimes
        `dprime` over (image, time_bin), `criterion` and `solution_time` (ms; NaN: never solved) over image,
        images in the order of the recording; the coordinate `picture` numbers the pictures that images show.

    Raises
    ------
    UnknownNameError, ContractError
        If there is no such recording or region, no unit with trials of all images, or no criterion for each.
    """
    given = _loaded(recording)
    chosen = select(given, region, None, seed)
    criterion = _for_each_image(criterion, given)
    responses = chosen.responses if chosen.has_trials else chosen.responses.expand_dims("trial", axis=1)
    averages = average_trials(responses)
    units = averages.n_trials.min(axis=0) > 0
    if not units.any():
        raise ContractError(
            f"none of {len(units)} units of {chosen.name!r} has trials of every image; drop images"
        )
    mean = averages.mean[:, units]
    features = (mean - mean.mean(axis=(0, 2), keepdims=True)).swapaxes(1, 2)
    pictures = find_pictures(chosen.stimuli).group
    dprime = decode_dprime(features, chosen.responses["object_name"].values, seed=seed, groups=pictures)
    start, end = (chosen.responses[f"time_bin_{bound}"].values.astype(float) for bound in ("start", "end"))
    dprime, pictures = _as_given(chosen, given, dprime, pictures)
    return _times(given, dprime, pictures, criterion, start, end)


def model_solution_times(
    model: Model | str,
    recording: Recording | str | Path,
    criterion: np.ndarray,
    *,
    layer: str,
    region: str = "IT",
    presentation: Presentation | None = None,
    seed: int = 0,
    execution: Execution | None = None,
) -> SolutionTimes:
    """Return solution times of a model's layer for the images of a recording, each of its steps a bin.

    Parameters
    ----------
    model, recording, layer, presentation
        As for `brainfit.score`. Nothing is taken from the responses. The layer's features of all images are
        held at once; choose a small layer.
    criterion, seed
        As for `neural_solution_times`.
    region
        Region whose layer ``"committed"`` selects.
    execution
        Settings of the run (`brainfit.Execution`); by default on the CPU with features cached.

    Returns
    -------
    SolutionTimes
        As `neural_solution_times` returns it.

    Raises
    ------
    UnknownNameError, ContractError
        If there is no such model, recording or layer, or they do not have the form they must have.
    ResourceError
        If the features do not fit into memory.
    """
    given = _loaded(recording)
    execution, seed = or_default(execution), whole_number("seed", seed)
    chosen, model = select(given, region, None, seed), usable_model(model, execution)
    layer = resolve_layer(model, layer, region)
    presentation = usable_presentation(presentation, model, chosen)
    plan = plan_features(model, [layer], chosen.stimuli, presentation, execution)
    criterion = _for_each_image(criterion, given)
    blocks: list[torch.Tensor] = []
    index: tuple[int, ...] = ()
    images = np.arange(chosen.n_images)
    with open_features(plan, execution, used=images, again=images[:0]) as features:
        for batch in features.batches(layer, images):
            found = batch.trajectory.stacked(len(batch.images)).cpu()
            index = index or batch.trajectory.index  # of the first batch
            if batch.trajectory.index != index:
                raise ContractError(
                    f"model {model.name!r}, layer {layer!r}: which steps are the same "
                    "differs from batch to batch; `brainfit check` says more"
                )
            if not blocks:  # once as they come, once joined
                needed = {"features": 2.0 * found.nbytes * chosen.n_images / len(found)}
                check_memory(needed, "lower the number of images, or choose a smaller layer")
            blocks.append(found)
    objects = chosen.responses["object_name"].values
    pictures = find_pictures(chosen.stimuli).group
    dprime = decode_dprime(torch.cat(blocks).numpy(), objects, seed=seed, groups=pictures)[:, list(index)]
    start = np.arange(presentation.n_steps) * float(presentation.step_ms)
    dprime, pictures = _as_given(chosen, given, dprime, pictures)
    return _times(given, dprime, pictures, criterion, start, start + presentation.step_ms)


def _loaded(recording: Recording | str | Path) -> Recording:
    return recording if isinstance(recording, Recording) else load_recording(recording)


def _as_given(chosen: Recording, given: Recording, *arrays: np.ndarray) -> list[np.ndarray]:
    """Put rows of `chosen`, whose images are sorted by name, in the order of the recording that was given."""
    row = {name: k for k, name in enumerate(chosen.responses["image_id"].values)}
    order = [row[name] for name in given.responses["image_id"].values]
    return [rows[order] for rows in arrays]


def _for_each_image(criterion: np.ndarray, recording: Recording) -> np.ndarray:
    """Refuse, before the long work, a criterion that is not one number for each image, or none of them is."""
    criterion = numbers("the criterion", criterion)
    if criterion.shape != (recording.n_images,):
        raise ContractError(
            f"the criterion has shape {criterion.shape}; wanted a d' for each of {recording.n_images} images"
        )
    if not np.isfinite(criterion).any():
        raise ContractError("the criterion is NaN or infinite for every image; give at least one image a d'")
    return criterion


def _times(
    recording: Recording,
    dprime: np.ndarray,
    pictures: np.ndarray,
    criterion: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
) -> SolutionTimes:
    arrays = {
        "dprime": (("image", "time_bin"), dprime),
        "criterion": ("image", criterion),
        "solution_time": ("image", object_solution_times(dprime, criterion, (start + end) / 2)),
    }
    coords = {name: c for name, c in recording.responses.coords.items() if c.dims == ("image",)}
    coords["picture"] = xr.DataArray(number_groups(pictures, len(pictures))[1], dims="image")
    bins = {"time_bin_start": ("time_bin", start), "time_bin_end": ("time_bin", end)}
    info = {"recording": recording.name, "simulated": recording.simulated}
    return SolutionTimes(xr.Dataset(arrays, {**coords, **bins}), info)
