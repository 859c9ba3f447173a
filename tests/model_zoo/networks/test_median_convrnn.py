"""The median ConvRNN: its controls, region layers, seeds, and loading of the authors' variables."""

from pathlib import Path

import numpy as np
import pytest
import torch

import brainfit
from brainfit.errors import ContractError
from model_zoo.engine.graph import GraphModel
from model_zoo.networks.median_convrnn import FEEDBACK, median_convrnn
from model_zoo.weights.tf_names import decoder_settings, load_variables

GOLDEN = Path(__file__).parents[2] / "golden"


def test_region_layers_are_layers_of_the_model() -> None:
    model = small()
    assert set(model.region_layers.values()) <= set(model.layers)


def small(image_size: int = 32, seed: int = 0) -> GraphModel:
    return median_convrnn(image_size, seed, channel_divisor=16, n_classes=10)


def test_the_weights_depend_on_the_seed_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = small(seed=3), small(seed=3), small(seed=4)
    assert torch.equal(before, torch.random.get_rng_state())
    assert first.weights == "random:3"
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first.nodes["conv1"].pre.weight, other.nodes["conv1"].pre.weight)  # type: ignore[union-attr]


def test_too_small_images_are_refused() -> None:
    with pytest.raises(ContractError, match="image_size is a whole number from 32 up, got 31"):
        median_convrnn(31)


def test_each_control_lacks_only_what_its_name_says() -> None:
    """The control without feedback keeps all other names; the minimal control keeps all weights."""
    full, without, minimal = (
        brainfit.load_model(name, image_size=32, channel_divisor=16)
        for name in ("median_convrnn", "median_convrnn_nofeedback", "median_convrnn_minimal")
    )
    assert isinstance(full, GraphModel)
    assert isinstance(without, GraphModel)
    assert isinstance(minimal, GraphModel)
    fed_back = {name for name, _ in full.named_parameters()} - {
        name for name, _ in without.named_parameters()
    }
    assert fed_back == {
        f"nodes.{layer}.cell.feedback.{part}" for layer in FEEDBACK for part in ("weight", "bias")
    }
    assert not any(edges.feedback for edges in without.edges.values())
    assert minimal.state_dict().keys() == full.state_dict().keys()
    assert (full.presentation.n_steps, minimal.presentation.n_steps) == (17, 12)


def test_kernels_are_clipped_to_the_map_only_on_request() -> None:
    """At 64 pixels, the maps of the recurrent layers are 16, 8, 8, 4, 2, 2 and 2 wide."""
    for clip, expected in ((False, [7] * 7), (True, [7, 7, 7, 4, 2, 2, 2])):
        model = median_convrnn(64, channel_divisor=16, clip_kernels=clip)
        got = [model.nodes[f"conv{k}"].cell.out_tau.depthwise.kernel for k in range(4, 11)]  # type: ignore[union-attr]
        assert got == expected


def variables_of(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{name}.npz") as file:
        return {key.removeprefix("var/"): file[key] for key in file if key.startswith("var/")}


@pytest.fixture(scope="module")
def variables() -> dict[str, np.ndarray]:
    return variables_of("rgc_intermediate_224")


@pytest.fixture
def model() -> GraphModel:
    return median_convrnn(224, n_classes=50, channel_divisor=16)


def test_variables_of_the_optimiser_and_decoder_are_ignored(model, variables) -> None:
    extra = {
        "global_step": np.zeros((), np.int64),
        "tnn_model/conv1/pre_0/bias/Momentum": np.full(4, np.nan),
        "tnn_model/probs/softmax_beta": np.array([2.0]),
        "tnn_model/alpha/softmax_beta": np.array([3.0]),
        "tnn_model/normalize/softmax_beta": np.array([1.7]),
        "tnn_model/decoder_threshold": np.array([0.9]),
    }
    load_variables(model, variables | extra)
    bias = model.get_parameter("nodes.conv1.pre.bias")
    assert np.array_equal(bias.detach().numpy(), variables["tnn_model/conv1/pre_0/bias"])
    assert decoder_settings(extra) == {"beta": 1.7, "threshold": 0.9}
    assert decoder_settings(variables) == {}


FEEDBACK_WEIGHTS = "tnn_model/conv7/ReciprocalGateCell/out/feedback_to_out_weights"
CHANGES = {
    "without": ({FEEDBACK_WEIGHTS: None}, f"without variable {FEEDBACK_WEIGHTS};"),
    "extra": ({"tnn_model/conv7/pre_1/bias": np.zeros(1)}, "unknown variable tnn_model/conv7/pre_1/bias;"),
    "misshapen": (
        {FEEDBACK_WEIGHTS: np.zeros((1, 1, 32, 15))},
        rf"misshapen variable {FEEDBACK_WEIGHTS} \(\(1, 1, 32, 15\), wanted \(1, 1, 32, 16\)\);",
    ),
    "remembering": (
        {"tnn_model/conv1/memory_decay": np.ones(1)},
        "nonzero variable tnn_model/conv1/memory_decay;",
    ),
    "unsure whether remembering": (
        {"tnn_model/conv2/memory_decay": np.full(1, np.nan)},
        "nonzero variable tnn_model/conv2/memory_decay;",
    ),
    "not a number": (
        {"tnn_model/imnetds/pre_3/bias": np.full(50, np.nan)},
        "not finite in variable tnn_model/imnetds/pre_3/bias;",
    ),
    "many": (
        {f"tnn_model/conv{k}/pre_0/bias": None for k in range(1, 8)},
        "conv1/pre_0/bias, .*conv4/pre_0/bias and 3 more;",
    ),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_wrong_variables_are_refused_and_the_model_is_unchanged(model, variables, change, message) -> None:
    before = [p.clone() for p in model.parameters()]
    wrong = {name: values for name, values in (variables | change).items() if values is not None}
    with pytest.raises(ContractError, match=message) as error:
        load_variables(model, wrong)
    assert "\n" not in str(error.value)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_joint_kernel_is_split_between_input_and_state() -> None:
    """In the authors' kernel the input channels of x come first, then those of h; here 16 and 8."""
    model = brainfit.load_model("lstm_shallow", image_size=112, channel_divisor=16, n_classes=50)
    assert isinstance(model, GraphModel)
    variables = variables_of("lstm_shallow")
    load_variables(model, variables)
    theirs = variables["tnn_model/conv3/ConvLSTMCell/weights"]
    assert theirs.shape == (2, 2, 24, 32)
    gates = "nodes.conv3.cell.gates"
    for name, part in (("of_input", theirs[:, :, :16]), ("of_state", theirs[:, :, 16:])):
        ours = model.get_parameter(f"{gates}.{name}.weight").detach().permute(2, 3, 1, 0)
        assert np.array_equal(ours.numpy(), part)


def test_a_parameter_without_a_variable_is_named(variables) -> None:
    model = median_convrnn(32, channel_divisor=16)
    model.nodes["conv2"].extra = torch.nn.Linear(1, 1)  # type: ignore[union-attr]
    with pytest.raises(ContractError, match=r"no variable for the parameter 'nodes.conv2.extra.weight'"):
        load_variables(model, variables)
