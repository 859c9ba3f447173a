"""Extraction: what a model may return, how its errors are reported, and how images reach it."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from tiny import TinyModel

from brainfit.contracts.presentation import Presentation
from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import BrainfitError, ContractError, PluginError, ResourceError, UnknownNameError
from brainfit.features.extraction import _on_device, extract, extract_last, select_rows, to_model_input
from brainfit.features.model_contract import full_precision

IMAGES = np.random.default_rng(0).integers(0, 256, size=(6, 16, 16, 3), dtype=np.uint8)
STIMULI = xr.DataArray(IMAGES, dims=("image", "height", "width", "channel"))


class Changed(TinyModel):
    """The tiny model with a function that changes its answer."""

    def __init__(self, change: Callable[[dict[str, Trajectory]], Any]) -> None:
        super().__init__()
        self.change = change

    def unroll(self, images, presentation, layers):
        return self.change(super().unroll(images, presentation, layers))


def run(model: Any, batch_size: int = 4) -> list[Trajectory]:
    """Extract six images as a score does, including the check of one image on its own."""
    batches = [IMAGES[start : start + batch_size] for start in range(0, 6, batch_size)]
    alone = extract_last(model, ["small"], batches[0], Presentation())
    answers = []
    for pixels in batches:
        seen = extract(
            model, ["small"], pixels, Presentation(), alone=alone if pixels is batches[0] else None
        )
        answers.append(full_precision(seen["small"]))
    return answers


def blocks(change: Callable[[torch.Tensor], Any]) -> Changed:
    """Return a model whose blocks are changed by a function."""
    return Changed(
        lambda answer: {
            layer: Trajectory(tuple(map(change, seen.blocks)), seen.index) for layer, seen in answer.items()
        }
    )


def second_block(change: Callable[[torch.Tensor], Any]) -> Changed:
    def changed(answer: dict[str, Trajectory]) -> dict[str, Trajectory]:
        first, second, *rest = answer["small"].blocks
        return {"small": Trajectory((first, change(second), *rest), answer["small"].index)}

    return Changed(changed)


def test_batches_equal_one_pass_over_all_images() -> None:
    some, rest = run(TinyModel())
    (whole,) = run(TinyModel(), batch_size=6)
    assert whole.index == some.index
    torch.testing.assert_close(torch.cat([some.dense(), rest.dense()]), whole.dense())


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened(half) -> None:
    wanted, got = run(TinyModel())[0], run(blocks(lambda block: block.to(half)))[0]
    assert got.dense().dtype == torch.float32
    torch.testing.assert_close(got.dense(), wanted.dense(), atol=0.01, rtol=0)


def test_double_precision_is_kept() -> None:
    assert run(blocks(torch.Tensor.double))[0].dense().dtype == torch.float64


def test_features_carry_no_gradients() -> None:
    weight = torch.ones(1, requires_grad=True)

    def learned(block: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            return block * weight

    assert not any(block.requires_grad for block in run(blocks(learned))[0].blocks)


def sparse(block: torch.Tensor) -> torch.Tensor:
    return block.to_sparse()


def ragged(block: torch.Tensor) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.nested.nested_tensor(list(block))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (blocks(torch.Tensor.int), "a block is torch.int32, wanted floating-point"),
        (blocks(torch.Tensor.bool), "a block is torch.bool, wanted floating-point"),
        (blocks(lambda block: block.to(torch.complex64)), "a block is torch.complex64"),
        (blocks(lambda block: block.to(torch.float8_e5m2)), "a block is torch.float8_e5m2"),
        (blocks(torch.Tensor.numpy), "a block is a ndarray, wanted a torch.Tensor"),
        (second_block(torch.Tensor.tolist), "a block is a list, wanted a torch.Tensor"),
        (blocks(sparse), "a block is a torch.sparse_coo tensor"),
        (blocks(ragged), "a block is a nested tensor"),
        (blocks(lambda block: block.to("meta")), "a block is a meta tensor"),
        (blocks(lambda block: block[:, :0]), r"a block has shape \(1, 0, 4, 4\)"),
        (blocks(lambda block: block[:, 0, 0, 0]), r"a block has shape \(1,\), wanted \(1 or 1, features…\)"),
        (second_block(lambda block: block[:, :2]), r"shape \(1, 2, 4, 4\), wanted \(1 or 1, 3, 4, 4\)"),
        (second_block(lambda block: block[:3]), r"shape \(3, 3, 4, 4\), wanted \(4 or 1, 3, 4, 4\)"),
        (second_block(lambda block: block * 1e30), r"features reach .*e\+29 from step 1 on"),
        (second_block(lambda block: block * float("inf")), r"not finite \(NaN or infinite\) from step 1 on"),
        (second_block(lambda block: block * float("nan")), r"not finite \(NaN or infinite\) from step 1 on"),
        (Changed(lambda answer: list(answer)), "must return a dict with a Trajectory for it, got list"),
        (Changed(lambda answer: {}), "must return a dict with a Trajectory for it, got dict"),
        (Changed(lambda answer: {**answer, "large": 0}), r"asked for layers \['small'\] and returned"),
        (
            Changed(lambda answer: {"small": answer["small"].average([[k] for k in range(9)])}),
            "9 steps, wanted 25",
        ),
    ],
)
def test_answers_of_another_type_or_shape_are_refused(model, message) -> None:
    with pytest.raises(ContractError, match=message) as error:
        run(model)
    assert str(error.value).startswith("model 'tiny'")
    assert "\n" not in str(error.value)


def test_an_index_may_be_an_array() -> None:
    def with_array(answer: dict[str, Trajectory]) -> dict[str, Trajectory]:
        index: Any = np.array(answer["small"].index)
        return {"small": Trajectory(answer["small"].blocks, index)}

    assert run(Changed(with_array))[0].index == run(TinyModel())[0].index


def raising(error: BaseException) -> Changed:
    def fail(answer: Any) -> Any:
        raise error

    return Changed(fail)


def in_torch(answer: dict[str, Trajectory]) -> Any:
    return torch.nn.Linear(3, 3)(answer["small"].blocks[0])  # the line that the error must name


@pytest.mark.parametrize(
    ("model", "wanted", "message"),
    [
        (Changed(lambda answer: 1 / 0), PluginError, "ZeroDivisionError: division by zero"),
        (raising(ValueError("bad\nthing")), PluginError, "ValueError: bad thing"),
        (raising(ValueError("bad \udcff")), PluginError, r"ValueError: bad \\udcff"),
        (raising(SystemExit(3)), PluginError, "SystemExit: 3"),
        (raising(StopIteration()), PluginError, r"StopIteration"),
        (raising(KeyError("x")), PluginError, "KeyError: 'x'"),
        (Changed(in_torch), PluginError, rf"RuntimeError.*, line {in_torch.__code__.co_firstlineno + 1}\)$"),
        (raising(MemoryError()), ResourceError, "memory ran out: an allocation failed; lower --batch-size"),
        (
            raising(RuntimeError("DefaultCPUAllocator: not enough memory: you tried")),
            ResourceError,
            "memory ran out: DefaultCPUAllocator.*; lower --batch-size",
        ),
        (raising(torch.OutOfMemoryError("CUDA")), ResourceError, "the GPU's memory.* lower --batch-size"),
    ],
)
def test_errors_of_user_code_become_one_line(model, wanted, message) -> None:
    with pytest.raises(BrainfitError, match=message) as error:
        run(model)
    text = str(error.value)
    assert type(error.value) is wanted
    assert text.startswith("model 'tiny', layer 'small': unroll failed: ")
    assert text.isprintable()
    assert wanted is ResourceError or "test_extraction.py, line " in text


@pytest.mark.parametrize("error", [UnknownNameError("none"), KeyboardInterrupt()])
def test_our_own_errors_and_interrupts_pass_through(error) -> None:
    with pytest.raises(type(error)) as caught:
        run(raising(error))
    assert caught.value is error


class Remembers(TinyModel):
    seen = 0

    def unroll(self, images, presentation, layers):
        self.seen += 1
        return super().unroll((images + 0.1 * self.seen), presentation, layers)


class Random(TinyModel):
    def unroll(self, images, presentation, layers):
        return super().unroll(images + 0.1 * torch.rand(()), presentation, layers)


class BatchNorm(TinyModel):
    def unroll(self, images, presentation, layers):
        return super().unroll(images - images.mean(dim=0), presentation, layers)


@pytest.mark.parametrize("kind", [Remembers, Random, BatchNorm])
def test_features_that_depend_on_other_images_are_refused(kind) -> None:
    with pytest.raises(ContractError, match="depend on the other images of its batch, change from call"):
        run(kind())


class Counting(TinyModel):
    """A model that overwrites its input and its previous answer."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[int] = []
        self.memory = torch.zeros(6, 3, 4, 4)

    def unroll(self, images, presentation, layers):
        self.shown.append(len(images))
        first, image, gray = super().unroll(images, presentation, layers)["small"].blocks
        images.zero_()
        memory = self.memory[: len(image)].copy_(image)
        index = [0] + [1] * 10 + [2] * 14
        return {"small": Trajectory((first, memory, gray), tuple(index))}


