"""The median ConvRNN against the authors' own code, and its size, names and random weights."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from brainfit.errors import ContractError
from brainfit.presentation import Presentation
from model_zoo.graph import GraphModel
from model_zoo.median_convrnn import median_convrnn
from model_zoo.tf_names import load_variables

HERE = Path(__file__).parent / "golden"
FULL = Path(os.environ.get("BRAINFIT_GOLDEN", Path(__file__).parents[2] / "shared" / "golden"))
FULL_FIXTURES = ("rgc_intermediate_224", "rgc_intermediate", "rgc_intermediate_t22_default")
# In units of the standard deviation of what is compared. The differences are about 3e-5.
TOLERANCE = 1e-4


def read(folder: Path, name: str) -> dict[str, np.ndarray]:
    with np.load(folder / f"{name}.npz") as file:
        return dict(file)


def variables_of(data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key.removeprefix("var/"): values for key, values in data.items() if key.startswith("var/")}


def assert_close(ours: torch.Tensor, theirs: np.ndarray, scale: float) -> None:
    """Compare (image, channel, ...) with (image, ..., channel); ours may have a batch of one."""
    ours = ours.movedim(1, -1)[: len(theirs)].expand(theirs.shape)
    assert np.abs(ours.numpy() - theirs).max() <= TOLERANCE * scale


def spatial_mean(block: torch.Tensor) -> torch.Tensor:
    """(image, channel, height, width) -> (image, channel), in float64."""
    return block.double().mean((2, 3)) if block.ndim == 4 else block.double()


CASES = [pytest.param(HERE, "rgc_intermediate_224", id="trimmed")] + [
    pytest.param(
        FULL,
        name,
        id=name,
        marks=pytest.mark.skipif(not FULL.is_dir(), reason="the full golden fixtures are not here"),
    )
    for name in FULL_FIXTURES
]


@pytest.mark.parametrize(("folder", "name"), CASES)
def test_authors_activities_and_states_are_met(folder: Path, name: str) -> None:
    data = read(folder, name)
    meta = json.loads(str(data["meta"]))
    model = median_convrnn(
        meta["px"],
        n_classes=50,
        channel_divisor=meta["channel_divisor"],
        clip_kernels=meta["clip_kernels_to_map"],
    )
    load_variables(model, variables_of(read(folder, meta["vars_in"])), weights="golden")
    images = torch.from_numpy(data["images_uint8"]).permute(0, 3, 1, 2).float() / 255
    steps, on = meta["T"], min(meta["T"], meta["image_off"])
    presentation = Presentation(on_ms=10 * on, off_ms=10 * (steps - on))

    seen = model.unroll(images, presentation, model.layers)
    for layer in model.layers:
        blocks = [seen[layer].blocks[k] for k in seen[layer].index]
        assert len(blocks) == steps
        assert tuple(blocks[0].movedim(1, -1).shape[1:]) == tuple(meta["out_shape"][layer][1:])
        scale = data[f"full/{layer}"].std()
        for step, theirs in zip(data[f"full_t/{layer}"], data[f"full/{layer}"], strict=True):
            assert_close(blocks[step], theirs, scale)
        if f"mean/{layer}" in data:
            for block, theirs in zip(blocks, data[f"mean/{layer}"], strict=True):
                assert_close(spatial_mean(block), theirs, scale)
    assert_close(seen["imnetds"].blocks[-1], data["logits_last"], data["full/imnetds"].std())

    with torch.inference_mode():
        state = model.initial_state(images)
        states = []
        for frame, length in presentation.frames(images, model.normalize):
            for _ in range(length):
                state = model.step(frame, state)
                states.append(state)
    for layer in meta["recurrent_layers"]:
        theirs = data[f"state/{layer}"]
        for step, expected in zip(data[f"state_t/{layer}"], theirs, strict=True):
            assert_close(torch.cat(states[step].cells[layer], dim=1), expected, theirs.std())


def test_parameter_count_is_the_published_one() -> None:
    assert sum(p.numel() for p in median_convrnn().parameters() if p.requires_grad) == 15_445_800


def test_region_layers_are_layers() -> None:
    model = small()
    assert set(model.region_layers.values()) <= set(model.layers)


def small(image_size: int = 32, seed: int = 0) -> GraphModel:
    return median_convrnn(image_size, seed, channel_divisor=16, n_classes=10)


def test_seed_decides_the_weights_and_nothing_else_does() -> None:
    before = torch.random.get_rng_state()
    first, again, other = small(seed=3), small(seed=3), small(seed=4)
    assert torch.equal(before, torch.random.get_rng_state())
    assert first.weights == "random:3"
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first.nodes["conv1"].pre.weight, other.nodes["conv1"].pre.weight)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"weights": "imagenet"}, "weights='random' only"), ({"image_size": 8}, "32 pixels or more")],
)
def test_bad_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        median_convrnn(**options)


@pytest.mark.slow
def test_random_activities_neither_die_nor_blow_up() -> None:
    """At the size that is scored, on white noise, on smooth images, and far beyond the 25 steps."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(2, 3, 128, 128, generator=generator)
    coarse = torch.rand(2, 3, 8, 8, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (128, 128), mode="bicubic").clamp(0, 1)
    model = median_convrnn()
    seen = model.unroll(torch.cat([noise, smooth]), Presentation(on_ms=400, off_ms=0), model.layers)
    for k, layer in enumerate(model.layers):
        for step in range(k + 4, 40):
            spread = seen[layer].blocks[seen[layer].index[step]].std()
            assert 0.1 < spread < 10, (layer, step)


@pytest.fixture(scope="module")
def variables() -> dict[str, np.ndarray]:
    return variables_of(read(HERE, "rgc_intermediate_224"))


@pytest.fixture
def model() -> GraphModel:
    return median_convrnn(224, n_classes=50, channel_divisor=16)


def test_source_is_kept_and_the_optimiser_is_ignored(model, variables) -> None:
    extra = {"global_step": np.zeros(()), "tnn_model/conv1/pre_0/bias/Momentum": np.zeros(4)}
    load_variables(model, variables | extra, weights="sha256:0")
    assert model.weights == "sha256:0"


def test_missing_extra_misshapen_and_remembering_are_refused(model, variables) -> None:
    name = "tnn_model/conv7/ReciprocalGateCell/out/feedback_to_out_weights"
    table = {
        "without variable": {key: values for key, values in variables.items() if key != name},
        "unknown variable tnn_model/conv7/pre_1/bias": variables
        | {"tnn_model/conv7/pre_1/bias": np.zeros(1)},
        "misshapen": variables | {name: variables[name][..., :-1]},
        "nonzero variable tnn_model/conv1/memory_decay": variables
        | {"tnn_model/conv1/memory_decay": np.ones(1)},
    }
    before = [p.clone() for p in model.parameters()]
    for message, wrong in table.items():
        with pytest.raises(ContractError, match=message) as error:
            load_variables(model, wrong, weights="wrong")
        assert "tnn_model/conv" in str(error.value)
    assert model.weights == "random:0"
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
