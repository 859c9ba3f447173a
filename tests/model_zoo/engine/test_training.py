"""Training through the engine: gradients of the plain loop, even initial logits, modes as in torch."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import brainfit
from brainfit.contracts.presentation import Presentation
from brainfit.registry.lookup import model_takes
from model_zoo.catalog import CATALOG
from model_zoo.cells.gru import GRU
from model_zoo.engine.graph import GraphModel
from model_zoo.engine.node import CellContext
from model_zoo.networks.shallow import shallow_convrnn

N_CLASSES, N_IMAGES = 10, 2
SHOWN = Presentation(on_ms=90, off_ms=80)  # the feedback of the median network reaches the last step
LABELS = torch.tensor([3, 7])
GRAPHS = [name for name in CATALOG if not name.startswith("resnet")]
FAST = {"median_convrnn_mini", "lstm_shallow", "basenet", "random_convrnn"}
EACH_GRAPH = [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in GRAPHS]


def build(name: str, **options: Any) -> Any:
    small = {"channel_divisor": 16, "norm_epsilon": 0.1, "readout_gain": 0.01, "n_classes": N_CLASSES}
    small["weights"] = "random"
    taken = {option: value for option, value in small.items() if model_takes(name, option)}
    return brainfit.load_model(name, **{"image_size": 65, **taken, **options})


def some_images(model: Any, n: int = N_IMAGES) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(n, 3, model.image_size, model.image_size, generator=generator)


def plain_logits(model: GraphModel, images: Tensor) -> list[Tensor]:
    """Return the logits of each step: every node at every step, for every image."""
    state, steps = model.initial_state(images, len(images)), []
    for frame, length in SHOWN.frames(images, model.normalize):
        for _ in range(length):
            state = model.step(frame.expand(len(images), -1, -1, -1), state)
            steps.append(state.outputs["readout"])
    return steps


def unrolled_logits(model: GraphModel, images: Tensor, **options: Any) -> list[Tensor]:
    seen = model.unroll_training(images, SHOWN, ["readout"], **options)["readout"]
    return [seen.blocks[k].expand(N_IMAGES, -1) for k in seen.index]


def gradients(model: GraphModel, logits: list[Tensor]) -> dict[str, Tensor]:
    """Return the gradients of a loss over all steps that weights later steps more."""
    loss = F.cross_entropy(logits[-1], LABELS)
    loss = loss + sum(F.cross_entropy(step, LABELS) for step in logits) / len(logits)
    named = dict(model.named_parameters())
    return dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))


def assert_same(ours: dict[str, Tensor], plain: dict[str, Tensor], tolerance: float) -> None:
    assert any(gradient.any() for gradient in plain.values())
    for name, expected in plain.items():
        assert (ours[name] - expected).norm() <= tolerance * expected.norm(), name


@pytest.mark.parametrize("name", EACH_GRAPH)
def test_gradients_equal_those_of_the_plain_loop(name: str) -> None:
    model = build(name).double()
    with torch.no_grad():  # nonzero biases are visible in layers that no image has reached
        for k, parameter in enumerate(model.parameters()):
            if parameter.ndim == 1:
                parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(k))
    images = some_images(model).double()
    plain = gradients(model, plain_logits(model, images))
    assert_same(gradients(model, unrolled_logits(model, images)), plain, 1e-12)
    assert_same(gradients(model, unrolled_logits(model, images, recompute=True)), plain, 1e-12)
    model.float()
    narrow = gradients(model, unrolled_logits(model, images.float()))
    # The gradient of one parameter may be thousands of times smaller than the whole gradient, and its
    # relative rounding error larger.
    assert_same({"all": flat(narrow)}, {"all": flat(plain)}, 1e-5)
    assert_same({key: value.double() for key, value in narrow.items()}, plain, 1e-4)


def flat(gradients: dict[str, Tensor]) -> Tensor:
    return torch.cat([gradient.flatten().double() for gradient in gradients.values()])


def test_logits_equal_those_of_unroll() -> None:
    model = build("median_convrnn_mini")
    images = some_images(model)
    seen = model.unroll(images, SHOWN, ["readout"])["readout"]
    ours = model.unroll_training(images, SHOWN, ["readout"])["readout"]
    assert ours.index == seen.index
    assert ours.blocks[-1].requires_grad
    assert not seen.blocks[-1].requires_grad
    for a, b in zip(ours.blocks, seen.blocks, strict=True):
        torch.testing.assert_close(a, b)


def test_repeated_work_is_done_once() -> None:
    model = build("basenet")
    calls = 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1

    model.nodes["conv2"].pre.register_forward_hook(count)
    model.unroll_training(some_images(model), SHOWN, ["conv2", "readout"])
    assert calls == 3  # before the image, the image, gray


@pytest.mark.parametrize(
    "name", ["median_convrnn_mini", "ff", "simplernn_shallow", "random_convrnn", "resnet18"]
)
@pytest.mark.parametrize("n_classes", [8, 64])
def test_a_new_network_predicts_all_classes_equally(name: str, n_classes: int) -> None:
    model = build(name, n_classes=n_classes)
    shown = Presentation(on_ms=180, off_ms=0)
    readout = model.layers[-1]
    for seed in range(3):
        images = some_images(model, 8)
        logits = model.unroll(images, shown, [readout])[readout].blocks[-1]
        labels = torch.randint(n_classes, (8,), generator=torch.Generator().manual_seed(seed))
        assert float(F.cross_entropy(logits, labels)) == pytest.approx(math.log(n_classes), rel=0.02)


def test_the_name_of_random_weights_includes_the_readout_gain() -> None:
    assert build("ff", readout_gain=1.0).weights == "random:0"
    assert build("ff", readout_gain=0.1).weights == "random:0, readout x 0.1"
    assert build("resnet18", readout_gain=0.5).weights == "random:0, readout x 0.5"


def test_constant_maps_do_not_make_gradients_explode() -> None:
    """A norm multiplies the gradient of a constant map, which no image has reached, by 1/sqrt(epsilon)."""
    largest = {}
    for epsilon in (1e-12, 0.1):
        model = build("lstm_shallow", norm_epsilon=epsilon)
        found = gradients(model, unrolled_logits(model, some_images(model)))
        largest[epsilon] = max(float(gradient.abs().max()) for gradient in found.values())
    assert largest[0.1] < 100
    assert not largest[1e-12] < 1e6


class Noisy(GRU):
    """A cell with dropout and batch statistics."""

    def __init__(self, context: CellContext) -> None:
        super().__init__(context)
        self.drop, self.norm = nn.Dropout(0.5), nn.BatchNorm2d(self.channels)

    def drive(self, x: Tensor, ff: Tensor) -> tuple[Tensor, ...]:
        return super().drive(self.norm(self.drop(x)), ff)


def test_dropout_and_batch_statistics_equal_those_of_the_plain_loop() -> None:
    models = [shallow_convrnn(Noisy, 65, n_classes=N_CLASSES, channel_divisor=16).train() for _ in range(2)]
    images = some_images(models[0])
    found = []
    for model, logits in zip(models, (plain_logits, unrolled_logits), strict=True):
        torch.manual_seed(0)
        found.append(gradients(model, logits(model, images)))
    assert_same(found[1], found[0], 1e-5)
    for ours, plain in zip(models[1].buffers(), models[0].buffers(), strict=True):
        torch.testing.assert_close(ours, plain)
    # In evaluation mode nothing is drawn or accumulated, and repeated work is skipped again.
    before = [buffer.clone() for buffer in models[1].buffers()]
    models[1].eval()
    seen = models[1].unroll_training(images, SHOWN, ["conv2"])["conv2"]
    assert len(seen.blocks) == 3
    assert all(torch.equal(a, b) for a, b in zip(before, models[1].buffers(), strict=True))


def test_recomputed_activations_draw_the_same_random_numbers() -> None:
    model = shallow_convrnn(Noisy, 65, n_classes=N_CLASSES, channel_divisor=16).train()
    images, found = some_images(model), []
    for recompute in (False, True):
        torch.manual_seed(0)
        found.append(gradients(model, unrolled_logits(model, images, recompute=recompute)))
    assert_same(found[1], found[0], 1e-5)


def test_pixel_values_are_never_read() -> None:
    """Reading a pixel value would synchronise with the GPU at every batch."""
    model = build("ff")
    images = some_images(model) + 3
    model.unroll_training(images, SHOWN, ["readout"])
    with pytest.raises(brainfit.errors.ContractError, match="takes pixels in"):
        model.unroll(images, SHOWN, ["readout"])
