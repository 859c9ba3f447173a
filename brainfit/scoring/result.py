"""The result of scoring one model layer against one region of a recording."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from brainfit.scoring.result_base import Result
from brainfit.storage.atomic_files import replaced

__all__ = ["DIMS", "INFO", "MIN_DEFINED", "Result", "Score"]

_VARIABLES = {
    ("image", "unit", "time_bin"): "response predicted",
    ("unit", "time_bin"): "r split_half reliability ceiling pearson_reliability defined normalized spearman "
    "spearman_normalized",
    ("window", "unit"): "window_r window_ceiling window_reliability window_pearson_reliability "
    "window_normalized window_spearman window_spearman_normalized window_time_course window_image_driven "
    "window_image_driven_r window_image_driven_reliability window_defined",
    ("window", "bound"): "window_ci95 window_image_driven_ci95",
    ("window", "time_bin"): "window_bins",
    ("unit",): "unit unit_id temporal_correlation temporal_correlation_time_course "
    "temporal_correlation_ceiling temporal_correlation_image_driven "
    "temporal_correlation_image_driven_ceiling alpha",
    ("image",): "image_id",
    ("time_bin",): "time_bin time_bin_start time_bin_end",
    ("window",): "window window_start_ms window_end_ms",
    ("bound",): "bound",
}
DIMS = {name: dims for dims, names in _VARIABLES.items() for name in names.split()}
"""Dims of every variable and coordinate that a score must have; `Score` says what they mean."""
_TEXT, _MAYBE, _COUNT, _NUMBER = (str,), (str, type(None)), (int,), (int, float)
INFO: dict[str, tuple[type, ...]] = {
    "model": _TEXT, "recording": _TEXT, "benchmark": _MAYBE, "region": _TEXT, "layer": _TEXT,
    "mapping": _TEXT, "control": _MAYBE, "seed": _COUNT, "n_images": _COUNT, "n_train_images": _COUNT,
    "n_test_images": _COUNT, "weights": _TEXT, "simulated": (bool,), "dropped": (list,),
    "seconds": _NUMBER, "peak_memory_gb": _NUMBER, "provenance": (dict,),
}  # fmt: skip
"""Keys that the `info` of a score must have, and the types of their values."""
MIN_DEFINED = 0.5
"""A bin's median is given where at least this share of the units is defined in it."""