def test_one_image_of_the_first_batch_is_computed_again() -> None:
    model: Any = Counting()
    run(model)
    assert model.shown == [1, 4, 2]


def test_rows_are_those_of_the_requested_images() -> None:
    (whole,) = run(TinyModel(), batch_size=6)
    some = select_rows(whole, np.array([1, 4]))
    torch.testing.assert_close(some.dense(), whole.dense()[[1, 4]])
    assert len(some.blocks[0]) == 1  # a block shared by all images stays one row
    assert select_rows(whole, np.arange(6)).blocks[1] is whole.blocks[1]


def test_pixels_become_float_images_of_the_model_size() -> None:
    same = to_model_input(IMAGES, 16)
    torch.testing.assert_close(same, torch.from_numpy(IMAGES / 255).permute(0, 3, 1, 2).float())
    assert to_model_input(IMAGES, 8).shape == (6, 3, 8, 8)
    assert to_model_input(IMAGES[:, :8], 16).shape == (6, 3, 16, 16)
    assert to_model_input(np.full((1, 100, 100, 3), 255, np.uint8), 37).max() == 1


@pytest.mark.parametrize("dtype", [">f8", ">f4", "<f4", "f2", np.longdouble])
def test_pixels_of_any_float_type_are_accepted(dtype) -> None:
    pixels = (IMAGES / 255).astype(dtype)
    kept = pixels.copy()
    torch.testing.assert_close(to_model_input(pixels, 16), to_model_input(IMAGES, 16), atol=1e-3, rtol=0)
    np.testing.assert_array_equal(pixels, kept)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (IMAGES.astype(float), r"pixels from 0 to 255; wanted \[0, 1\].*divide 8-bit"),
        (IMAGES / 255 - 0.5, r"pixels from -0.5 to 0.5; wanted \[0, 1\]"),
        (np.where(IMAGES > 250, np.nan, IMAGES / 255), "pixels from nan to nan"),
        (IMAGES.astype(np.uint16), "images are uint16; wanted uint8"),
        (IMAGES > 9, "images are bool; wanted uint8"),
        (IMAGES[:, :0], r"shape \(6, 0, 16, 3\)"),
        (IMAGES[:0], r"shape \(0, 16, 16, 3\)"),
        (IMAGES[..., :1], r"shape \(6, 16, 16, 1\).*wanted \(image, height, width, 3\)"),
    ],
)
def test_pixels_of_other_types_are_refused(pixels, message) -> None:
    with pytest.raises(ContractError, match=message):
        to_model_input(pixels, 16)


