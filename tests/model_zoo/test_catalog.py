"""Every model of the catalogue matches its line, and obeys the laws of unrolling in time.

References
----------
.. [1] Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
   NeurIPS. arXiv:1807.00053.
.. [2] Nayebi et al. (2022), Recurrent connections in the primate ventral visual stream mediate a
   trade-off between task performance and network size during core object recognition. Neural
   Computation. doi:10.1162/neco_a_01506.
"""

import pickle
from typing import Any

import pytest
import torch

import brainfit
from brainfit.contracts.model import readout_layers
from brainfit.contracts.presentation import Presentation
from brainfit.errors import ContractError
from brainfit.registry.lookup import load_model, model_takes
from model_zoo.adapters import ModuleModel
from model_zoo.catalog import CATALOG
from model_zoo.engine.graph import GraphModel

Model = GraphModel | ModuleModel
Seen = dict[str, torch.Tensor]  # for each layer (image, step, feature)

N_IMAGES = 3
SIZE = 72  # pixels
SHOWN = Presentation(on_ms=120, off_ms=60)
# The laws are tested in float64. In float32, rounding depends on the size of the batch, and gates and
# norms amplify it: a tolerance that allows for that would also hide small mistakes.
TOLERANCE = 1e-12


_FIRST = (
    "timedecay",
    "simplernn",
    "gru",
    "lstm",
    "intersectionrnn",
    "ugrnn",
)  # followed by the cells of the paper
SHALLOW = (*(f"{cell}_shallow" for cell in _FIRST), "rgc_shallow")
INTERMEDIATE = tuple(f"{cell}_intermediate" for cell in _FIRST)
CONTROLS = ("median_convrnn", "median_convrnn_nofeedback", "median_convrnn_minimal")
MINI = ("median_convrnn_mini", "median_convrnn_minimal_mini", "ff_mini", "ff_wide_mini")
MEDIAN = (*CONTROLS, "rgc_intermediate", "rgc_intermediate_t22", "random_convrnn")
# Of V4, of pIT, and of cIT, aIT and IT: [1], supplement 6.6, for the median model, and [2] for the others.
REGION_LAYERS = {
    **dict.fromkeys((*SHALLOW, "ff", "ff_wider"), ("conv3", "conv4", "conv5")),
    **dict.fromkeys(
        (*INTERMEDIATE, "ugrnn_intermediate_t30", "ff_deeper", "basenet"), ("conv5", "conv7", "conv9")
    ),
    **dict.fromkeys((*MEDIAN, *MINI), ("conv6", "conv7", "conv8")),
    "basenet_mini": ("conv5", "conv7", "conv9"),
    "resnet18": ("layer2.1", "layer3.1", "layer4.0"),
    "resnet34": ("layer2.3", "layer3.5", "layer4.1"),
}
# Milliseconds of image, then milliseconds of gray.
TRAINED_WITH = {
    **dict.fromkeys(SHALLOW, (120, 40)),
    **dict.fromkeys((*INTERMEDIATE, *MEDIAN), (120, 50)),
    "median_convrnn_minimal": (120, 0),
    "median_convrnn_mini": (120, 50),
    "median_convrnn_minimal_mini": (120, 0),
    "rgc_intermediate_t22": (220, 0),
    "ugrnn_intermediate_t30": (300, 0),
    **dict.fromkeys(("ff", "ff_wider"), (60, 0)),
    **dict.fromkeys(("ff_deeper", "basenet", "basenet_mini", "ff_mini", "ff_wide_mini"), (110, 0)),
}


def build(name: str, **options: Any) -> Model:
    """Build a model of the catalogue as small as its factory allows."""
    small = {"channel_divisor": 16} if model_takes(name, "channel_divisor") else {}
    model = load_model(name, n_classes=10, weights="random", **small, **options)
    assert isinstance(model, Model)
    return model


def random_weights(name: str, seed: int) -> str:
    """Return the name of random weights; networks to be trained start with a small readout."""
    return f"random:{seed}, readout x 0.01" if name.endswith("_mini") else f"random:{seed}"


def module_of(model: Model) -> torch.nn.Module:
    return model.module if isinstance(model, ModuleModel) else model


