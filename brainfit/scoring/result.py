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

from brainfit.scoring.notices import Notice, notices
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
_MEDIANS = (
    "image_driven", "r", "ceiling", "reliability", "normalized", "spearman", "spearman_normalized",
    "time_course",
)  # fmt: skip
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
        means that each bin's mean over images is taken off prediction and response, so that a time course
        that all images share counts for nothing. *Over a window* means over images x its bins together.

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
        Description of the score as plain JSON values: model, recording, benchmark, region, layer, mapping,
        control, seed, n_images, n_train_images, n_test_images, weights, simulated, dropped, seconds,
        peak_memory_gb, provenance.
    """

    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = DIMS
    INFO: ClassVar[Mapping[str, tuple[type, ...]]] = INFO
    ROWS: ClassVar[tuple[str, ...]] = ("unit", "time_bin")

    @property
    def headline(self) -> dict[str, Any]:
        """The number to report: the image-driven score over the pooled window.

        `normalized`, the median over the defined units; `ci95`, its interval over images and units; `r` and
        `reliability`, medians of what it is made of, and `ceiling`, the largest r; `window_ms`; `n_defined`
        of `n_units`. NaN where no unit is defined.
        """
        pooled = self.data.sel(window="pooled")
        reliability = pooled["window_image_driven_reliability"]
        return {
            "measure": "image-driven, pooled",
            "normalized": _median(pooled["window_image_driven"]),
            "ci95": [float(v) for v in pooled["window_image_driven_ci95"].values],
            "r": _median(pooled["window_image_driven_r"].where(pooled["window_defined"])),
            "reliability": _median(reliability),
            "ceiling": _median(reliability**0.5),
            "window_ms": [float(pooled[f"window_{edge}_ms"]) for edge in ("start", "end")],
            "n_defined": int(pooled["window_defined"].sum()),
            "n_units": self.data.sizes["unit"],
        }

    @property
    def notices(self) -> list[Notice]:
        """Remarks without which the score must not be read, the gravest first."""
        return notices(self.data, self.info)

    @property
    def windows(self) -> dict[str, dict[str, Any]]:
        """Medians over the defined units for each window.

        `image_driven`, the normalised score with each bin's mean over images taken off, and its interval
        `image_driven_ci95`. Beside it, with the time course: `r`, `ceiling`, `reliability`, `normalized`, its
        interval `ci95`; `spearman` and `spearman_normalized`, the same with ranks; and `time_course`, the
        normalised score of a predictor that knows the mean time course and not the image.
        A unit is defined where its image-driven reliability over the window is distinguishable from zero; NaN
        where no unit is. `ceiling` and `reliability` are Spearman split-half; `normalized` divides Pearson by
        Pearson.
        """
        return {str(name): self._window(str(name)) for name in self.data["window"].values}

    def _window(self, name: str) -> dict[str, Any]:
        data = self.data.sel(window=name)
        defined = data["window_defined"]
        medians = {key: _median(data[f"window_{key}"].where(defined)) for key in _MEDIANS}
        intervals = {
            key: [float(v) for v in data[f"window_{key}"].values] for key in ("image_driven_ci95", "ci95")
        }
        return {**medians, **intervals}

    @property
    def pooled(self) -> dict[str, Any]:
        """The ``pooled`` entry of `windows`."""
        return self._window("pooled")

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
        return self.temporal["temporal_correlation"]

    @property
    def temporal_correlation_time_course(self) -> float:
        """The same for each unit's mean time course, which knows nothing about the image."""
        return self.temporal["temporal_correlation_time_course"]

    @property
    def temporal(self) -> dict[str, float]:
        """Medians over the units defined in the pooled window of all ``temporal_correlation`` variables."""
        defined = self.data["window_defined"].sel(window="pooled")
        names = [name for name in DIMS if name.startswith("temporal_correlation")]
        return {name: _median(self.data[name].where(defined)) for name in names}

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
            "headline": self.headline,
            "notices": [notice._asdict() for notice in self.notices],
            **self.info,
            "n_units": self.data.sizes["unit"],
            "n_bins": self.data.sizes["time_bin"],
            "pooled": windows.pop("pooled"),
            "windows": windows,
            "per_bin": per_bin,
            **self.temporal,
        }
        return _without_nan(summary)

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write the summary as JSON."""
        text = json.dumps(self.to_dict(), indent=2, allow_nan=False)
        with replaced(Path(path)) as new:
            new.write_text(text + "\n", encoding="utf-8")

    def _notes(self) -> list[str]:
        simulated = ["Simulated recording"] if self.info.get("simulated") else []
        return simulated + [notice.title for notice in self.notices]

    def _table(self) -> tuple[Sequence[str], list[Sequence[str]]]:
        names = ("normalized", "time_course", "r", "ceiling")
        rows: list[Sequence[str]] = [
            [
                name,
                _short(window["image_driven"]),
                " to ".join(map(_short, window["image_driven_ci95"])),
                *(_short(window[key]) for key in names),
            ]
            for name, window in self.windows.items()
        ]
        heads = ("plain", "time course", "r", "ceiling")
        return ("window", "image-driven", "its 95% interval", *heads), rows


def _median(values: xr.DataArray) -> float:
    """Return the median without NaN; NaN, without a warning, if all are NaN."""
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
