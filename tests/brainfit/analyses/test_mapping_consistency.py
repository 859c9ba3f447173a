"""Mapping consistency: known values in simulations, valid halves, and no leak from test to training."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import brainfit
from brainfit.analyses.mapping_consistency import MappingConsistency, mapping_consistency
from brainfit.analyses.trial_halves import halve, noise_corrected
from brainfit.contracts.recording import Recording
from brainfit.contracts.trajectory import Trajectory
from brainfit.contracts.vocabulary import MAPPINGS
from brainfit.errors import ContractError, UnknownNameError
from brainfit.execution import Execution
from brainfit.mappings import make_mapping

N_PIXELS, BINS, ONSET = 128, 12, 4
COURSE = np.r_[np.zeros(ONSET), np.linspace(1.5, 0.5, BINS - ONSET)]
SHOWN = brainfit.Presentation(on_ms=60, off_ms=60)
ALL_BINS = np.ones((1, 4), bool)


class Pixels:
    """A model whose layer `all` is pixels times a time course, and layer `half` the first half of them."""

    name, layers, weights = "pixels", ("all", "half"), "random:0"
    region_layers = {"V4": "all"}  # noqa: RUF012
    image_size, step_ms = 8, 10

    def unroll(self, images: Any, presentation: Any, layers: Any) -> dict[str, Trajectory]:
        seen = {"all": signal(images), "half": signal(images)[:, : N_PIXELS // 2]}
        return {
            layer: Trajectory.from_steps([float(c) * seen[layer] for c in COURSE[: presentation.n_steps]])
            for layer in layers
        }


def signal(images: torch.Tensor) -> torch.Tensor:
    return images.flatten(1)[:, :N_PIXELS] - 0.5


def pixel_recording(
    n_images: int = 120, n_trials: int = 6, n_units: int = 16, noise: float = 1.0
) -> Recording:
    """Make responses that are weighted sums of pixels times a time course; each half gives half the variance.

    A trial's noise is one number times that course: maps that pool bins cannot average it away.
    """
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, size=(n_images, 8, 8, 3), dtype=np.uint8)
    seen = signal(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255).numpy()
    weights = rng.normal(size=(N_PIXELS, n_units))
    for half in (slice(None, N_PIXELS // 2), slice(N_PIXELS // 2, None)):
        weights[half] *= np.sqrt(
            6 / (weights[half] ** 2).sum(axis=0)
        )  # a variance of 1/2, pixels having 1/12
    mean = (seen @ weights)[..., None] * COURSE
    start = np.arange(BINS) * 10.0
    responses = xr.DataArray(
        mean[:, None] + noise * COURSE * rng.normal(size=(n_images, n_trials, n_units, 1)),
        dims=("image", "trial", "unit", "time_bin"),
        coords={
            "image_id": ("image", [f"i{k}" for k in range(n_images)]),
            "object_name": ("image", [f"o{k % 4}" for k in range(n_images)]),
            "category_name": ("image", ["thing"] * n_images),
            "variation": ("image", [3] * n_images),
            "unit_id": ("unit", [f"u{k}" for k in range(n_units)]),
            "region": ("unit", ["V4"] * n_units),
            "animal": ("unit", ["a"] * n_units),
            "array": ("unit", ["x"] * n_units),
            "time_bin_start": ("time_bin", start),
            "time_bin_end": ("time_bin", start + 10),
        },
    )
    stimuli = xr.DataArray(pixels, dims=("image", "height", "width", "channel"))
    return Recording("pixels", responses, stimuli, simulated=True)


def consistency(recording: Recording, model: Any = None, **options: Any) -> MappingConsistency:
    options = {"region": "V4", "presentation": SHOWN, "n_halvings": 4, **options}
    return mapping_consistency(model or Pixels(), recording, execution=Execution(batch_size=64), **options)


def pooled(found: MappingConsistency, name: str) -> float:
    return float(found[name].sel(window="pooled").median("unit"))


@pytest.mark.parametrize(("layer", "share"), [("all", 1.0), ("half", 0.5)])
def test_a_known_share_is_found_despite_noise_of_map_and_response(layer, share) -> None:
    """The part that the layer lacks acts as noise, but is equal in both halves, so it is not corrected."""
    found = consistency(pixel_recording(n_images=800, n_units=24, noise=2.0), layer=layer)
    lacking = (1 - share) / share * (share * N_PIXELS) / found.info["n_train_images"]
    truth = (share / (1 + lacking)) ** 0.5
    assert pooled(found, "consistency") == pytest.approx(truth, abs=0.03)
    assert pooled(found, "normalized") < truth - 0.03  # the cost of uncorrected noise of the map
    assert 0.5 < pooled(found, "predictor_reliability") < 0.95


def test_correcting_for_the_map_never_lowers_a_positive_score() -> None:
    found = consistency(pixel_recording(n_images=200), layer="half")
    positive = found["r"].values > 0
    known = np.isfinite(found["consistency"].values) & positive
    assert known.sum() > 10
    assert (found["consistency"].values >= found["normalized"].values)[known].all()
    assert (found["normalized"].values >= found["r"].values)[known].all()


def test_the_true_features_of_the_simulation_score_one() -> None:
    from data_loaders.simulated.truth import mean_from_pixels

    class Truth(Pixels):
        name, layers, region_layers, image_size = "truth", ("truth",), {}, 128

        def unroll(self, images: Any, presentation: Any, layers: Any) -> dict[str, Trajectory]:
            uint8 = (images.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
            mean = torch.from_numpy(mean_from_pixels(uint8)[:, UNITS]).float()
            return {"truth": Trajectory.from_steps(list(mean.unbind(2)))}

    recording = brainfit.load_recording("simulated-v1", n_images=96)
    UNITS = np.flatnonzero(recording.responses["region"].values == "V4")[:10]
    few = replace(
        recording.select_units(UNITS), responses=recording.responses.isel(unit=UNITS, trial=slice(20))
    )
    found = consistency(few, Truth(), layer="truth", presentation=None)
    assert pooled(found, "consistency") == pytest.approx(1, abs=0.02)


def test_test_images_never_influence_a_fit() -> None:
    recording = pixel_recording()
    before = consistency(recording)
    held_out = np.isin(recording.responses["image_id"].values, before["image_id"].values)
    for images, same in ((held_out, True), (~held_out, False)):
        changed = recording.responses.copy()
        noise = np.random.default_rng(2).normal(size=changed[images].shape)
        changed[images] = changed[images] + 0.5 * noise
        after = consistency(replace(recording, responses=changed))
        assert after["image_id"].values.tolist() == before["image_id"].values.tolist()
        assert np.array_equal(after["predicted"].values, before["predicted"].values) == same
        # They do not change the maps of the halves either: their agreement is unchanged over the same bins.
        early = [found["predictor_reliability"].sel(window="early").values for found in (before, after)]
        both = np.isfinite(early).all(axis=0)
        assert both.sum() > 5
        assert np.array_equal(early[0][both], early[1][both]) == same


def test_a_seed_repeats_the_numbers() -> None:
    recording = pixel_recording()
    first, again, other = (consistency(recording, seed=seed) for seed in (3, 3, 4))
    xr.testing.assert_identical(first.data, again.data)
    assert not np.array_equal(first["consistency"].values, other["consistency"].values)


@pytest.mark.parametrize("name", MAPPINGS)
def test_maps_fitted_together_equal_those_fitted_alone(name, rng) -> None:
    blocks = [torch.from_numpy(rng.normal(size=(40, 2, 3, 3))).float() for _ in range(3)]
    shown, folds = Trajectory.from_steps(blocks), np.arange(40) % 5
    weights = rng.normal(size=(18, 4))
    mean = np.stack([block.flatten(1).numpy() @ weights for block in blocks], axis=2)
    sets = [mean + rng.normal(size=mean.shape) for _ in range(3)]
    shared = make_mapping(name, 0).partial_fit(shown, np.concatenate(sets, axis=1), folds)
    shared.solve_each(3, lambda: None)  # pyright: ignore[reportArgumentType]
    alone = [make_mapping(name, 0).partial_fit(shown, one, folds).solve().predict(shown) for one in sets]
    np.testing.assert_allclose(shared.predict(shown), np.concatenate(alone, axis=1), atol=1e-4)


def coded_trials(n_images: int, n_trials: int) -> xr.DataArray:
    """Give trial k the value 2 ** k, so that a sum identifies its trials."""
    values = np.broadcast_to(2.0 ** np.arange(n_trials)[:, None, None], (n_images, n_trials, 3, 2)).copy()
    return xr.DataArray(values, dims=("image", "trial", "unit", "time_bin"))


def test_halves_partition_the_trials_of_each_image(rng) -> None:
    trials = coded_trials(70, 7)  # more images than are read at once
    trials[5, 2, 1, 0] = np.nan  # this unit has 6 trials of the image
    first, second = halve(trials, 20, rng)
    assert first.shape == (20, 70, 3, 2)
    size = np.array([3, 4])
    size_5 = np.array([3, 3])
    for unit in range(3):
        for image in (0, 5, 69):
            n, m = size_5 if (image, unit) == (5, 1) else size
            total = 2**7 - 1 - (4 if (image, unit) == (5, 1) else 0)
            sums = np.rint(first[:, image, unit, 0] * n), np.rint(second[:, image, unit, 0] * m)
            assert (sums[0] + sums[1] == total).all()
            assert all(int(s).bit_count() == n for s in sums[0])
            assert len(set(sums[0])) > 5
    np.testing.assert_array_equal(first[:, 0, 0], first[:, 0, 2])  # units of the same trials share the halves
    assert len({tuple(first[:, image, 0, 0]) for image in range(70)}) == 1  # the same blocks


def test_trials_that_are_only_counted_are_halved_for_each_image(rng) -> None:
    trials = coded_trials(70, 8)
    trials[30:, 7] = np.nan
    trials[:30, 6] = 2.0**7  # so that what the last slot holds does not matter
    first, second = halve(trials, 20, rng)
    assert len({tuple(first[:, image, 0, 0]) for image in range(70)}) == 70
    np.testing.assert_allclose(3 * first[:, 40] + 4 * second[:, 40], 2**7 - 1, rtol=1e-5)


def test_trials_are_in_each_half_equally_often(rng) -> None:
    sums = np.rint(halve(coded_trials(1, 12), 400, rng)[0][:, 0, 0, 0] * 6).astype(int)
    share = [((sums >> k) & 1).mean() for k in range(12)]
    np.testing.assert_allclose(share, 0.5, atol=0.1)  # 4 standard errors


def test_a_single_trial_has_no_halves(rng) -> None:
    assert np.isnan(halve(coded_trials(2, 1), 3, rng)[0]).all()


def test_the_formula_equals_a_calculation_by_hand(rng) -> None:
    x, y = rng.normal(size=(2, 30, 2, 4))
    y += x
    x_halves = x + rng.normal(size=(2, 3, 30, 2, 4))
    found = noise_corrected(x, y, x_halves, np.array([[0.3, 0.8]]), ALL_BINS)
    for unit, yy in enumerate((0.3, 0.8)):

        def r(a: np.ndarray, b: np.ndarray, unit: int = unit) -> float:
            return float(np.corrcoef(a[:, unit].ravel(), b[:, unit].ravel())[0, 1])

        xx = np.mean([r(x_halves[0, h], x_halves[1, h]) for h in range(3)])
        ratio = r(x, y) / np.sqrt(2 * xx / (1 + xx) * yy)
        assert found["consistency"][0, unit] == pytest.approx(ratio, rel=1e-6)
        assert found["normalized"][0, unit] == pytest.approx(r(x, y) / np.sqrt(yy), rel=1e-6)
        assert found["r"][0, unit] == pytest.approx(r(x, y), rel=1e-6)


def test_both_noises_are_corrected_to_the_known_correlation(rng) -> None:
    """Signals that correlate at 0.6 are seen through independent noise in each half."""
    truth = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=(4000, 1, 4))
    x_halves, y_halves = (truth[..., k] + rng.normal(size=(2, 5, 4000, 1, 4)) for k in (0, 1))
    full = [v[:, 0].mean(axis=0) for v in (x_halves, y_halves)]
    found = noise_corrected(full[0], full[1], x_halves[:, :1], np.array([[2 / 3]]), ALL_BINS)
    assert found["consistency"].item() == pytest.approx(0.6, abs=0.02)
    assert found["r"].item() == pytest.approx(0.6 / 1.5, abs=0.02)


def test_a_failed_map_scores_zero_and_only_unknown_units_are_nan(rng) -> None:
    x = rng.normal(size=(20, 5, 4))
    halves = np.stack([np.stack([x, x])] * 2)
    y, reliability = x.copy(), np.array([[1, 1, 1, 1, np.nan]])
    halves[1, :, :, 0] *= -1  # the halves contradict each other
    halves[1, 1, :, 1] = 1.0  # one map of four is constant: that halving agrees at 0, the other at 1
    halves[:, :, :, 2] = x[:, 2] = 1.0
    found = {name: v[0] for name, v in noise_corrected(x, y, halves, reliability, ALL_BINS).items()}
    half = 2 * 0.5 / 1.5
    np.testing.assert_allclose(found["r"], [1, 1, 0, 1, np.nan], atol=1e-6)
    np.testing.assert_allclose(found["normalized"], [1, 1, 0, 1, np.nan], atol=1e-6)
    np.testing.assert_allclose(found["predictor_reliability"], [0, half, 0, 1, np.nan], atol=1e-6)
    np.testing.assert_allclose(found["consistency"], [0, half**-0.5, 0, 1, np.nan], atol=1e-6)


def test_the_median_includes_units_that_a_model_fails_on() -> None:
    """Six units follow pixels and six a signal outside the pixels; the failures stay in the median."""
    recording = pixel_recording(n_images=400, n_units=12)
    rng, responses = np.random.default_rng(7), recording.responses.copy()
    responses[:, :, 6:] = (
        responses[:, :, 6:] - responses[:, :, 6:].mean("trial") + (rng.normal(size=(400, 1, 6, 1)) * COURSE)
    )
    found = consistency(replace(recording, responses=responses)).data.sel(window="pooled")
    each = found["consistency"].values
    assert found["n_known"].item() == 12
    assert np.isfinite(each).all()
    assert np.median(each[:6]) == pytest.approx(1, abs=0.1)
    assert abs(np.median(each[6:])) < 0.3
    assert each[6:].max() < np.median(each[:6])
    assert found["consistency"].median().item() < 0.8


def test_a_constant_model_scores_zero() -> None:
    class Blank(Pixels):
        def unroll(self, images: Any, presentation: Any, layers: Any) -> dict[str, Trajectory]:
            return super().unroll(torch.zeros_like(images), presentation, layers)

    found = consistency(pixel_recording(), Blank()).data.sel(window="pooled")
    for name in ("consistency", "image_driven", "normalized", "r"):
        values = found[name].values
        assert np.isfinite(values).sum() == found["n_known"].item() > 10
        limit = 0 if name == "image_driven" else 0.1  # the mean over training images is a time course
        assert abs(np.nanmedian(values)) <= limit


def test_units_without_signal_are_undefined_and_unhalvable_ones_dropped() -> None:
    recording = pixel_recording()
    responses = recording.responses.copy()
    rng = np.random.default_rng(0)
    responses[:, :, 0] = rng.normal(size=responses[:, :, 0].shape)
    kept = consistency(recording)
    trained_on = np.flatnonzero(~np.isin(responses["image_id"].values, kept["image_id"].values))
    responses[trained_on[0], 1:, 1] = np.nan
    found = consistency(replace(recording, responses=responses))
    assert found.data.sizes["unit"] == 15
    assert "u1" not in found["unit_id"].values
    assert found.info["dropped"] == ["1 units: a single trial of some training image"]
    undefined = [name for name, values in found.data.items() if values.dims == ("window", "unit")]
    assert len(undefined) == 6
    assert all(np.isnan(found[name].sel(window="pooled").values[0]) for name in undefined)
    responses[trained_on[0], 1:] = np.nan
    with pytest.raises(ContractError, match="none of 16 units has two trials of every training image"):
        consistency(replace(recording, responses=responses))


def test_wrong_names_and_numbers_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="ridge"):
        consistency(pixel_recording(n_images=20), mapping="rigde")
    with pytest.raises(UnknownNameError, match=r"only brainfit\.score chooses a layer"):
        consistency(pixel_recording(n_images=20), layer="auto")
    with pytest.raises(ContractError, match="n_halvings"):
        consistency(pixel_recording(n_images=20), n_halvings=0)
