"""Networks that compute all steps in one call, from a sequence of frames or from one image."""

import pytest
import torch
import torch.nn.functional as F
from networks import GRAY, HELD, RT, SHOWN, SIZE, Growing, Unfit, Video, normalized, some_images

from brainfit.contracts.model import Model
from brainfit.errors import ContractError
from model_zoo.adapters import each_call, from_sequence


@pytest.fixture
def images() -> torch.Tensor:
    return some_images()


def test_a_sequence_network_receives_every_frame_of_the_presentation(images) -> None:
    model = from_sequence(lambda frames: {"frames": frames}, ["frames"], SIZE)
    assert isinstance(model, Model)
    seen = model.unroll(images, SHOWN, ["frames"])["frames"]
    assert seen.index == tuple(range(7))
    for frame, block in zip(
        [normalized(images)] * 3 + [GRAY.repeat(2, 1, 1, 1)] * 4, seen.blocks, strict=True
    ):
        torch.testing.assert_close(block, frame)


def test_a_temporal_convolution_sums_over_two_frames(images) -> None:
    video = Video().train()
    seen = from_sequence(video, ["space", "time"], SIZE).unroll(images, SHOWN, ["time"])["time"]
    video.eval()
    with torch.inference_mode():
        space = [
            F.conv2d(frame, video.space.weight[:, :, 0], video.space.bias)
            for frame in [normalized(images)] * 3 + [GRAY.repeat(2, 1, 1, 1)] * 4
        ]
        before = [torch.zeros_like(space[0]), *space[:-1]]
        for last, now, block in zip(before, space, seen.blocks, strict=True):
            both = [F.conv2d(x, video.time.weight[:, :, k]) for k, x in enumerate((last, now))]
            torch.testing.assert_close(block, both[0] + both[1] + video.time.bias.view(-1, 1, 1))  # type: ignore[union-attr]


def test_calls_of_a_layer_named_twice_are_counted_once(images) -> None:
    module = RT().eval()
    once, twice = (each_call(module, ["V1"] * n)(images) for n in (1, 2))
    assert list(twice) == ["V1"]
    assert torch.equal(once["V1"], twice["V1"])


def test_call_k_of_a_layer_is_step_k_and_surplus_calls_are_dropped(images) -> None:
    module = RT().train()
    layers = ["V1.output", "IT.output"]
    model = from_sequence(each_call(module, layers), layers, SIZE, takes="image")
    seen = model.unroll(images, HELD, layers)
    assert [seen[layer].index for layer in layers] == [tuple(range(7))] * 2
    module.eval()
    with torch.inference_mode():
        v1 = below = None
        it = None
        for k in range(7):
            below, v1 = v1, module.V1(normalized(images), v1)
            it = module.IT(torch.zeros(2, 4, 8, 8) if below is None else below, it)
            torch.testing.assert_close(seen["V1.output"].blocks[k], v1)
            torch.testing.assert_close(seen["IT.output"].blocks[k], it)
    assert not torch.allclose(seen["IT.output"].blocks[5], seen["IT.output"].blocks[6])
    # In the first step the image has not reached the second area, as in models that are stepped.
    first = seen["IT.output"].blocks[0]
    torch.testing.assert_close(first[0], first[1])


def test_gray_is_refused_for_a_network_that_holds_its_image(images) -> None:
    model = from_sequence(each_call(RT(), ["V1"]), ["V1"], SIZE, takes="image", name="rt")
    with pytest.raises(
        ContractError, match=r"rt holds .* give .*Presentation\(on_ms=70, off_ms=0, step_ms=10\)"
    ):
        model.unroll(images, SHOWN, ["V1"])


def steps(n: int, *shape: int):
    return lambda shown: {"a": torch.zeros(len(shown), n, *shape)}


@pytest.mark.parametrize(
    ("run", "takes", "message"),
    [
        (steps(6, 2), "frames", "'a' gives 6 steps for 7 frames, wanted one for each"),
        (steps(8, 2), "frames", "'a' gives 8 steps for 7 frames"),
        (steps(6, 2), "image", "'a' has 6 steps, the presentation 7; let the network run for more"),
        (steps(7), "image", r"'a' gives shape \(2, 7\) for 2 images, wanted \(image, step, \.\.\.\)"),
        (lambda shown: {"a": torch.zeros(7, 2, 3, 3)}, "image", r"shape \(7, 2, 3, 3\) for 2 images"),
        (lambda shown: {"a": [torch.zeros(2, 3)] * 7}, "image", "'a' gives a list, wanted one tensor"),
        (
            lambda shown: {"b": shown},
            "frames",
            "run gives outputs 'b', but not 'a'; name the layers as the run",
        ),
        (lambda shown: shown, "frames", "run must return a dict of tensors .* got Tensor; each_call makes"),
    ],
)
def test_invalid_sequence_outputs_are_refused(images, run, takes, message) -> None:
    with pytest.raises(ContractError, match=message):
        from_sequence(run, ["a"], SIZE, takes=takes).unroll(images, HELD, ["a"])


@pytest.mark.parametrize(
    ("module", "layers", "message"),
    [
        (RT(), ["V1.output", "decoder"], "different numbers of times .*: 'V1.output' 20, 'decoder' 1; name"),
        (RT(), ["V1.output", "V1.nonlin"], "'V1.output' 20, 'V1.nonlin' 40"),
        (RT(), ["unused"], "'unused' did not run in the forward pass"),
        (Unfit(), ["rnn"], "'rnn' gives a tuple"),
        (Growing(), ["part"], r"'part' gives shapes \(2, 3, 18, 18\) and \(2, 3, 20, 20\) in one forward"),
    ],
)
def test_layers_with_unequal_calls_or_outputs_are_refused(images, module, layers, message) -> None:
    with pytest.raises(ContractError, match=message):
        each_call(module, layers)(images)
