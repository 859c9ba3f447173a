"""Decoders compared with the authors' own code, on logits and on whole models."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from brainfit.errors import ContractError
from model_zoo.decoders import Decoded, classify, last, max_confidence, threshold
from model_zoo.engine.graph import GraphModel
from model_zoo.networks.feedforward import ff
from model_zoo.networks.median_convrnn import median_convrnn
from model_zoo.networks.resnet import resnet18
from model_zoo.weights.file import read_info, save_weights
from model_zoo.weights.tf_names import decoder_settings, load_variables

GOLDEN = Path(__file__).parents[1] / "golden"


def read(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{name}.npz") as file:
        return dict(file)


def part(data: dict[str, np.ndarray], start: str) -> dict[str, np.ndarray]:
    return {key.removeprefix(start): values for key, values in data.items() if key.startswith(start)}


THEIRS = read("decoders")
LOGITS = torch.from_numpy(THEIRS["logits"]).movedim(1, 0)  # the authors' dims are (image, time, class)


@pytest.mark.parametrize("beta", [0.7, 1.0, 1.9])
def test_the_most_confident_step_equals_the_authors(beta: float) -> None:
    assert_theirs(max_confidence(LOGITS, beta), f"max_conf/beta{beta}")


@pytest.mark.parametrize(
    ("at", "beta", "case"),
    [(0.9, 0.7, "beta0.7"), (0.9, 1.0, "beta1.0"), (0.9, 1.9, "beta1.9"), (0.5, 1.0, "thr0.5")],
)
def test_the_first_confident_step_equals_the_authors(at: float, beta: float, case: str) -> None:
    assert_theirs(threshold(LOGITS, at, beta), f"thresh/{case}")


def test_the_last_step_equals_the_authors() -> None:
    logits, step = last(LOGITS)
    np.testing.assert_array_equal(logits, THEIRS["last/out"])
    assert step.tolist() == [6] * 16


def assert_theirs(ours: Decoded, case: str) -> None:
    np.testing.assert_array_equal(ours.logits, THEIRS[f"{case}/out"])
    np.testing.assert_array_equal(ours.step, THEIRS[f"{case}/t_index"])


def test_default_settings_are_the_authors() -> None:
    assert torch.equal(max_confidence(LOGITS).step, max_confidence(LOGITS, beta=1.0).step)
    assert torch.equal(threshold(LOGITS).step, threshold(LOGITS, threshold=float(THEIRS["threshold"])).step)


@pytest.fixture(scope="module")
def fixture() -> dict[str, np.ndarray]:
    return read("rgc_intermediate")


@pytest.fixture(scope="module")
def model(fixture) -> GraphModel:
    meta = json.loads(str(fixture["meta"]))
    size, divisor = meta["px"], meta["channel_divisor"]
    model = median_convrnn(size, n_classes=50, channel_divisor=divisor, clip_kernels=True)
    load_variables(model, part(fixture, "var/"))
    return model


@pytest.fixture(scope="module")
def images(fixture) -> torch.Tensor:
    return torch.from_numpy(fixture["images_uint8"]).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize(
    ("case", "decoder", "settings"),
    [
        ("last", last, {}),
        ("tmaxconf", max_confidence, {"beta": 1.7}),
        ("dthresh", threshold, {"beta": 1.0, "threshold": 0.06}),
    ],
)
def test_whole_models_classify_as_the_authors_did(model, images, case, decoder, settings) -> None:
    theirs = part(THEIRS, f"model/rgc_intermediate_{case}/")
    assert decoder_settings(part(theirs, "var/")) == pytest.approx(settings)
    ours = classify(model, images, functools.partial(decoder, **settings))
    tolerance = 1e-4 * theirs["logits_all_t"].std()
    assert np.abs(ours.logits.numpy() - theirs["decoded"]).max() <= tolerance
    # The step is counted from the start of the presentation.
    at = theirs["logits_all_t"][ours.step.numpy(), np.arange(len(images))]
    assert np.abs(at - theirs["decoded"]).max() <= tolerance
    assert ((ours.step >= 11) & (ours.step < 17)).all()


def test_every_step_after_the_signal_arrives_can_be_chosen(model, images) -> None:
    given = []

    def keep(logits: torch.Tensor) -> Decoded:
        given.append(logits)
        return last(logits)

    assert classify(model, images, keep).step.tolist() == [16, 16]
    assert given[0].shape == (6, 2, 50)
    # If the presentation ends when the image arrives, only the last step is left.
    short = ff(65, channel_divisor=16, n_classes=10)
    pictures = torch.rand(3, 3, 65, 65, generator=torch.Generator().manual_seed(0))
    answer = classify(short, pictures, keep)
    assert given[1].shape == (1, 3, 10)
    assert answer.step.tolist() == [5, 5, 5]
    seen = short.unroll(pictures, short.presentation, ["readout"])["readout"]
    assert torch.equal(answer.logits, seen.blocks[seen.index[5]])


def logits_of(*confidences: float) -> torch.Tensor:
    """Return logits of one image and two classes; the first class has these probabilities."""
    return torch.tensor(confidences, dtype=torch.float64).logit()[:, None, None] * torch.tensor([1.0, 0.0])


@pytest.mark.parametrize(
    ("confidences", "most", "first"),
    [
        ((0.6, 0.95, 0.99, 0.7), 2, 1),
        ((0.6, 0.7, 0.8, 0.7), 2, 2),  # never reaches the threshold
        ((0.5, 0.5, 0.5), 0, 0),  # ties go to the first step
        ((0.6, 0.02, 0.99), 2, 1),  # most confident in the other class
    ],
)
def test_steps_of_simple_logits_are_those_found_by_hand(confidences, most, first) -> None:
    logits = logits_of(*confidences)
    for decoded, step in [(max_confidence(logits), most), (threshold(logits), first)]:
        assert decoded.step.tolist() == [step]
        assert torch.equal(decoded.logits, logits[step])


def test_constants_and_the_order_of_classes_do_not_change_the_step() -> None:
    shift = torch.randn(*LOGITS.shape[:2], 1, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(LOGITS.shape[2], generator=torch.Generator().manual_seed(1))
    for decoder in (last, max_confidence, threshold):
        decoded = decoder(LOGITS)
        assert torch.equal(decoder(LOGITS + shift).step, decoded.step)
        assert torch.equal(decoder(LOGITS[..., order]).logits, decoded.logits[:, order])


def test_a_confidence_equal_to_the_threshold_reaches_it() -> None:
    assert threshold(logits_of(0.5, 0.9), 0.5).step.tolist() == [0]
    assert not threshold(LOGITS, 0).step.any()
    assert torch.equal(threshold(LOGITS, 1).step, max_confidence(LOGITS).step)


@pytest.mark.parametrize("shape", [(7, 20), (7, 16, 20, 1), (0, 16, 20), (7, 0, 20), (7, 16, 0)])
def test_logits_of_another_shape_are_refused(shape) -> None:
    for decoder in (last, max_confidence, threshold):
        with pytest.raises(ContractError, match=r"\(time, image, class\), none of them 0, got"):
            decoder(torch.zeros(shape))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_refused(value) -> None:
    logits = LOGITS.clone()
    logits[3, 2, 1] = value
    for decoder in (last, max_confidence, threshold):
        with pytest.raises(ContractError, match=r"finite logits, .* got some NaN or infinite"):
            decoder(logits)


def test_a_negative_beta_is_accepted() -> None:
    for decoder in (max_confidence, threshold):
        turned = decoder(-LOGITS, beta=1.9)
        assert torch.equal(decoder(LOGITS, beta=-1.9).step, turned.step)
        assert not torch.equal(decoder(LOGITS, beta=1.9).step, turned.step)


def test_settings_stored_with_weights_are_passed_explicitly(tmp_path) -> None:
    make = functools.partial(ff, 65, n_classes=10, channel_divisor=16)
    path, stored = tmp_path / "w.safetensors", {"beta": -2.0, "threshold": 0.5}
    facts = {"model": "ff", "image_size": 65, "source": "here", "source_sha256": {}}
    save_weights(make(), path, **facts, decoder=stored)
    pictures = torch.rand(3, 3, 65, 65, generator=torch.Generator().manual_seed(0))
    model, given = make(weights=str(path)), []

    def decoder(logits: torch.Tensor, **settings: float) -> Decoded:
        given.append(settings)
        return threshold(logits, **settings)

    classify(model, pictures, functools.partial(decoder, **read_info(path).decoder))
    assert given == [stored]


@pytest.mark.parametrize(
    ("make", "decoder", "message"),
    [
        (resnet18, last, "takes a GraphModel, .* got ModuleModel; unroll it"),
        (ff, 0.9, r"decoder is a function of logits, got float; write functools\.partial\(threshold"),
    ],
)
def test_classify_refuses_other_models_and_decoders(make, decoder, message) -> None:
    with pytest.raises(ContractError, match=message):
        classify(make(65, n_classes=2), torch.zeros(1, 3, 65, 65), decoder)


@pytest.mark.parametrize(
    ("decoder", "options", "message"),
    [
        (max_confidence, {"beta": float("nan")}, "beta is a number from"),
        (max_confidence, {"beta": float("-inf")}, "beta is a number from"),
        (max_confidence, {"beta": 1e200}, "finite logits, beta times them too"),
        (threshold, {"beta": "1"}, "beta is a number from"),
        (threshold, {"threshold": 90}, "threshold is a number from 0 to 1, got 90"),
    ],
)
def test_settings_out_of_range_are_refused(decoder, options, message) -> None:
    with pytest.raises(ContractError, match=message):
        decoder(LOGITS, **options)