@dataclass(frozen=True, eq=False, repr=False)
class Score(Result):
    """Scores of every unit and time bin, their ceilings, and all that is needed to defend them.

    Attributes
    ----------
    data
        Dataset over dims ``image`` (held-out images), ``unit``, ``time_bin``, ``window`` (``pooled`` over the
        response, ``early`` 70-130 ms, ``late`` 130-200 ms) and ``bound`` (``low``, ``high``). *Image-driven*
        means that each bin's mean over images is taken off prediction and response, so that a time course that
        all images share counts for nothing. *Over a window* means over images x its bins together.

        ========================================= ===================== ====================================
        variable                                  dims                  meaning; range; what NaN means
        ========================================= ===================== ====================================
        response                                  image, unit, time_bin trial-averaged response to held-out
                                                                        images
        predicted                                 image, unit, time_bin the model's prediction of it
        window_image_driven                       window, unit          **the headline**: image-driven r over
                                                                        the window / sqrt(reliability); NaN:
                                                                        not defined
        window_image_driven_r                     window, unit          image-driven Pearson r; [-1, 1]
        window_image_driven_reliability           window, unit          image-driven Pearson reliability;
                                                                        (0, 1]
        window_image_driven_ci95                  window, bound         bootstrap interval of the median
                                                                        window_image_driven, over images and
                                                                        units
        window_defined                            window, unit          the image-driven reliability exceeds
                                                                        zero (F test, 1 %)
        window_r                                  window, unit          Pearson r over the window
        window_ceiling, window_reliability        window, unit          as ceiling and reliability below,
                                                                        over the window
        window_pearson_reliability                window, unit          Pearson reliability; NaN: not defined
        window_normalized                         window, unit          window_r / sqrt(reliability): the
                                                                        time course counts as well
        window_spearman, and so on                window, unit          window_r and window_normalized, with
                                                                        Spearman
        window_time_course                        window, unit          window_normalized of the unit's mean
                                                                        time course, without the image
        window_ci95                               window, bound         bootstrap interval of the median
                                                                        window_normalized
        window_bins                               window, time_bin      which bins the window pools
        r                                         unit, time_bin        Pearson over held-out images; [-1, 1];
                                                                        0: the prediction is constant; NaN:
                                                                        the response is
        split_half                                unit, time_bin        Spearman between trial halves
        reliability                               unit, time_bin        the same, Spearman-Brown corrected
        ceiling                                   unit, time_bin        sqrt(reliability); [0, 1]; NaN: not
                                                                        defined
        pearson_reliability                       unit, time_bin        Pearson reliability, closed form
        defined                                   unit, time_bin        the reliability exceeds zero (F test,
                                                                        1 %)
        normalized                                unit, time_bin        r / sqrt(pearson_reliability); NaN:
                                                                        not defined
        spearman                                  unit, time_bin        as r, with Spearman
        spearman_normalized                       unit, time_bin        spearman / ceiling; NaN: not defined
        temporal_correlation                      unit                  median over images of the correlation
                                                                        between trajectories, 50 to 250 ms
        temporal_correlation_ceiling              unit                  the same between trial halves,
                                                                        corrected; NaN: not positive
        temporal_correlation_time_course          unit                  the same for the unit's mean time
                                                                        course
        temporal_correlation_image_driven         unit                  the same for image-driven
                                                                        trajectories
        temporal_correlation_image_driven_ceiling unit                  its ceiling
        alpha                                     unit                  the ridge penalty of the unit
        ========================================= ===================== ====================================
    info
        What was scored, as plain JSON values: model, recording, benchmark, region, layer, mapping, control,
        seed, n_images, n_train_images, n_test_images, weights, simulated, dropped, seconds,
        peak_memory_gb, provenance.
    """

    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = DIMS
    INFO: ClassVar[Mapping[str, tuple[type, ...]]] = INFO
    ROWS: ClassVar[tuple[str, ...]] = ("unit", "time_bin")

    @property
    def windows(self) -> dict[str, dict[str, Any]]:
        """Medians over the defined units for each window.

        `r`, `ceiling`, `reliability`, `normalized`, its interval `ci95`; `spearman` and
        `spearman_normalized`, the same with ranks; and what to hold it against: `time_course`, the
        normalised score of a predictor that knows the mean time course and not the image, and
        `image_driven`, the normalised score without the time course.
        A unit is defined where its split-half correlation over the window, and the image-driven one, are
        distinguishable from zero; NaN where no unit is. `ceiling` and `reliability` are Spearman split-half;
        `normalized` divides Pearson by Pearson.
        """
        data = self.data
        return {
            str(window): {
                "r": _median(data["window_r"].where(data["window_normalized"].notnull()).sel(window=window)),
                "ceiling": _median(data["window_ceiling"].sel(window=window)),
                "reliability": _median(data["window_reliability"].sel(window=window)),
                "normalized": _median(data["window_normalized"].sel(window=window)),
                "spearman": _median(
                    data["window_spearman"]
                    .where(data["window_spearman_normalized"].notnull())
                    .sel(window=window)
                ),
                "spearman_normalized": _median(data["window_spearman_normalized"].sel(window=window)),
                "time_course": _median(data["window_time_course"].sel(window=window)),
                "image_driven": _median(data["window_image_driven"].sel(window=window)),
                "ci95": [float(v) for v in data["window_ci95"].sel(window=window).values],
            }
            for window in data["window"].values
        }

    @property
    def pooled(self) -> dict[str, Any]:
        """The headline: the ``pooled`` entry of `windows`."""
        return self.windows["pooled"]

    @property
    def per_bin(self) -> xr.Dataset:
        """Median over the defined units of `r`, `ceiling`, `normalized` in each bin.

        NaN, a gap, where fewer than half of the units are defined; `n_defined` counts them.
        """
        defined = self.data["defined"]
        enough = defined.mean("unit") >= MIN_DEFINED
        medians = {
            name: self.data[name].where(defined).median("unit").where(enough)
            for name in ("r", "ceiling", "normalized")
        }
        return xr.Dataset({**medians, "n_defined": defined.sum("unit")})

    @property
    def temporal_correlation(self) -> float:
        """Median over the units defined in the pooled window of the correlation of trajectories."""
        defined = self.data["window_normalized"].sel(window="pooled").notnull()
        return _median(self.data["temporal_correlation"].where(defined))

    @property
    def temporal_correlation_time_course(self) -> float:
        """The same for each unit's mean time course, which knows nothing about the image."""
        defined = self.data["window_normalized"].sel(window="pooled").notnull()
        return _median(self.data["temporal_correlation_time_course"].where(defined))

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain values, NaN as None: what ``brainfit score --json`` prints."""
        windows = self.windows
        bins = self.per_bin
        per_bin = [
            {
                "time_bin_start": float(bins["time_bin_start"][t]),
                "time_bin_end": float(bins["time_bin_end"][t]),
                "n_defined": int(bins["n_defined"][t]),
                **{name: float(bins[name][t]) for name in ("r", "ceiling", "normalized")},
            }
            for t in range(bins.sizes["time_bin"])
        ]
        summary = {
            **self.info,
            "n_units": self.data.sizes["unit"],
            "n_bins": self.data.sizes["time_bin"],
            "pooled": windows.pop("pooled"),
            "windows": windows,
            "per_bin": per_bin,
            "temporal_correlation": self.temporal_correlation,
            "temporal_correlation_time_course": self.temporal_correlation_time_course,
        }
        return _without_nan(summary)

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write the summary as JSON."""
        text = json.dumps(self.to_dict(), indent=2, allow_nan=False)
        with replaced(Path(path)) as new:
            new.write_text(text + "\n", encoding="utf-8")

    def _table(self) -> tuple[Sequence[str], list[Sequence[str]]]:
        names = ("normalized", "image_driven", "time_course", "r", "ceiling")
        rows: list[Sequence[str]] = [
            [name, *(_short(window[key]) for key in names), " to ".join(map(_short, window["ci95"]))]
            for name, window in self.windows.items()
        ]
        return ("window", *(name.replace("_", " ") for name in names), "95% of normalized"), rows


def _median(values: xr.DataArray) -> float:
    """Median that ignores NaN; NaN, without a warning, where nothing is left."""
    finite = values.values[np.isfinite(values.values)]
    return float(np.median(finite)) if finite.size else float("nan")


def _short(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "–"


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
