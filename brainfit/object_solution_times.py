"""Object solution times: when a population says which object an image shows as well as a primate does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from brainfit.arguments import whole_number
from brainfit.decoding import decode_dprime
from brainfit.errors import ContractError
from brainfit.features import open_features
from brainfit.memory import check_memory
from brainfit.metrics import spearman
from brainfit.presentation import Presentation
from brainfit.protocols import Model
from brainfit.recording import Recording
from brainfit.registry import load_recording
from brainfit.request import check_request, select
from brainfit.responses import average_trials
from brainfit.seeds import generator
from brainfit.shown import shown

MIN_IMAGES = 10
"""Images that must be solved by both: of fewer, an interval of a rank correlation spans most of [-1, 1]."""


def object_solution_times(dprime: np.ndarray, criterion: np.ndarray, bin_centers: np.ndarray) -> np.ndarray:
    """Return when each image's d' first reaches the primates'.

    Between the centre of the first bin that reaches the criterion and that of the bin before it, d' is taken
    to run straight. An image that reaches it in the first bin is given that bin's centre: it was solved then
    or earlier.

    Parameters
    ----------
    dprime
        Shape (image, time_bin); a bin with NaN has not reached anything, and nothing is interpolated from it.
    criterion
        The primates' d' for each image, shape (image,).
    bin_centers
        Milliseconds from image onset, increasing, shape (time_bin,).

    Returns
    -------
    array, shape (image,)
        Milliseconds; NaN for an image that is never solved, or has no criterion.

    Raises
    ------
    ContractError
        If the shapes do not match, or times do not increase.

    References
    ----------
    Kar et al. (2019), Nat. Neurosci. 22:974, Methods; Nayebi et al. (2022), Neural Computation 34:1652,
    Fig. 3b.

    Examples
    --------
    >>> dprime = np.array([[0.0, 1.0, 3.0], [0.0, 1.0, 1.5]])
    >>> object_solution_times(dprime, np.array([2, 2]), np.array([75, 85, 95]))
    array([90., nan])
    """
    names = ("d'", "the criterion", "bin centres")
    dprime, criterion, centers = map(_numbers, names, (dprime, criterion, bin_centers))
    if (
        dprime.shape != (*criterion.shape, *centers.shape)
        or dprime.ndim != 2
        or not (np.diff(centers) > 0).all()
    ):
        raise ContractError(
            f"d' has shape {dprime.shape}, criterion {criterion.shape}, bin centres {centers.shape}; "
            "wanted (image, time_bin), (image,) and (time_bin,), the centres increasing"
        )
    reached = dprime >= criterion[:, None]
    first = reached.argmax(axis=1)
    image, before = np.arange(len(dprime)), np.maximum(first - 1, 0)
    low, high = dprime[image, before], dprime[image, first]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where((first > 0) & np.isfinite(low), (criterion - low) / (high - low), 1.0)
    times = centers[before] + share * (centers[first] - centers[before])
    return np.where(reached.any(axis=1), times, np.nan)


@dataclass(frozen=True)
class SpearmanResult:
    """A rank correlation over images.

    Attributes
    ----------
    r
        Spearman's, [-1, 1]; NaN if all times on one side are the same.
    ci95
        Percentile interval over resampled images.
    n
        Images that both solved.
    """

    r: float
    ci95: tuple[float, float]
    n: int


def ost_consistency(
    a: np.ndarray, b: np.ndarray, *, n_resamples: int = 1000, seed: int = 0
) -> SpearmanResult:
    """Correlate solution times over the images that both solved.

    Parameters
    ----------
    a, b
        Solution times of the same images, shape (image,); NaN where an image was not solved.
    n_resamples
        Of the bootstrap over images.
    seed
        Of the bootstrap.

    Raises
    ------
    ContractError
        If the shapes differ, or fewer than `MIN_IMAGES` images were solved by both.

    References
    ----------
    Nayebi et al. (2022), Neural Computation 34:1652, Fig. 3c; Efron & Tibshirani (1993), ch. 13.
    """
    n_resamples = whole_number("n_resamples", n_resamples, least=100)
    a, b = _numbers("solution times", a), _numbers("solution times", b)
    if a.ndim != 1 or a.shape != b.shape:
        raise ContractError(f"solution times have shapes {a.shape} and {b.shape}; wanted one for each image")
    both = np.isfinite(a) & np.isfinite(b)
    n = int(both.sum())
    if n < MIN_IMAGES:
        raise ContractError(
            f"{n} of {len(a)} images were solved by both, and ranking takes {MIN_IMAGES}; "
            "give more images, or a lower criterion"
        )
    a, b = a[both], b[both]
    drawn = generator(seed, "bootstrap of solution times").integers(n, size=(n_resamples, n))
    resampled = spearman(a[drawn], b[drawn])
    resampled = resampled[np.isfinite(resampled)]
    low, high = np.percentile(resampled, [2.5, 97.5]) if len(resampled) else (np.nan, np.nan)
    return SpearmanResult(float(spearman(a, b)), (float(low), float(high)), n)


def neural_solution_times(
    recording: Recording | str | Path,
    criterion: np.ndarray,
    *,
    region: str = "IT",
    seed: int = 0,
) -> xr.Dataset:
    """Return solution times of a region's units, averaged over trials.

    Parameters
    ----------
    recording
        A recording, or its name or path.
    criterion
        The primates' d' for each image of the recording, shape (image,); NaN where unknown.
    region
        Whose units; those without a trial of some image are left out.
    seed
        As for `decode_dprime`.

    Returns
    -------
    Dataset
        `dprime` over (image, time_bin), `criterion` and `solution_time` (ms; NaN: never solved) over image,
        images in the order of the recording.

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
    features = averages.mean[:, units].swapaxes(1, 2)
    dprime = decode_dprime(features, chosen.responses["object_name"].values, seed=seed)
    start, end = (chosen.responses[f"time_bin_{bound}"].values.astype(float) for bound in ("start", "end"))
    return _times(given, _as_given(dprime, chosen, given), criterion, start, end)