@pytest.fixture(scope="module", params=CATALOG)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(name: str) -> Model:
    """Build in float64 with nonzero biases, which are visible where no image has reached."""
    model = build(name, image_size=SIZE)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module_of(model).double().parameters():
            if parameter.ndim == 1:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model


def test_the_last_layer_is_the_readout_and_serves_no_region(model: Model) -> None:
    assert readout_layers(model) == tuple(model.layers[-1:])
    assert not {*readout_layers(model)} & {*model.region_layers.values()}


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.rand(N_IMAGES, 3, SIZE, SIZE, generator=generator, dtype=torch.float64)


@pytest.fixture(scope="module")
def seen(model: Model, images: torch.Tensor) -> Seen:
    return unroll(model, images, SHOWN)


def unroll(model: Model, images: torch.Tensor, presentation: Presentation) -> Seen:
    trajectories = model.unroll(images, presentation, model.layers)
    return {layer: trajectory.dense(len(images)) for layer, trajectory in trajectories.items()}


def steps_of(model: GraphModel, frames: list[torch.Tensor]) -> Seen:
    """Run every node at every step for every image."""
    state = model.initial_state(frames[0], batch=N_IMAGES)
    states = [state := model.step(frame, state) for frame in frames]
    return {layer: stacked([state.outputs[layer] for state in states]) for layer in model.layers}


def passes_of(model: ModuleModel, frames: list[torch.Tensor]) -> Seen:
    """Run the whole module for every frame, and delay the k-th layer by k steps."""
    answers: dict[str, list[torch.Tensor]] = {layer: [] for layer in model.layers}
    hooks = [
        model.module.get_submodule(layer).register_forward_hook(
            lambda *passed, layer=layer: answers[layer].append(passed[-1])
        )
        for layer in model.layers
    ]
    model.module.eval()
    for frame in frames:
        model.module(frame)
    for hook in hooks:
        hook.remove()
    return {
        layer: stacked([torch.zeros_like(kept[0])] * late + kept[: len(kept) - late])
        for late, (layer, kept) in enumerate(answers.items())
    }


