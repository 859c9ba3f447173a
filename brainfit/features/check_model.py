"""The contract of a model as a function, to run on a model of your own before scoring it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import torch

from brainfit.contracts.model import Model, check_attributes, holds_image
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import BrainfitError, ContractError, ResourceError
from brainfit.features.model_contract import image_of, same, unroll
from brainfit.support.foreign_errors import foreign_code
from brainfit.support.memory import check_memory

_EQUAL = 1e-6  # largest difference, in units of a layer's largest activity, if the very same is asked again
# Steps of image: a prime, so that frames that a model takes in twos or fours straddle its end.
_ON = 13
_ALL = 18  # steps of the whole: enough for the signal to reach the deepest layer of the zoo


@dataclass(frozen=True)
class LayerCheck:
    """Observed properties of one layer.

    Attributes
    ----------
    layer
        Name of the layer.
    feature_shape
        Shape of one image's activities at one step.
    distinct_blocks, n_steps
        Number of distinct steps, and of all steps.
    """

    layer: str
    feature_shape: tuple[int, ...]
    distinct_blocks: int
    n_steps: int


@dataclass(frozen=True)
class ModelCheck:
    """A model that keeps the contract, and its layers from the input up."""

    model: str
    layers: tuple[LayerCheck, ...]


def check_model(model: Model, n_images: int = 4, seed: int = 0) -> ModelCheck:
    """Check that `model` keeps the contract that the rest of brainfit relies on.

    The model sees a few random images for 13 steps, then gray for 5, several times. Its answers must have the
    right form, be finite and the same each time, and must not depend on the other images of the batch, nor
    on later frames or their duration.

    Parameters
    ----------
    model
        An object with the attributes and the method of `brainfit.contracts.model.Model`. A model with
        ``holds_image=True`` sees the image for all 18 steps.
    n_images
        Number of images, 2 or more.
    seed
        Seed of the random images.

    Raises
    ------
    ContractError
        At the first violation, in one line.
    PluginError, ResourceError
        If the model's code fails, or runs out of memory.
    """
    if n_images < 2:
        raise ContractError(f"check_model needs n_images of 2 or more to compare, got {n_images}")
    check_attributes(model)
    layers = list(model.layers)
    size = model.image_size
    check_memory({"random images": 4.0 * n_images * 3 * size * size}, "lower the model's image_size")
    images = torch.rand(n_images, 3, size, size, generator=torch.Generator().manual_seed(seed))
    step = model.step_ms
    held = holds_image(model)
    shown = _presentation(_ALL if held else _ON, _ALL, step)
    longer = _presentation(_ALL if held else _ON + 3, _ALL, step)
    shorter = _presentation(_ON, _ON, step)

    # The same random numbers each time tell a random model from one that remembers.
    answer = _unroll(model, images, shown, layers, seed)
    _check_refusal(model, images, shown)
    _unroll(model, 1 - images, shown, layers, seed)
    for layer, again in _unroll(model, images, shown, layers, seed).items():
        if not same(answer[layer], again, _EQUAL):
            _fail(model, layer, "answers differently when asked again; no state may stay from call to call")
    for layer, again in _unroll(model, images, shown, layers, seed + 1).items():
        if not same(answer[layer], again, _EQUAL):
            _fail(model, layer, "answers at random; fix its noise, or use evaluation mode")
    for layer, alone in _unroll(model, images[-1:], shown, layers, seed).items():
        if not same(image_of(answer[layer], -1), alone):
            _fail(model, layer, "answers to an image depend on the other images of the batch")
    for other in (longer, shorter):
        for layer, later in _unroll(model, images, other, layers, seed).items():
            if not same(answer[layer], later, steps=_ON):
                _fail(model, layer, "answers depend on what is shown later, or for how long")
    layer = layers[len(layers) // 2]
    if not same(answer[layer], _unroll(model, images, shown, [layer], seed)[layer]):
        _fail(model, layer, "answers differently when it is asked for alone")
    return ModelCheck(
        model.name,
        tuple(
            LayerCheck(layer, tuple(seen.blocks[0].shape[1:]), len(seen.blocks), seen.n_steps)
            for layer, seen in answer.items()
        ),
    )


def _check_refusal(model: Model, images: torch.Tensor, presentation: Presentation) -> None:
    got = "an answer"
    try:
        with foreign_code(f"model {model.name!r}"), torch.no_grad():
            model.unroll(images.clone(), presentation, ["no such layer"])
    except ResourceError:
        raise
    except BrainfitError as error:
        if isinstance(error, LookupError) or isinstance(error.__cause__, LookupError):
            return
        got = str(error)
    raise ContractError(
        f"model {model.name!r} is to refuse the layer 'no such layer' with an UnknownNameError; got {got}"
    )


def _presentation(image: int, steps: int, step_ms: int) -> Presentation:
    return Presentation(on_ms=image * step_ms, off_ms=(steps - image) * step_ms, step_ms=step_ms)


def _unroll(
    model: Model, images: torch.Tensor, presentation: Presentation, layers: list[str], seed: int
) -> dict[str, Trajectory]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        answer = unroll(model, images, presentation, layers)
    # Copied: a model may use the memory of its answer again, and would then agree with whatever it says next.
    return {
        layer: Trajectory(tuple(b.clone() for b in seen.blocks), seen.index) for layer, seen in answer.items()
    }


def _fail(model: Model, layer: str, what: str) -> NoReturn:
    raise ContractError(f"model {model.name!r}, layer {layer!r}: {what}")