def model_solution_times(
    model: Model | str,
    recording: Recording | str | Path,
    criterion: np.ndarray,
    *,
    layer: str,
    region: str = "IT",
    presentation: Presentation | None = None,
    batch_size: int | None = None,
    device: str = "cpu",
    precision: str = "float32",
    cache: bool = True,
    seed: int = 0,
) -> xr.Dataset:
    """Return solution times of a model's layer for the images of a recording, each of its steps a bin.

    Parameters
    ----------
    model, recording, layer, presentation, batch_size, device, precision, cache
        As for `brainfit.score`. Nothing is taken from the responses. The layer's features of all images are
        held at once; choose a small layer.
    criterion, seed
        As for `neural_solution_times`.
    region
        What ``"committed"`` as layer refers to.

    Returns
    -------
    Dataset
        As `neural_solution_times` returns it.

    Raises
    ------
    UnknownNameError, ContractError
        If there is no such model, recording or layer, or they do not have the form they must have.
    ResourceError
        If the features do not fit into memory.
    """
    given = _loaded(recording)
    request = check_request(
        model,
        given,
        region=region,
        layer=layer,
        mapping="ridge",
        control=None,
        presentation=presentation,
        n_images=None,
        batch_size=batch_size,
        device=device,
        precision=precision,
        cache=cache,
        seed=seed,
    )
    chosen, presented = request.recording, request.presentation
    criterion = _for_each_image(criterion, given)
    blocks: list[torch.Tensor] = []
    index: tuple[int, ...] = ()
    images = np.arange(chosen.n_images)
    with open_features(request, [request.layer], used=images, again=images[:0]) as features:
        for batch in features.batches(request.layer, images):
            found, index = batch.trajectory.stacked(len(batch.images)).cpu(), index or batch.trajectory.index
            if batch.trajectory.index != index:
                raise ContractError(
                    f"model {request.model.name!r}, layer {request.layer!r}: which steps are the same "
                    "differs from batch to batch; `brainfit check` says more"
                )
            if not blocks:  # once as they come, once joined
                needed = {"features": 2.0 * found.nbytes * chosen.n_images / len(found)}
                check_memory(needed, "lower the number of images, or choose a smaller layer")
            blocks.append(found)
    objects = chosen.responses["object_name"].values
    dprime = decode_dprime(torch.cat(blocks).numpy(), objects, seed=seed)[:, list(index)]
    start = np.arange(presented.n_steps) * float(presented.step_ms)
    return _times(given, _as_given(dprime, chosen, given), criterion, start, start + presented.step_ms)


def _numbers(name: str, values: object) -> np.ndarray:
    """Return an array of floating-point numbers; text is none, even where it could be read as such."""
    try:
        array = np.asarray(values)
        if array.dtype.kind in "fiub":
            return array.astype(float)
    except (TypeError, ValueError):  # ragged, or not numbers
        pass
    raise ContractError(f"{name}: wanted an array of numbers, got {shown(repr(values))}")


def _loaded(recording: Recording | str | Path) -> Recording:
    return recording if isinstance(recording, Recording) else load_recording(recording)


def _as_given(rows: np.ndarray, chosen: Recording, given: Recording) -> np.ndarray:
    """Put rows of `chosen`, whose images are in the order of their names, in that of the recording given."""
    row = {name: k for k, name in enumerate(chosen.responses["image_id"].values)}
    return rows[[row[name] for name in given.responses["image_id"].values]]


def _for_each_image(criterion: np.ndarray, recording: Recording) -> np.ndarray:
    """Refuse, before the long work, a criterion that is not one number for each image, or none of them is."""
    criterion = _numbers("the criterion", criterion)
    if criterion.shape != (recording.n_images,):
        raise ContractError(
            f"the criterion has shape {criterion.shape}; wanted a d' for each of {recording.n_images} images"
        )
    if not np.isfinite(criterion).any():
        raise ContractError("the criterion is NaN or infinite for every image; give at least one image a d'")
    return criterion


def _times(
    recording: Recording, dprime: np.ndarray, criterion: np.ndarray, start: np.ndarray, end: np.ndarray
) -> xr.Dataset:
    arrays = {
        "dprime": (("image", "time_bin"), dprime),
        "criterion": ("image", criterion),
        "solution_time": ("image", object_solution_times(dprime, criterion, (start + end) / 2)),
    }
    coords = {name: c for name, c in recording.responses.coords.items() if c.dims == ("image",)}
    bins = {"time_bin_start": ("time_bin", start), "time_bin_end": ("time_bin", end)}
    attributes = {"recording": recording.name, "simulated": int(recording.simulated)}
    return xr.Dataset(arrays, {**coords, **bins}, attributes)
