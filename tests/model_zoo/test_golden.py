"""Every network of the authors compared with activities their own code computed; see golden/README.md."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

import brainfit
from brainfit.contracts.presentation import Presentation
from brainfit.registry.lookup import model_takes
from model_zoo.engine.graph import GraphModel, GraphState
from model_zoo.weights.tf_names import load_variables, their_layer, variables_of

HERE = Path(__file__).parents[1] / "golden"
FULL = Path(os.environ.get("BRAINFIT_GOLDEN", Path(__file__).parents[3] / "shared" / "golden"))
FIXTURES = (
    *(f"{cell}_shallow" for cell in ("timedecay", "simplernn", "lstm", "intersectionrnn", "ugrnn", "rgc")),
    *(f"{cell}_intermediate" for cell in ("timedecay", "simplernn", "gru", "lstm", "ugrnn", "rgc")),
    "rgc_shallow_default",
    "rgc_intermediate_224",
    "rgc_intermediate_t22_default",
)
# In standard deviations of the compared values. Observed differences are about 3e-5.
TOLERANCE = 1e-4

# Numbers of trainable parameters of the authors' networks, at 224 pixels.
PARAMETERS = {
    "timedecay_shallow": 4_197_739,
    "simplernn_shallow": 6_272_872,
    "gru_shallow": 25_434_472,
    "lstm_shallow": 21_126_248,
    "intersectionrnn_shallow": 32_513_384,
    "ugrnn_shallow": 18_355_560,
    "rgc_shallow": 23_956_840,
    "timedecay_intermediate": 16_403_439,
    "simplernn_intermediate": 33_512_936,
    "gru_intermediate": 67_725_032,
    "lstm_intermediate": 84_832_232,
    "intersectionrnn_intermediate": 84_832_232,
    "ugrnn_intermediate": 50_617_832,
    "rgc_intermediate": 15_445_800,
}

Fixture = dict[str, np.ndarray]
Steps = list[torch.Tensor]


def read(folder: Path, name: str) -> Fixture:
    with np.load(folder / f"{name}.npz") as file:
        return dict(file)


def build(folder: Path, meta: dict) -> GraphModel:
    """Build the network of a fixture and load its variables."""
    name = meta["base_json"]
    clip = {"clip_kernels": meta["clip_kernels_to_map"]} if model_takes(name, "clip_kernels") else {}
    model = brainfit.load_model(
        name,
        image_size=meta["px"],
        n_classes=meta["n_classes"],
        channel_divisor=meta["channel_divisor"],
        **clip,
    )
    assert isinstance(model, GraphModel)
    variables = read(folder, meta["vars_in"])
    load_variables(model, {k.removeprefix("var/"): v for k, v in variables.items() if k.startswith("var/")})
    return model


def shown_as(meta: dict) -> Presentation:
    on = min(meta["T"], meta["image_off"])
    return Presentation(on_ms=10 * on, off_ms=10 * (meta["T"] - on))


def unrolled(model: GraphModel, images: torch.Tensor, presentation: Presentation) -> dict[str, Steps]:
    seen = model.unroll(images, presentation, model.layers)
    return {layer: [seen[layer].blocks[k] for k in seen[layer].index] for layer in model.layers}


@torch.inference_mode()
def stepped(model: GraphModel, images: torch.Tensor, presentation: Presentation) -> list[GraphState]:
    states = [model.initial_state(images)]
    for frame, length in presentation.frames(images, model.normalize):
        for _ in range(length):
            states.append(model.step(frame, states[-1]))
    return states[1:]


def assert_close(ours: torch.Tensor, theirs: np.ndarray, scale: float) -> None:
    """Compare (image, channel, ...) with (image, ..., channel); ours may have a batch of one."""
    ours = ours.movedim(1, -1)[: len(theirs)].expand(theirs.shape)
    assert np.abs(ours.numpy() - theirs).max() <= TOLERANCE * scale


def assert_outputs(ours: dict[str, Steps], data: Fixture, meta: dict) -> None:
    for layer, steps in ours.items():
        assert len(steps) == meta["T"]
        layer = their_layer(layer)
        assert list(steps[-1].movedim(1, -1).shape[1:]) == meta["out_shape"][layer][1:]
        scale = data[f"full/{layer}"].std()
        every = meta.get("every", {}).get(f"full/{layer}", 1)
        assert len(data[f"full/{layer}"]) > 0
        for step, theirs in zip(data[f"full_t/{layer}"], data[f"full/{layer}"], strict=True):
            assert_close(thinned(steps[step], every), theirs, scale)
        if layer != "imnetds":
            for block, theirs in zip(steps, data[f"mean/{layer}"], strict=True):
                assert_close(block.double().mean((2, 3)), theirs, scale)
    assert_close(ours["readout"][-1], data["logits_last"], data["full/imnetds"].std())


def thinned(block: torch.Tensor, every: int) -> torch.Tensor:
    return block[:, :, ::every, ::every] if every > 1 else block


missing = pytest.mark.skipif(not FULL.is_dir(), reason="the full golden fixtures are not here")
CASES = [
    *(pytest.param(HERE, name, id=f"{name}-trimmed") for name in FIXTURES),
    *(pytest.param(FULL, name, id=f"{name}-full", marks=missing) for name in FIXTURES),
]


@pytest.mark.parametrize(("folder", "name"), CASES)
def test_activities_and_states_equal_the_authors(folder: Path, name: str) -> None:
    data = read(folder, name)
    meta = json.loads(str(data["meta"]))
    model = build(folder, meta)
    pixels = read(folder, meta.get("images_in", name))["images_uint8"]
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    presentation = shown_as(meta)
    assert [their_layer(layer) for layer in model.layers] == meta["layers"]
    assert {row.name for row in variables_of(model)} == {*meta["trainable"]}

    assert_outputs(unrolled(model, images, presentation), data, meta)

    states = stepped(model, images, presentation)
    assert_outputs({layer: [s.outputs[layer] for s in states] for layer in model.layers}, data, meta)
    for layer in meta["recurrent_layers"]:
        theirs = data[f"state/{layer}"]
        every = meta.get("every", {}).get(f"state/{layer}", 1)
        assert len(theirs) > 0
        for step, expected in zip(data[f"state_t/{layer}"], theirs, strict=True):
            ours = torch.cat(states[step].cells[layer], dim=1)
            assert_close(thinned(ours, every), expected, theirs.std())


@pytest.mark.parametrize("folder", [HERE, pytest.param(FULL, marks=missing)], ids=["trimmed", "full"])
def test_every_fixture_is_tested(folder: Path) -> None:
    assert {path.stem for path in folder.glob("*.npz")} == {*FIXTURES, "decoders"}


@pytest.mark.parametrize(("name", "expected"), PARAMETERS.items())
def test_the_number_of_parameters_equals_the_authors(name: str, expected: int, monkeypatch) -> None:
    # The weights are never written, so they cost neither memory nor time.
    monkeypatch.setattr("model_zoo.networks.stack.set_random_or_loaded", lambda *_: "none")
    model = brainfit.load_model(name, image_size=224)
    assert isinstance(model, GraphModel)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == expected
    assert brainfit.list_models()[name].parameters == expected
    assert model.presentation.n_steps == brainfit.list_models()[name].steps


@pytest.mark.parametrize(("name", "steps"), [("rgc_intermediate_t22", 22), ("ugrnn_intermediate_t30", 30)])
def test_names_of_models_state_how_many_steps_the_image_was_shown(name: str, steps: int) -> None:
    model = brainfit.load_model(name, image_size=32, channel_divisor=16)
    assert isinstance(model, GraphModel)
    assert model.presentation == Presentation(on_ms=10 * steps, off_ms=0)
    assert brainfit.list_models()[name].steps == steps
