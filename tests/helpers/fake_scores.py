"""Make a synthetic but realistic `Score` whose numbers follow from stated signals and noise."""

import numpy as np
import xarray as xr

from brainfit.scoring.result import Score

CATEGORIES = ("Animals", "Boats", "Cars", "Faces")
EDGES = {"pooled": (70, np.inf), "early": (70, 130), "late": (130, 200)}


def fake_score(
    n_units=76, n_images=160, n_bins=25, *, seed=0, reliable=True, simulated=True, weights="random:0", **info
):
    """Make a score whose responses begin at about 50 ms; `reliable=False` leaves only noise."""
    rng = np.random.default_rng(seed)
    start = np.arange(n_bins) * 10.0 if n_bins > 1 else np.array([70.0])
    end = start + (10.0 if n_bins > 1 else 100.0)
    center = (start + end) / 2
    latency = rng.normal(50, 4, n_units)
    course = _course(center[None] - latency[:, None]) * reliable
    gain = rng.gamma(6, 0.2, n_units)[:, None]
    tuning, drift, error = rng.normal(size=(3, n_images, n_units, 1))
    late = np.clip((center - 100) / 100, 0, 1)
    signal = gain * course * (0.9 + 0.7 * tuning + 0.5 * late * drift)
    variance = 0.12 * rng.gamma(1.5, 1.0, n_units)[:, None] + 0.02
    response = signal + rng.normal(size=signal.shape) * np.sqrt(variance)
    grasp = rng.beta(4, 3, n_units)[:, None]
    predicted = gain * course * (0.9 + 0.5 * (grasp * tuning + (1 - grasp) * error) + 0.1 * late * drift)
    predicted = predicted + 1e-3 * rng.normal(size=signal.shape)

    bins = np.array([(start >= low) & (end <= high) for low, high in EDGES.values()])
    reliability = _reliability(signal.var(axis=0), variance)
    defined = reliability > 0.15
    r = _pearson(response, predicted)
    windows = [_window(response, predicted, signal, variance, keep) for keep in bins]
    window_r, window_reliability = (np.array(values) for values in zip(*windows, strict=True))
    window_normalized = window_r / np.sqrt(window_reliability)
    driven, predicted_driven, signal_driven = (v - v.mean(axis=0) for v in (response, predicted, signal))
    of_images = [_window(driven, predicted_driven, signal_driven, variance, keep) for keep in bins]
    image_r, image_reliability = (np.array(values) for values in zip(*of_images, strict=True))
    image_driven = image_r / np.sqrt(image_reliability)
    middle, image_middle = _medians(window_normalized), _medians(image_driven)
    trajectories = _pearson(response[..., center > 50].T, predicted[..., center > 50].T)

    unit_time, window_unit = ("unit", "time_bin"), ("window", "unit")
    shown = np.where(defined, reliability, np.nan)
    data = xr.Dataset(
        {
            "response": (("image", *unit_time), response, {"units": "relative to blank"}),
            "predicted": (("image", *unit_time), predicted),
            "r": (unit_time, r),
            "split_half": (unit_time, reliability / (2 - reliability)),
            "reliability": (unit_time, reliability * 0.97),
            "ceiling": (unit_time, np.sqrt(shown * 0.97)),
            "pearson_reliability": (unit_time, reliability),
            "defined": (unit_time, defined),
            "normalized": (unit_time, r / np.sqrt(shown)),
            "spearman": (unit_time, 0.98 * r),
            "spearman_normalized": (unit_time, 0.98 * r / np.sqrt(shown * 0.97)),
            "window_r": (window_unit, window_r),
            "window_ceiling": (window_unit, np.sqrt(window_reliability * 0.97)),
            "window_reliability": (window_unit, window_reliability * 0.97),
            "window_pearson_reliability": (window_unit, window_reliability),
            "window_normalized": (window_unit, window_normalized),
            "window_spearman": (window_unit, 0.98 * window_r),
            "window_spearman_normalized": (window_unit, 0.98 * window_r / np.sqrt(window_reliability * 0.97)),
            "window_time_course": (window_unit, 0.4 * window_normalized),
            "window_defined": (window_unit, np.isfinite(image_driven)),
            "window_image_driven": (window_unit, image_driven),
            "window_image_driven_r": (window_unit, image_r),
            "window_image_driven_reliability": (window_unit, image_reliability),
            "window_image_driven_ci95": (
                ("window", "bound"),
                np.array([[m - 0.04, m + 0.04] for m in image_middle]),
            ),
            "window_ci95": (("window", "bound"), np.array([[m - 0.03, m + 0.03] for m in middle])),
            "window_bins": (("window", "time_bin"), bins),
            "temporal_correlation": ("unit", np.median(trajectories, axis=1)),
            "temporal_correlation_time_course": ("unit", 0.9 * np.median(trajectories, axis=1)),
            "temporal_correlation_ceiling": ("unit", np.full(n_units, 0.94)),
            "temporal_correlation_image_driven": ("unit", 0.5 * np.median(trajectories, axis=1)),
            "temporal_correlation_image_driven_ceiling": ("unit", np.full(n_units, 0.6)),
            "alpha": ("unit", 10.0 ** rng.integers(1, 6, n_units)),
        },
        coords={
            "image_id": ("image", [f"image_{i:04d}" for i in range(n_images)]),
            "object_name": ("image", [f"object {i % 16}" for i in range(n_images)]),
            "category_name": ("image", [CATEGORIES[i % len(CATEGORIES)] for i in range(n_images)]),
            "unit_id": ("unit", [f"Tito_P_{u:03d}" for u in range(n_units)]),
            "region": ("unit", [info.get("region", "pIT")] * n_units),
            "animal": ("unit", ["Tito" if u % 12 else "Chabo" for u in range(n_units)]),
            "array": ("unit", ["P"] * n_units),
            "time_bin_start": ("time_bin", start),
            "time_bin_end": ("time_bin", end),
            "window": list(EDGES),
            "window_start_ms": ("window", [low for low, _ in EDGES.values()]),
            "window_end_ms": ("window", [min(high, end[-1]) for _, high in EDGES.values()]),
            "bound": ["low", "high"],
        },
    )
    return Score(data, {**_info(n_images, simulated, weights), **info})


