"""Inter-animal consistency: how well one animal's units predict another's, as a model is asked to."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import xarray as xr

from brainfit.analyses.mapping_consistency import N_HALVINGS
from brainfit.analyses.trial_halves import corrected_scores, halve
from brainfit.contracts.recording import Recording
from brainfit.contracts.trajectory import Trajectory
from brainfit.contracts.vocabulary import MAPPINGS
from brainfit.errors import ContractError
from brainfit.execution import Execution, or_default
from brainfit.mappings import make_mapping
from brainfit.scoring.reliability import N_SPLITS, measure
from brainfit.scoring.request import N_FOLDS, TEST_FRACTION, select
from brainfit.scoring.responses import (
    Averages,
    Dropped,
    average_trials,
    complete_units,
    repeated_images,
    require_trials,
    seen_images,
    split_images,
)
from brainfit.scoring.result_base import Result
from brainfit.statistics.splits import image_folds
from brainfit.support.arguments import whole_number
from brainfit.support.progress import progress_bar
from brainfit.support.seeds import generator
from brainfit.support.suggestions import unknown_name

MIN_UNITS = 10
"""Units that an animal must have in a region, by convention. It predicts and it is predicted: fewer units are
so few features that a low number would be the sample's fault and not the animal's, and a median over them has
no narrower interval than from about the least of them to the largest."""

_NAMES = ("consistency", "image_driven", "normalized", "r")


@dataclass(frozen=True, eq=False, repr=False)
class InterAnimalConsistency(Result):
    """Scores of animals that predict each other; `inter_animal_consistency` describes the variables."""

    ROWS: ClassVar[tuple[str, ...]] = ("window", "unit")


def inter_animal_consistency(
    recording: Recording | str | Path,
    *,
    region: str,
    mapping: str = "ridge",
    test_fraction: float = TEST_FRACTION,
    n_images: int | None = None,
    n_halvings: int = N_HALVINGS,
    seed: int = 0,
    execution: Execution | None = None,
) -> InterAnimalConsistency:
    r"""Predict the units of each animal from those of each other one, and score it as a model is scored.

    The features are the source animal's trial-averaged units of the region, bin by bin; one linear map for
    all bins is fitted to each unit of the target animal, and evaluated on held-out images. Both sides are
    noisy, so both are corrected for:

    .. math:: r_{nc} = r(X, Y) / \sqrt{SB[\langle r(X_1, X_2) \rangle]\, SB[\langle r(Y_1, Y_2) \rangle]}

    with :math:`Y` the target's average response to held-out images and :math:`X` its prediction, and with
    :math:`X_h, Y_h` the same from one half of *both* animals' trials: the map is fitted anew, to source and
    target averages of that half, and applied to the source's averages of that half. A unit that the map fails
    on scores 0, as in `brainfit.mapping_consistency`. All animals may share a time course and nothing else:
    `image_driven` is the consistency without it.

    An animal with fewer than `MIN_UNITS` units is left out; fewer than two that remain are refused.

    Parameters
    ----------
    recording
        A recording with single trials of two animals or more, or its name or path.
    region
        ``V1``, ``V2``, ``V4``, ``pIT``, ``cIT``, ``aIT``, or ``IT`` for the last three.
    mapping, test_fraction, n_images
        As for `brainfit.score`.
    n_halvings
        Number of random halvings of the trials; each takes two fits per direction.
    seed
        Seed of the split, the inner folds and the halves.
    execution
        Settings of the run (`brainfit.Execution`); its `progress` shows bars.

    Returns
    -------
    InterAnimalConsistency
        Over (window, unit), a unit once for each animal that predicts it: the coordinate `source` says which,
        `animal` whose unit it is. Variables, windows and NaN as in `brainfit.mapping_consistency`, the bins
        of a window being the same for all animals. `summary` has the medians.

    Raises
    ------
    UnknownNameError
        If there is no such recording, region or mapping.
    ContractError
        If it has no single trials, fewer than two animals remain that have `MIN_UNITS` units, or they share
        too few images.
    ResourceError
        If the averages of the halves would not fit into memory.

    References
    ----------
    Nayebi et al. (2022), Neural Computation 34:1652; their code, github.com/neuroailab/brainmodel_utils,
    metrics/consistency.py.
    """
    execution = or_default(execution)
    n_halvings = whole_number("n_halvings", n_halvings, least=1)
    if mapping not in MAPPINGS:
        raise unknown_name("mapping", mapping, MAPPINGS)
    chosen = select(recording, region, n_images, seed)
    require_trials(chosen)
    dropped = Dropped()
    chosen = chosen.select_units(_enough(chosen, region, dropped))
    with progress_bar("average trials (images)", chosen.n_images, shown=execution.progress) as on_progress:
        averages = average_trials(chosen.responses, on_progress)
    images = _shared_images(averages, chosen, dropped)
    repeated = repeated_images(averages)[images]
    dropped.add("images", int((~repeated).sum()), "under two trials, which halving takes")
    train, test, groups, _ = split_images(
        chosen,
        averages,
        images[repeated],
        test_fraction=test_fraction,
        seed=seed,
        progress=execution.progress,
    )
    objects = chosen.responses["object_name"].values
    complete = complete_units(averages, train, test, dropped)
    halvable = complete & (averages.n_trials[train].min(axis=0) >= 2)
    dropped.add("units", int((complete & ~halvable).sum()), "a single trial of some training image")
    units = np.flatnonzero(halvable)
    units = units[_enough(chosen.select_units(units), region, dropped)]
    trials = chosen.responses.isel(unit=units)
    mean = averages.mean[:, units]
    level = mean[train].mean(axis=(0, 2))
    halves = halve(trials, n_halvings, generator(seed, "halves of trials"), level=level)
    # All trials first, then the halves: shape (set, image, unit, time_bin), about each unit's level.
    mean = mean - level[:, None]
    sets = np.concatenate([mean[None], halves.reshape(-1, *halves.shape[2:])], dtype=np.float32)
    held_out = trials.isel(image=test)
    with progress_bar("noise ceiling (units)", len(units), shown=execution.progress) as on_progress:
        reliability = measure(
            held_out,
            window=chosen.response_window,
            n_splits=N_SPLITS,
            seed=seed,
            on_progress=on_progress,
        )

    animals = trials["animal"].values.astype(str)
    folds = image_folds(objects[train], N_FOLDS, seed=seed, groups=groups[train])
    directions = list(permutations(np.unique(animals).tolist(), 2))
    found = []
    with progress_bar(
        f"fit {mapping} (maps)", len(directions) * len(sets), shown=execution.progress
    ) as on_progress:
        for source, target in directions:
            these = np.flatnonzero(animals == target)
            predictions = []
            for each in sets:
                features, targets = each[:, animals == source], each[:, these]
                fitted = make_mapping(mapping, seed).partial_fit(
                    _shown(features[train]), targets[train], folds
                )
                predictions.append(fitted.solve().predict(_shown(features[test])))
                on_progress(1)
            predicted, of_halves = predictions[0], np.array(predictions[1:])
            scores = corrected_scores(
                predicted,
                mean[np.ix_(test, these)],
                of_halves.reshape(2, -1, *predicted.shape),
                reliability,
                these,
            )
            arrays = {
                **{name: (("window", "unit"), values) for name, values in scores.items()},
                "predicted": (("image", "unit", "time_bin"), predicted + level[these, None]),
            }
            some = held_out.isel(unit=these).coords
            coords = {name: c for name, c in some.items() if "trial" not in c.dims}
            found.append(xr.Dataset(arrays, {**coords, "source": ("unit", [source] * len(these))}))
    info = {
        "recording": chosen.name,
        "region": region,
        "mapping": mapping,
        "simulated": chosen.simulated,
        "n_train_images": len(train),
        "n_test_images": len(test),
        "n_halvings": halves.shape[1],
        "halving": reliability.halving,
        "seed": seed,
        "dropped": [f"{record['n']} {record['what']}: {record['why']}" for record in dropped.records],
    }
    data = xr.concat(found, dim="unit", data_vars="all", coords="minimal", compat="equals", join="exact")
    data = data.assign(window_bins=(("window", "time_bin"), reliability.bins))
    return InterAnimalConsistency(data.assign_coords(window=list(reliability.windows)), info)


def summary(result: InterAnimalConsistency) -> dict[str, Any]:
    """Return medians over units, of each direction and of all pooled, as plain values.

    Parameters
    ----------
    result
        Result of `inter_animal_consistency`.

    Returns
    -------
    dict
        The `info` of the result; `directions`, a list with for each its `source` and `target`, the numbers
        of their units, and `windows`; `pooled`, the same over the units of all directions. A window has the
        medians of `consistency`, `image_driven`, `normalized` and `r` over all units that are defined,
        whether the map does well on them or fails; None if there is none. `n_defined` is how many.
    """
    found = result.data
    source, target = (found[name].values.astype(str) for name in ("source", "animal"))
    directions = []
    for one, other in permutations(np.unique(target).tolist(), 2):
        here = found.isel(unit=(source == one) & (target == other))
        n_source = len(np.unique(found["unit_id"].values[target == one]))
        directions.append({"source": one, "target": other, "n_source_units": n_source, **_medians(here)})
    return {**result.info, "directions": directions, "pooled": _medians(found)}


def _medians(found: xr.Dataset) -> dict[str, Any]:
    windows = {}
    for name in found["window"].values.tolist():
        window = found.sel(window=name)
        known = window["consistency"].notnull().values
        values = {v: float(np.median(window[v].values[known])) if known.any() else None for v in _NAMES}
        windows[name] = {**values, "n_defined": int(known.sum())}
    return {"n_units": found.sizes["unit"], "windows": windows}


def _enough(recording: Recording, region: str, dropped: Dropped) -> np.ndarray:
    """Return True for units of animals with enough of them, shape (unit,); refuse under two animals."""
    animals, position, counts = np.unique(
        recording.responses["animal"].values.astype(str), return_inverse=True, return_counts=True
    )
    enough = counts >= MIN_UNITS
    if enough.sum() < 2:
        had = ", ".join(f"{animal} {n}" for animal, n in zip(animals, counts, strict=True))
        raise ContractError(
            f"region {region!r} of {recording.name!r}: predicting one animal from another takes two with "
            f"at least {MIN_UNITS} units each, got {had}; choose another region, or IT, which pools three"
        )
    for animal, n in zip(animals[~enough], counts[~enough], strict=True):
        dropped.add("units", int(n), f"all that {animal} has, under {MIN_UNITS}")
    return enough[position]


def _shared_images(averages: Averages, recording: Recording, dropped: Dropped) -> np.ndarray:
    """Return the positions of the images that at least half of the units of *each* animal have trials of."""
    animals = recording.responses["animal"].values.astype(str)
    images = np.arange(recording.n_images)
    for animal in np.unique(animals):
        of = animals == animal
        seen = seen_images(Averages(averages.mean[:, of], averages.n_trials[:, of]), Dropped())
        images = np.intersect1d(images, seen)
    if not images.size:
        raise ContractError(f"recording {recording.name!r}: its animals saw no image in common")
    dropped.add(
        "images", recording.n_images - len(images), "no trial for more than half of an animal's units"
    )
    return images


def _shown(features: np.ndarray) -> Trajectory:
    """Return responses, (image, unit, time_bin), as a layer's trajectory with a block per bin."""
    return Trajectory.from_steps([torch.from_numpy(step) for step in np.moveaxis(features, 2, 0).copy()])