def stacked(steps: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack([step.flatten(1) for step in steps], dim=1)


def assert_same(ours: Seen, theirs: Seen, steps: int | None = None, image: slice = slice(None)) -> None:
    """Compare `ours` with one image of `theirs` over the first `steps` steps."""
    assert list(ours) == list(theirs)
    for layer, expected in theirs.items():
        a, b = ours[layer][:, :steps], expected[image, :steps]
        assert a.shape == b.shape, layer
        assert (a - b).abs().max() <= TOLERANCE * expected.abs().max(), layer


def test_a_model_matches_its_line_in_the_catalogue(name: str) -> None:
    model, entry = build(name), CATALOG[name]
    assert (model.name, tuple(model.layers), model.weights) == (name, entry.layers, random_weights(name, 0))
    assert model.image_size in entry.image_sizes
    assert entry.source
    v4, pit, it = REGION_LAYERS[name]
    assert model.region_layers == {"V4": v4, "pIT": pit, "cIT": it, "aIT": it, "IT": it}
    if isinstance(model, GraphModel):
        on_ms, off_ms = TRAINED_WITH[name]
        assert model.presentation == Presentation(on_ms=on_ms, off_ms=off_ms)
        assert entry.steps == model.presentation.n_steps >= len(entry.layers)
    else:
        assert entry.steps is None


def test_the_number_of_parameters_matches_the_catalogue(name: str) -> None:
    entry = CATALOG[name]
    with torch.device("meta"):  # allocates no memory
        model = load_model(name, image_size=max(entry.image_sizes), weights="random")
    assert isinstance(model, Model)
    if entry.parameters is not None:
        assert sum(parameter.numel() for parameter in module_of(model).parameters()) == entry.parameters


def test_the_control_of_the_median_model_lacks_only_feedback() -> None:
    """Feedback is 1 x 1 convolutions with biases; the channels they join are from the paper's table."""
    links = [(256, 128), (256 + 512, 256), (512, 256), (512, 512)]
    with_links, without = (CATALOG[f"median_convrnn{end}"].parameters for end in ("", "_nofeedback"))
    assert with_links == 15_445_800
    assert without == 15_445_800 - sum(source * target + target for source, target in links)


def test_every_model_fulfils_the_contract(name: str) -> None:
    checked = brainfit.check_model(build(name, image_size=SIZE), n_images=2)
    assert tuple(check.layer for check in checked.layers) == CATALOG[name].layers
    assert checked.layers[-1].feature_shape == (10,)


def test_the_weights_depend_on_the_seed_alone(name: str) -> None:
    before = torch.random.get_rng_state()
    first, again, other = (build(name, image_size=SIZE, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(before, torch.random.get_rng_state())
    assert (first.weights, other.weights) == (random_weights(name, 3), random_weights(name, 4))
    a, b, c = (module_of(model).state_dict() for model in (first, again, other))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not torch.equal(next(iter(a.values())), next(iter(c.values())))


def test_a_model_can_be_pickled(model: Model, images: torch.Tensor) -> None:
    again = pickle.loads(pickle.dumps(model))
    last = model.layers[-1:]
    ours, theirs = (one.unroll(images, SHOWN, last)[last[0]].dense() for one in (again, model))
    assert torch.equal(ours, theirs)


NO_NUMBERS = {
    "channel_divisor": (0, -1, 3, 2048, 2.0, True, "2"),
    "n_classes": (0, -1, 2.0, True, "2"),
    "seed": (-1, 2**64, 1.0, True, None),
}


@pytest.mark.parametrize("option", NO_NUMBERS)
def test_options_out_of_range_are_refused(name: str, option: str) -> None:
    small = {"channel_divisor": 16} if model_takes(name, "channel_divisor") else {}
    if model_takes(name, option):
        for value in NO_NUMBERS[option]:
            with pytest.raises(ContractError, match=rf"{option} (is|must|takes) .*got {value!r}"):
                load_model(name, image_size=SIZE, weights="random", **(small | {option: value}))


def test_skipping_repeated_work_does_not_change_features(model: Model, images: torch.Tensor) -> None:
    flash = Presentation(on_ms=20, off_ms=180)  # image and gray reach the last of eighteen layers
    runs = flash.frames(images, model.normalize)
    frames = [frame.expand_as(images) for frame, steps in runs for _ in range(steps)]
    with torch.inference_mode():
        plain = steps_of(model, frames) if isinstance(model, GraphModel) else passes_of(model, frames)
    assert_same(unroll(model, images, flash), plain)


def test_images_of_a_batch_do_not_affect_each_other(model: Model, images: torch.Tensor, seen: Seen) -> None:
    permuted = unroll(model, images[[2, 0, 1]], SHOWN)
    assert_same({layer: values[[1, 2, 0]] for layer, values in permuted.items()}, seen)
    assert_same(unroll(model, images[1:2], SHOWN), seen, image=slice(1, 2))


def test_features_do_not_depend_on_later_frames(model: Model, images: torch.Tensor, seen: Seen) -> None:
    assert_same(unroll(model, images, Presentation(on_ms=160, off_ms=0)), seen, steps=12)
    assert_same(unroll(model, images, Presentation(on_ms=120, off_ms=20)), seen, steps=14)


def test_a_signal_advances_one_layer_per_step(model: Model, seen: Seen) -> None:
    for k, layer in enumerate(model.layers):
        differs = (seen[layer] != seen[layer][:1]).any(dim=2).any(dim=0).tolist()
        assert differs.index(True) == k, layer


@pytest.mark.parametrize("name", [name for name in CATALOG if name.endswith("_mini")])
def test_region_layers_of_small_networks_have_maps_of_at_least_4_pixels(name: str) -> None:
    model = load_model(name, weights="random")
    assert isinstance(model, GraphModel)
    shapes = {part.name: part.shape for part in model.wiring().parts}
    assert all(min(shapes[layer][1:]) >= 4 for layer in model.region_layers.values())


def test_the_wide_control_has_the_parameters_of_the_recurrent_network() -> None:
    recurrent, wide = (CATALOG[name].parameters for name in ("median_convrnn_mini", "ff_wide_mini"))
    assert wide == pytest.approx(recurrent, rel=0.005)
    assert CATALOG["median_convrnn_minimal_mini"].parameters == recurrent