def _medians(values):
    """Return the median over units for each window, ignoring NaN."""
    return [np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan for row in values]


def _course(lag):
    """Return a time course: zero before the latency, a transient, then a weaker sustained response."""
    rise = 1 / (1 + np.exp(-(lag - 18) / 5))
    return np.where(lag > 0, rise * (0.3 + 0.9 * np.exp(-np.clip(lag - 30, 0, None) / 50)), 0.0)


def _reliability(signal_variance, noise_variance):
    return signal_variance / (signal_variance + noise_variance)


def _pearson(a, b):
    """Correlate over the first axis; NaN if one side is constant."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    scale = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return np.divide((a * b).sum(axis=0), scale, out=np.full(scale.shape, np.nan), where=scale > 0)


def _window(response, predicted, signal, variance, keep):
    """Return correlation and reliability per unit over the images and bins of a window together."""
    n_units = response.shape[1]
    if not keep.any():
        return np.full((2, n_units), np.nan)
    flat = [a[..., keep].transpose(0, 2, 1).reshape(-1, n_units) for a in (response, predicted, signal)]
    reliability = _reliability(flat[2].var(axis=0), variance[:, 0])
    return _pearson(flat[0], flat[1]), np.where(reliability > 0.1, reliability, np.nan)


def _info(n_images, simulated, weights):
    return {
        "model": "median_convrnn",
        "recording": "simulated" if simulated else "majaj2015",
        "benchmark": "majaj2015-pIT",
        "region": "pIT",
        "layer": "conv7",
        "mapping": "ridge",
        "control": None,
        "seed": 0,
        "n_images": 4 * n_images,
        "n_train_images": 3 * n_images,
        "n_test_images": n_images,
        "weights": weights,
        "simulated": simulated,
        "dropped": [{"what": "units", "n": 2, "why": "constant response to every training image"}],
        "seconds": 83.4,
        "peak_memory_gb": 2.13,
        "provenance": {
            "command": "brainfit score --model median_convrnn --region pIT --seed 0",
            "presentation": {"on_ms": 100, "off_ms": 150, "step_ms": 10},
            "test_fraction": 0.25,
            "inner_folds": 5,
            "trial_splits": 100,
            "fit": {"converged": True, "relative_alphas": [0.001, 100000.0, 17]},
            "versions": {"brainfit": "0.1.0", "torch": "2.4.0", "numpy": "2.1.0"},
            "recording": {"sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
        },
    }