def test_impossible_image_sizes_are_refused() -> None:
    with pytest.raises(ContractError, match="to be shown at 0 px"):
        to_model_input(IMAGES, 0)
    with pytest.raises(
        ResourceError, match=r"images at the model's size.*lower the batch size or the model's"
    ):
        to_model_input(IMAGES, 99999999)


def test_memory_is_pinned_for_a_gpu_only(monkeypatch) -> None:
    done: list[tuple[str, dict[str, Any]]] = []
    pinned = torch.zeros(1)

    def pin_memory(images: torch.Tensor) -> torch.Tensor:
        done.append(("pin", {}))
        return pinned

    to = torch.Tensor.to

    def copy(images: torch.Tensor, device: str, **options: Any) -> torch.Tensor:
        if device == "cpu":
            return to(images, device)
        assert images is pinned
        done.append((device, options))
        return images

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin_memory)
    images = torch.rand(2, 3, 4, 4)
    assert _on_device(images, "cpu") is images
    assert extract(TinyModel(), ["small"], IMAGES, Presentation())
    assert done == []
    monkeypatch.setattr(torch.Tensor, "to", copy)
    for device in ("cuda", "cuda:1"):
        done.clear()
        assert _on_device(images, device) is pinned
        assert done == [("pin", {}), (device, {"non_blocking": True})]


def test_a_gpu_out_of_memory_is_one_line() -> None:
    said = (
        "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 8.00 GiB.\n"
        "Of the allocated memory 1.00 GiB is allocated by PyTorch."
    )
    with pytest.raises(ResourceError, match=r"20\.00 GiB more could not be had; lower --batch-size") as error:
        extract(raising(torch.OutOfMemoryError(said)), ["small"], IMAGES, Presentation())
    assert str(error.value).isprintable()
