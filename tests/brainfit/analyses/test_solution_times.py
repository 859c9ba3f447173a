"""Object solution times: d' and times by hand, and a decoder that finds known onsets."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tiny import TinyModel, tiny_recording

import brainfit
from brainfit.analyses.population_solution_times import model_solution_times, neural_solution_times
from brainfit.analyses.solution_time_consistency import ost_consistency
from brainfit.errors import ContractError, UnknownNameError
from brainfit.statistics.decoding import decode_dprime, image_dprime
from brainfit.statistics.solution_times import object_solution_times

z = stats.norm.ppf
N_IMAGES, N_BINS = 60, 8
OBJECTS = np.array([f"o{k % 3}" for k in range(N_IMAGES)])
CENTERS = np.arange(N_BINS) * 10.0 + 5


def features_with_onsets(onsets: np.ndarray, noise: float = 0.1, n_features: int = 9) -> np.ndarray:
    """Make features that separate objects from the bin of each image's onset on, and not before."""
    rng = np.random.default_rng(0)
    prototype = rng.normal(size=(3, n_features))[np.arange(len(onsets)) % 3]
    on = np.arange(N_BINS) >= onsets[:, None]
    return on[..., None] * prototype[:, None] + noise * rng.normal(size=(len(onsets), N_BINS, n_features))


def test_dprime_of_three_objects_by_hand() -> None:
    p = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.25, 0.25, 0.5], [0.7, 0.2, 0.1]])
    found = image_dprime(p, np.array(["a", "b", "c", "a"]))
    hit = (6 / 9 + 6 / 7) / 2  # image 0: a against b, a against c
    false_alarm = (2 / 7 + 0.25 / 0.75) / 2  # a chosen for image 1 against b, for image 2 against c
    assert found[0] == pytest.approx(z(hit) - z(false_alarm))
    false_alarm_c = (1 / 7 + 3 / 8 + 1 / 8) / 3
    assert found[2] == pytest.approx(z(2 / 3) - z(false_alarm_c))


def test_dprime_is_bounded_and_chance_is_zero() -> None:
    objects = np.array(["a", "b", "c"])
    np.testing.assert_array_equal(image_dprime(np.eye(3), objects), 5)
    np.testing.assert_array_equal(image_dprime(1 - np.eye(3), objects), -5)
    # The next object always wins: an image loses against it and ties with the third.
    np.testing.assert_allclose(image_dprime(np.eye(3)[[1, 2, 0]], objects), z(0.25) - z(0.75))
    np.testing.assert_allclose(image_dprime(np.full((3, 3), 1 / 3), objects), 0, atol=1e-12)
    biased = np.tile([0.8, 0.1, 0.1], (3, 1))  # always chooses a: many hits, equally many false alarms
    np.testing.assert_allclose(image_dprime(biased, objects), 0, atol=1e-12)


@pytest.mark.parametrize(
    ("dprime", "criterion", "time"),
    [
        ([0, 0, 2, 3], 1, 20),  # half way from 15 to 25
        ([0, 1.5, 2, 3], 2, 25),  # in the bin itself
        ([0, 1, 0.5, 2], 1, 15),  # the first time counts
        ([3, 0, 0, 0], 2, 5),  # solved in the first bin or before it
        ([0, 1, 1, 1], 2, np.nan),  # never reached
        ([0, np.nan, 3, 3], 2, 25),  # nothing to interpolate from
        ([0, 1, 2, 3], np.nan, np.nan),  # the primates' criterion is not known
        ([np.nan] * 4, 0, np.nan),
        ([-1, 0, 3, 3], 0.75, 17.5),
    ],
)
def test_times_equal_calculations_by_hand(dprime, criterion, time) -> None:
    found = object_solution_times(np.array([dprime]), np.array([criterion]), np.array([5, 15, 25, 35]))
    np.testing.assert_allclose(found, [time])


def test_known_onsets_are_found() -> None:
    onsets = np.random.default_rng(1).integers(2, 7, size=N_IMAGES)
    dprime = decode_dprime(features_with_onsets(onsets), OBJECTS, n_folds=4)
    assert dprime.shape == (N_IMAGES, N_BINS)
    found = object_solution_times(dprime, np.full(N_IMAGES, 2.0), CENTERS)
    assert np.isfinite(found).mean() > 0.95
    late = found - CENTERS[onsets]
    assert -10 <= np.nanmedian(late) <= 0  # interpolated: between the bin before and that of the onset
    result = ost_consistency(found, CENTERS[onsets])
    assert result.r > 0.85
    assert result.ci95[0] > 0.7
    assert result.n == np.isfinite(found).sum()


