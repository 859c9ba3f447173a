"""Models that keep the contract pass; each way of breaking it is caught, and named."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import nn

from brainfit.check_model import LayerCheck, ModelCheck, check_model
from brainfit.errors import ContractError
from brainfit.names import unknown_name
from brainfit.trajectory import Trajectory
from model_zoo.adapters import from_module, from_step
from model_zoo.median_convrnn import median_convrnn

Steps = Callable[..., list[torch.Tensor]]


def good(model, images, presentation) -> list[torch.Tensor]:
    """The mean pixel, and one step later the mean pixel again, decaying after the image."""
    on = presentation.timeline[0].steps
    mean = images.mean(dim=(2, 3))
    return [mean * 0.5 ** max(0, t - on + 1) for t in range(presentation.n_steps)]


@dataclass
class Toy:
    steps: Steps = good
    name: str = "toy"
    layers: Sequence[str] = ("a", "b")
    region_layers: Mapping[str, str] = field(default_factory=dict)
    image_size: int = 8
    step_ms: int = 10
    weights: str = "none"
    refuses: bool = True
    memory: list = field(default_factory=list)

    def unroll(self, images, presentation, layers) -> Any:
        for layer in layers:
            if self.refuses and layer not in self.layers:
                raise unknown_name("layer", layer, ("a", "b"))
        answer = {layer: Trajectory.from_steps(self.steps(self, images, presentation)) for layer in layers}
        self.memory.append((images, tuple(layers)))
        return answer


def test_good_models_pass() -> None:
    assert check_model(Toy()) == ModelCheck(
        "toy", (LayerCheck("a", (3,), 18, 18), LayerCheck("b", (3,), 18, 18))
    )
    seen = check_model(median_convrnn(32, channel_divisor=16, n_classes=10), n_images=2)
    assert seen.layers[0] == LayerCheck("conv1", (4, 8, 8), 2, 18)
    assert [check.layer for check in seen.layers][-1] == "imnetds"
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout())
    assert [check.distinct_blocks for check in check_model(from_module(module, ["0", "3"], 8)).layers] == [
        2,
        3,
    ]
    check_model(from_step(lambda f, s: ({"a": f if s is None else f + s}, f), ["a"], 8))


def test_random_numbers_of_the_caller_are_left_alone() -> None:
    before = torch.random.get_rng_state()
    check_model(Toy())
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": None}, "has name=None, wanted a str"),
        ({"layers": "conv1"}, "has layers='conv1', wanted a Sequence"),
        ({"layers": ()}, "wanted one or more different names"),
        ({"layers": ("a", "a")}, "wanted one or more different names"),
        ({"region_layers": {"V4": "c"}}, "gives layer 'c' to region 'V4'"),
        ({"region_layers": {"V5": "a"}}, "to region 'V5'; regions are V1"),
        ({"image_size": 8.0}, "has image_size=8.0, wanted a int"),
        ({"step_ms": 0}, "wanted both above 0"),
        ({"weights": None}, "has weights=None"),
        ({"refuses": False}, "accepts the layer 'no such layer'"),
    ],
)
def test_wrong_attributes_are_caught(change, message) -> None:
    with pytest.raises(ContractError, match=message):
        check_model(replace(Toy(), **change))


def too_short(model, images, presentation):
    return good(model, images, presentation)[1:]


def not_finite(model, images, presentation):
    steps = good(model, images, presentation)
    steps[5] = steps[5] / 0
    return steps


def integers(model, images, presentation):
    return [step.long() for step in good(model, images, presentation)]


def odd_batch(model, images, presentation):
    return [torch.cat([step, step[:1]]) for step in good(model, images, presentation)]


def growing(model, images, presentation):
    return [step[:, : 1 + (t > 3)] for t, step in enumerate(good(model, images, presentation))]


def scalars(model, images, presentation):
    return [step[:, 0] for step in good(model, images, presentation)]


def random(model, images, presentation):
    return [step + 0.1 * torch.rand(3) for step in good(model, images, presentation)]


def remembers(model, images, presentation):
    last = model.memory[-1][0].mean() if model.memory else 0
    return [step + last for step in good(model, images, presentation)]


def batch_norm(model, images, presentation):
    return [step - step.mean(dim=0) for step in good(model, images, presentation)]


def foresees(model, images, presentation):
    return [step + presentation.timeline[0].steps for step in good(model, images, presentation)]


def normalises_over_time(model, images, presentation):
    return [step / presentation.n_steps for step in good(model, images, presentation)]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (too_short, "layer 'a' returns 13 steps, wanted 14"),
        (not_finite, "layer 'a' is not finite at step 5 of 14"),
        (integers, "returns torch.int64"),
        (odd_batch, r"returns blocks of \(5, 3\); wanted \(4 or 1"),
        (growing, r"returns blocks of \(4, 1\), \(4, 2\)"),
        (scalars, r"returns blocks \(4,\), wanted \(image, \*features\)"),
        (random, "answers at random"),
        (remembers, "no state may stay from call to call"),
        (batch_norm, "depend on the other images"),
        (foresees, "depend on what is shown later"),
        (normalises_over_time, "depend on what is shown later, or for how long"),
    ],
)
def test_wrong_answers_are_caught(steps, message) -> None:
    with pytest.raises(ContractError, match=message) as error:
        check_model(Toy(steps))
    assert "\n" not in str(error.value)
    assert "model 'toy'" in str(error.value)


class WrongAlone(Toy):
    def unroll(self, images, presentation, layers):
        answer = super().unroll(images, presentation, layers)
        if len(layers) == 1:
            answer = {
                layer: Trajectory(tuple(b + 1 for b in t.blocks), t.index) for layer, t in answer.items()
            }
        return answer


class ReturnsAll(Toy):
    def unroll(self, images, presentation, layers):
        return super().unroll(images, presentation, layers) | super().unroll(images, presentation, ["a"])


class ReturnsTensors(Toy):
    def unroll(self, images, presentation, layers):
        return {layer: t.dense() for layer, t in super().unroll(images, presentation, layers).items()}


class ReturnsList(Toy):
    def unroll(self, images, presentation, layers):
        return list(super().unroll(images, presentation, layers).values())


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (WrongAlone, "answers differently when it is asked for alone"),
        (ReturnsAll, r"was asked for layers \['b'\] and returned \['b', 'a'\]"),
        (ReturnsTensors, "layer 'a' returns a Tensor, wanted a Trajectory"),
        (ReturnsList, "and returned list"),
    ],
)
def test_wrong_requests_are_caught(kind, message) -> None:
    with pytest.raises(ContractError, match=message):
        check_model(kind())


def test_one_image_is_too_few() -> None:
    with pytest.raises(ContractError, match="2 or more"):
        check_model(Toy(), n_images=1)
