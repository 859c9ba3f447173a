"""Arguments of the adapters: wrong ones are refused when the model is built, before any image is seen."""

from collections.abc import Callable
from typing import Any

import pytest
from networks import SHOWN, SIZE, Unfit, Video, net, some_images
from torch import nn

from brainfit.errors import ContractError
from model_zoo.adapters import each_call, from_module, from_sequence, from_step


def three_ways(layers: Any = ("h",), size: Any = SIZE, **options: Any) -> list[Callable[[], Any]]:
    module = nn.ModuleDict({"h": nn.ReLU(), "o": nn.ReLU()})
    return [
        lambda: from_module(module, layers, size, **options),
        lambda: from_step(lambda frame, state: ({"h": frame}, state), layers, size, **options),
        lambda: from_sequence(lambda frames: {"h": frames}, layers, size, **options),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(({"size": size}, f"has image_size={size!r}, wanted") for size in (0, -1, 16.0, True, "16")),
        *(({"step_ms": step}, f"has step_ms={step}, wanted") for step in (0, 0.5, True)),
        ({"name": ""}, "has name='', wanted some printable text"),
        ({"weights": 3}, "has weights=3, wanted str"),
        ({"layers": "h"}, r"the string 'h'; write \['h'\]"),
        ({"layers": None}, "layers must be a list of names, got None"),
        ({"layers": []}, "wanted different printable names"),
        ({"layers": ["h", "h"]}, "wanted different printable names"),
        ({"region_layers": {"V4": "x"}}, "gives layer 'x' to region 'V4'; regions are"),
        ({"region_layers": {"V9": "h"}}, "gives layer 'h' to region 'V9'; regions are"),
        ({"region_layers": [("V4", "h")]}, "wanted Mapping"),
        ({"mean": (0.5,)}, "mean is three numbers, of red, green and blue, got 1"),
        ({"mean": 0.5}, "mean is three numbers, of red, green and blue, got 1"),
        ({"mean": (0, 0, float("nan"))}, "mean is a number from .*, got nan"),
        (
            {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)},
            "divide mean and std by 255 if",
        ),
        ({"mean": (103.94, 116.78, 123.68), "std": (1, 1, 1)}, "divide mean and std by 255 if"),
        ({"mean": (123.675, 116.28, 103.53)}, "divide mean by 255 if"),
        ({"mean": (0, 0, 0), "std": (255, 255, 255)}, "divide std by 255 if"),
        ({"mean": (-0.1, 0, 0)}, "mean is 0 to 1, as pixels are, got"),
        ({"mean": {0.1, 0.2, 0.3}}, "mean must be in order, got a set"),
        ({"layers": {"h"}}, "layers must be in order, got a set, which has none; give a list"),
        ({"layers": frozenset({"h"})}, "layers must be in order, got a frozenset"),
        ({"readout_layers": {"h"}}, "layers must be in order, got a set"),
        ({"readout_layers": ["x"]}, "has readout layer 'x', wanted one of its layers: h"),
        ({"std": (1, 1)}, "std is three numbers, of red, green and blue, got 2"),
        ({"std": (1, 1, 0)}, "std is a number from 1e-06 .*, got 0"),
        ({"std": (1, 1, "1")}, "std is a number from 1e-06 .*, got '1'"),
    ],
    ids=repr,
)
def test_wrong_arguments_are_refused_when_the_model_is_built(options, message) -> None:
    for adapt in three_ways(**options):
        with pytest.raises(ContractError, match=message) as caught:
            adapt()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("adapt", "message"),
    [
        (lambda: from_module(lambda x: x, ["a"], SIZE), "module is a torch.nn.Module, got function; give"),  # type: ignore[arg-type]
        (lambda: each_call(Unfit, ["relu"]), "module is a torch.nn.Module, got type; give what a class"),  # type: ignore[arg-type]
        (lambda: each_call(Unfit(), "relu"), r"the string 'relu'; write \['relu'\]"),
        (lambda: from_step({}, ["a"], SIZE), "wanted a function, a method or a module, got dict"),  # type: ignore[arg-type]
        (lambda: from_sequence({}, ["a"], SIZE), "wanted a function, a method or a module, got dict"),  # type: ignore[arg-type]
        (lambda: from_sequence(Video(), ["time"], SIZE, takes="video"), "'frames' or 'image', got 'video'"),  # type: ignore[arg-type]
    ],
)
def test_objects_that_are_not_networks_are_refused(adapt, message) -> None:
    with pytest.raises(ContractError, match=message):
        adapt()


@pytest.mark.parametrize(
    ("latencies", "message"),
    [
        ({"relu": -1}, "the latency of 'relu' is a whole number from 0 up, got -1"),
        ({"relu": 1.5}, "got 1.5"),
        ({"relu": "1"}, "got '1'"),
        ({"relu": True}, "got True"),
        ({}, r"for each of \['relu'\], got one for \[\]"),
        ({"relu": 1, "rnn": 1}, r"got one for \['relu', 'rnn'\]"),
        ([1], r"latencies is a dict .*, got one for \[\]"),
    ],
)
def test_invalid_latencies_are_refused(latencies, message) -> None:
    with pytest.raises(ContractError, match=message):
        from_module(Unfit(), ["relu"], SIZE, latencies=latencies)


def test_later_changes_to_the_arguments_do_not_change_a_model() -> None:
    regions, latencies = {"V4": "0"}, {"0": 1}
    module = net()
    model = from_module(module, (x for x in ["0"]), SIZE, region_layers=regions, latencies=latencies)  # type: ignore[arg-type]
    regions["pIT"], latencies["0"] = "none", 5
    assert model.region_layers == {"V4": "0"}
    assert model.unroll(some_images(), SHOWN, ["0"])["0"].index == (0, 1, 1, 1, 2, 2, 2)