def test_images_are_decoded_by_decoders_that_never_saw_them() -> None:
    """In high-dimensional noise a decoder is perfect for images it was fitted to only."""
    noise = np.random.default_rng(0).normal(size=(N_IMAGES, 4, 400))
    dprime = decode_dprime(noise, OBJECTS, n_folds=4)
    assert abs(dprime.mean()) < 0.2  # a decoder that saw the images gives more than 4
    assert dprime.max() < 3


def test_no_image_is_decoded_by_a_decoder_that_saw_its_picture() -> None:
    """Features name the picture and not the object: only a copy in another fold could tell."""
    pictures = np.arange(N_IMAGES) // 2
    objects = np.array([f"o{k}" for k in np.random.default_rng(1).integers(3, size=N_IMAGES // 2)])[pictures]
    noise = np.random.default_rng(0).normal(size=(N_IMAGES // 2, 1, 30))[pictures]
    assert decode_dprime(noise, objects, n_folds=4).mean() > 1
    assert decode_dprime(noise, objects, n_folds=4, groups=pictures).mean() < 0.5


def test_interval_over_pictures_is_wider_than_over_their_names(rng) -> None:
    a, b = rng.normal(size=(2, 30))
    names = np.repeat(np.arange(30), 4)
    each, pictures = ost_consistency(a[names], b[names]), ost_consistency(a[names], b[names], pictures=names)
    assert pictures.r == each.r
    assert np.ptp(pictures.ci95) > 1.5 * np.ptp(each.ci95)


def test_a_bin_is_decoded_by_itself() -> None:
    features = features_with_onsets(np.full(N_IMAGES, 3))
    one = decode_dprime(features[:, 3:4], OBJECTS)
    np.testing.assert_array_equal(decode_dprime(features, OBJECTS)[:, 3:4], one)


def test_constant_bins_and_rounding_errors_are_at_chance() -> None:
    features = features_with_onsets(np.zeros(N_IMAGES, int))
    features[:, 0] = 7.0
    features[:, 1] = 7.0 + 1e-9 * features[:, 1]
    dprime = decode_dprime(features, OBJECTS)
    assert (dprime[:, :2] == 0).all()
    assert np.median(dprime[:, 2]) > 3


def test_scale_and_rotation_of_features_do_not_matter(rng) -> None:
    features = features_with_onsets(np.zeros(N_IMAGES, int), noise=1.0)[:, :1]
    once = decode_dprime(features, OBJECTS)
    np.testing.assert_allclose(decode_dprime(1e3 * features + 5, OBJECTS), once, atol=1e-3)
    wide = np.tile(features, (1, 1, 12))  # more features than images, and the same inner products
    np.testing.assert_allclose(decode_dprime(wide, OBJECTS), once, atol=0.1)


def test_a_seed_repeats_the_folds() -> None:
    features = features_with_onsets(np.full(N_IMAGES, 0), noise=1.5)[:, :1]
    first, again, other = (decode_dprime(features, OBJECTS, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_consistency_equals_scipy_over_images_solved_by_both(rng) -> None:
    a, b = rng.normal(size=(2, 40))
    b += a
    a[:5], b[3:9] = np.nan, np.nan
    found = ost_consistency(a, b)
    assert found.n == 31
    assert found.r == pytest.approx(stats.spearmanr(a[9:], b[9:])[0])
    low, high = found.ci95
    assert low < found.r < high
    assert found == ost_consistency(a, b)
    assert found.ci95 != ost_consistency(a, b, seed=1).ci95


def test_intervals_of_unrelated_times_cover_zero() -> None:
    """For 60 pairs of unrelated times, a 95 % interval misses zero about 3 times."""
    rng = np.random.default_rng(0)
    intervals = [ost_consistency(*rng.normal(size=(2, 40)), n_resamples=200).ci95 for _ in range(60)]
    assert sum(not low < 0 < high for low, high in intervals) <= 8


def test_too_few_times_are_refused_and_equal_ones_undefined() -> None:
    times = np.arange(9.0)
    with pytest.raises(ContractError, match="9 of 9 images were solved by both, and ranking takes 10"):
        ost_consistency(times, times)
    constant = ost_consistency(np.ones(20), np.arange(20.0))
    assert constant.n == 20
    assert np.isnan([constant.r, *constant.ci95]).all()


def test_arrays_of_another_shape_are_refused() -> None:
    features = np.zeros((6, 2, 3))
    objects = np.array(["a", "b"] * 3)
    table: dict[str, Any] = {
        r"shape \(6, 2\)": lambda: decode_dprime(features[..., 0], objects),
        "finite": lambda: decode_dprime(features * np.nan, objects),
        "got 2 objects with 2 images": lambda: decode_dprime(features[:4], objects[:4]),
        "got 1 objects": lambda: decode_dprime(features, np.full(6, "a")),
        "n_folds is a whole number from 3 up": lambda: decode_dprime(features, objects, n_folds=2),
        "bin centres": lambda: object_solution_times(np.zeros((3, 2)), np.zeros(3), np.array([15, 5])),
        r"criterion \(2,\)": lambda: object_solution_times(np.zeros((3, 2)), np.zeros(2), np.array([5, 15])),
        "one for each image": lambda: ost_consistency(np.zeros(3), np.zeros(4)),
        "for each of 16 images": lambda: neural_solution_times(tiny_recording(), np.zeros(3), region="pIT"),
    }
    for message, call in table.items():
        with pytest.raises(ContractError, match=message):
            call()
    with pytest.raises(UnknownNameError, match="layer"):
        model_solution_times(TinyModel(), tiny_recording(), np.zeros(16), layer="smal", region="pIT")


def test_solution_times_of_units_follow_the_added_information() -> None:
    """Object information is added from 50 ms on; a unit that lacks an image is not used."""
    recording = tiny_recording(n_images=40, n_units=12)
    responses = recording.responses.copy()
    told = np.where(responses["object_name"].values == "o1", 3.0, 0.0)
    responses[:, :, :, 5:] = responses[:, :, :, 5:] + told[:, None, None, None]
    responses[7, :, 1] = np.nan
    found = neural_solution_times(replace(recording, responses=responses), np.full(40, 2.0), region="pIT")
    assert found.data.sizes == {"image": 40, "time_bin": 25}
    assert np.median(found["dprime"][:, :5]) < 1
    assert 40 < float(found["solution_time"].median()) <= 55
    averaged = replace(recording, responses=responses.mean("trial", keep_attrs=True))
    again = neural_solution_times(averaged, np.full(40, 2.0), region="pIT")
    np.testing.assert_allclose(again["dprime"], found["dprime"], atol=1e-3)
    responses[7] = np.nan
    with pytest.raises(ContractError, match="none of 6 units"):
        neural_solution_times(replace(recording, responses=responses), np.full(40, 2.0), region="pIT")


def test_solution_times_of_a_layer_follow_the_image() -> None:
    """The tiny model sees image and gray one step late."""
    recording = tiny_recording(n_images=40)
    stimuli = recording.stimuli.copy()
    bright = recording.responses["object_name"].values == "o1"
    stimuli[bright, :16] = stimuli[bright, :16] // 4
    shown = brainfit.Presentation(on_ms=50, off_ms=50)
    found = model_solution_times(
        TinyModel(),
        replace(recording, stimuli=stimuli),
        np.full(40, 2.0),
        layer="small",
        region="pIT",
        presentation=shown,
    )
    dprime = found["dprime"].values
    assert dprime.shape == (40, 10)
    assert (dprime[:, [0, 6, 7, 8, 9]] == 0).all()  # before the image arrives, and during gray
    np.testing.assert_array_equal(dprime[:, 1:6], np.repeat(dprime[:, [1]], 5, axis=1))
    assert np.median(dprime[:, 1]) > 3
    assert 5 < float(found["solution_time"].median()) < 15
    assert found["time_bin_end"].values[-1] == 100


def test_each_image_keeps_its_criterion_in_any_order() -> None:
    """Criteria and times passed by position stay with their image, although images are decoded by name."""
    recording = tiny_recording(n_images=40, n_units=12)
    criterion = np.linspace(-3, 3, 40)
    order = np.random.default_rng(0).permutation(40)
    turned = recording.select_images(order)

    def neural(given, wanted):
        return neural_solution_times(given, wanted, region="pIT")

    def of_model(given, wanted):
        return model_solution_times(TinyModel(), given, wanted, layer="small", region="pIT")

    for times in (neural, of_model):
        first, second = times(recording, criterion), times(turned, criterion[order])
        for found, given, wanted in ((first, recording, criterion), (second, turned, criterion[order])):
            assert found["image_id"].values.tolist() == given.responses["image_id"].values.tolist()
            np.testing.assert_array_equal(found["criterion"], wanted)
            reached = found["dprime"].values >= wanted[:, None]
            np.testing.assert_array_equal(np.isfinite(found["solution_time"]), reached.any(axis=1))
        for name in ("dprime", "solution_time"):
            np.testing.assert_array_equal(second[name], first[name].values[order], err_msg=name)


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        (["1"] * 16, "the criterion: wanted an array of numbers, got"),
        ([[1], [1, 2]], "the criterion: wanted an array of numbers"),
        (np.full(16, np.nan), "the criterion is NaN or infinite for every image"),
        (np.ones(15), "wanted a d' for each of 16 images"),
    ],
)
def test_an_invalid_criterion_is_one_line(criterion, message):
    with pytest.raises(ContractError, match=message) as error:
        neural_solution_times(tiny_recording(n_images=16), criterion, region="pIT")
    assert "\n" not in str(error.value)
