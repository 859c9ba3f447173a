"""The contract of a model as a function: run it on a model of your own before you score it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import torch

from brainfit.errors import ContractError
from brainfit.presentation import Presentation
from brainfit.protocols import Model
from brainfit.recording import REGIONS
from brainfit.trajectory import Trajectory

# Largest differences, in units of a layer's largest activity, that float32 may make: on other batches
# or after other work was skipped; and when the very same is asked again.
_CLOSE = 1e-4
_EQUAL = 1e-6
_ON = 12  # steps of image: enough for the signal to reach the deepest layer of the zoo

_ATTRIBUTES = {
    "name": str,
    "layers": Sequence,
    "region_layers": Mapping,
    "image_size": int,
    "step_ms": int,
    "weights": str,
}


@dataclass(frozen=True)
class LayerCheck:
    """What was seen of one layer.

    Attributes
    ----------
    layer
        Its name.
    feature_shape
        Shape of one image's activities at one step.
    distinct_blocks, n_steps
        How many steps were different from each other, of how many.
    """

    layer: str
    feature_shape: tuple[int, ...]
    distinct_blocks: int
    n_steps: int


@dataclass(frozen=True)
class ModelCheck:
    """A model that has met the contract, and its layers from the input up."""

    model: str
    layers: tuple[LayerCheck, ...]


def check_model(model: Model, n_images: int = 4, seed: int = 0) -> ModelCheck:
    """Raise unless `model` does what the rest of brainfit relies on.

    It is shown a few random images for 12 steps, then gray for 6, several times over: the answers must have
    the promised form, be finite and the same each time, be those of each image by itself, and depend on
    nothing that is shown later.

    Parameters
    ----------
    model
        Anything with the attributes and the method of `brainfit.protocols.Model`.
    n_images
        How many images, 2 or more.
    seed
        Of the random images.

    Raises
    ------
    ContractError
        At the first thing that is wrong, in one line.
    """
    if n_images < 2:
        raise ContractError(f"check_model needs n_images of 2 or more to compare, got {n_images}")
    _check_attributes(model)
    layers = list(model.layers)
    size = model.image_size
    images = torch.rand(n_images, 3, size, size, generator=torch.Generator().manual_seed(seed))
    step = model.step_ms
    shown = Presentation(on_ms=_ON * step, off_ms=6 * step, step_ms=step)
    longer = Presentation(on_ms=(_ON + 3) * step, off_ms=3 * step, step_ms=step)
    shorter = Presentation(on_ms=_ON * step, off_ms=0, step_ms=step)

    _check_refusal(model, images, shown)
    # The same random numbers each time tell a random model from one that remembers.
    answer = _unroll(model, images, shown, layers, seed)
    _check_form(model, answer, n_images, shown)
    _unroll(model, 1 - images, shown, layers, seed)
    for layer, again in _unroll(model, images, shown, layers, seed).items():
        if not _same(answer[layer], again, _EQUAL):
            _fail(model, layer, "answers differently when asked again; no state may stay from call to call")
    for layer, again in _unroll(model, images, shown, layers, seed + 1).items():
        if not _same(answer[layer], again, _EQUAL):
            _fail(model, layer, "answers at random; fix its noise, or use evaluation mode")
    for layer, alone in _unroll(model, images[-1:], shown, layers, seed).items():
        if not _same(_image(answer[layer], -1), _image(alone, 0), _CLOSE):
            _fail(model, layer, "answers to an image depend on the other images of the batch")
    for other in (longer, shorter):
        for layer, later in _unroll(model, images, other, layers, seed).items():
            if not _same(answer[layer], later, _CLOSE, steps=_ON):
                _fail(model, layer, "answers depend on what is shown later, or for how long")
    layer = layers[len(layers) // 2]
    if not _same(answer[layer], _unroll(model, images, shown, [layer], seed)[layer], _CLOSE):
        _fail(model, layer, "answers differently when it is asked for alone")
    return ModelCheck(
        model.name,
        tuple(
            LayerCheck(layer, tuple(seen.blocks[0].shape[1:]), len(seen.blocks), seen.n_steps)
            for layer, seen in answer.items()
        ),
    )


def _check_attributes(model: Model) -> None:
    kind = type(model).__name__
    for attribute, wanted in _ATTRIBUTES.items():
        value = getattr(model, attribute, None)
        if not isinstance(value, wanted) or (wanted is Sequence and isinstance(value, str)):
            raise ContractError(
                f"model {kind} has {attribute}={value!r}, wanted a {wanted.__name__}; "
                "see brainfit.protocols.Model"
            )
    if not callable(getattr(model, "unroll", None)):
        raise ContractError(f"model {kind} has no method unroll(images, presentation, layers)")
    layers = list(model.layers)
    if not layers or len(set(layers)) < len(layers) or not all(isinstance(layer, str) for layer in layers):
        raise ContractError(f"model {model.name!r} has layers {layers}, wanted one or more different names")
    if model.image_size <= 0 or model.step_ms <= 0:
        raise ContractError(
            f"model {model.name!r} has image_size={model.image_size} and step_ms={model.step_ms}, "
            "wanted both above 0"
        )
    for region, layer in model.region_layers.items():
        if region not in (*REGIONS, "IT") or layer not in layers:
            raise ContractError(
                f"model {model.name!r} gives layer {layer!r} to region {region!r}; "
                f"regions are {', '.join(REGIONS)} and IT, its layers {', '.join(layers)}"
            )


def _check_refusal(model: Model, images: torch.Tensor, presentation: Presentation) -> None:
    try:
        model.unroll(images, presentation, ["no such layer"])
    except LookupError:
        return
    raise ContractError(f"model {model.name!r} accepts the layer 'no such layer'; wanted an UnknownNameError")


def _unroll(
    model: Model, images: torch.Tensor, presentation: Presentation, layers: list[str], seed: int
) -> Mapping[str, Trajectory]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        answer = model.unroll(images, presentation, layers)
    if not isinstance(answer, Mapping) or set(answer) != set(layers):
        got = list(answer) if isinstance(answer, Mapping) else type(answer).__name__
        raise ContractError(f"model {model.name!r} was asked for layers {layers} and returned {got}")
    for layer, seen in answer.items():
        if not isinstance(seen, Trajectory):
            _fail(model, layer, f"returns a {type(seen).__name__}, wanted a Trajectory")
        if seen.n_steps != presentation.n_steps:
            _fail(model, layer, f"returns {seen.n_steps} steps, wanted {presentation.n_steps}")
    return answer


def _check_form(
    model: Model, answer: Mapping[str, Trajectory], n_images: int, presentation: Presentation
) -> None:
    for layer, seen in answer.items():
        shapes = [tuple(block.shape) for block in seen.blocks]
        if len({shape[1:] for shape in shapes}) > 1 or not {shape[0] for shape in shapes} <= {1, n_images}:
            got = ", ".join(map(str, sorted(set(shapes))))
            _fail(model, layer, f"returns blocks of {got}; wanted ({n_images} or 1, *features), all alike")
        if len(shapes[0]) < 2:
            _fail(model, layer, f"returns blocks {shapes[0]}, wanted (image, *features)")
        for step, block in enumerate(seen.blocks[k] for k in seen.index):
            if not block.is_floating_point():
                _fail(model, layer, f"returns {block.dtype}, wanted floating-point numbers")
            if not block.isfinite().all():
                _fail(model, layer, f"is not finite at step {step} of {presentation.n_steps}")


def _image(seen: Trajectory, image: int) -> Trajectory:
    return Trajectory(
        tuple(block[0 if len(block) == 1 else image].unsqueeze(0) for block in seen.blocks), seen.index
    )


def _same(a: Trajectory, b: Trajectory, tolerance: float, steps: int | None = None) -> bool:
    """Whether the first `steps` steps agree, all by default."""
    scale = max(float(block.abs().max()) for block in a.blocks)
    pairs = set(zip(a.index[:steps], b.index[:steps], strict=True))
    return all(float((a.blocks[i] - b.blocks[j]).abs().max()) <= tolerance * scale for i, j in pairs)


def _fail(model: Model, layer: str, what: str) -> NoReturn:
    raise ContractError(f"model {model.name!r}: layer {layer!r} {what}")
