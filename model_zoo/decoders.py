"""Decoders: reduce the logits of all steps to one answer for each image.

    last            logits of the last step
    max_confidence  logits of the step with the highest confidence
    threshold       logits of the first step whose confidence reaches a threshold; if no step does, those of
                    `max_confidence`

Confidence is ``softmax(beta * logits)``, the largest over classes.

References
----------
.. [1] Nayebi et al. (2022), Recurrent connections in the primate ventral visual stream mediate a
   trade-off between task performance and network size during core object recognition. Neural
   Computation. doi:10.1162/neco_a_01506. As in the authors' code (github.com/neuroailab/convrnns).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from brainfit.errors import ContractError
from brainfit.support.arguments import number

from .engine.graph import GraphModel


class Decoded(NamedTuple):
    """One answer for each image.

    Attributes
    ----------
    logits
        Shape (image, class).
    step
        The step that they are from: (image,), counted from the first that was given.
    """

    logits: Tensor
    step: Tensor


Decoder = Callable[[Tensor], Decoded]


def last(logits: Tensor) -> Decoded:
    """Return the answer of the last step; `logits` are as for `max_confidence`."""
    _check(logits)
    return _at(logits, torch.full((logits.shape[1],), len(logits) - 1, device=logits.device))


def max_confidence(logits: Tensor, beta: float = 1.0) -> Decoded:
    """Return the answer of the step at which the most probable class is most probable; the first of several.

    Parameters
    ----------
    logits
        Finite numbers, (time, image, class), with at least one step.
    beta
        Factor of the logits; networks that are trained with this decoder learn it, and it may be negative.

    Raises
    ------
    ContractError
        If the logits have another shape or are not finite, before or after beta, or beta is not.
    """
    return _at(logits, _confidence(logits, beta).argmax(0))


def threshold(logits: Tensor, threshold: float = 0.9, beta: float = 1.0) -> Decoded:
    """Return the answer of the first step at which a class is as probable as `threshold`.

    Parameters
    ----------
    logits, beta
        As for `max_confidence`, which decides where no step is certain enough.
    threshold
        A probability, in [0, 1].

    Raises
    ------
    ContractError
        As `max_confidence`, and if the threshold is out of range.
    """
    confidence = _confidence(logits, beta)
    enough = confidence >= number("threshold", threshold, 0, 1)
    return _at(logits, enough.int().argmax(0).where(enough.any(0), confidence.argmax(0)))


def classify(model: GraphModel, images: Tensor, decoder: Decoder = last) -> Decoded:
    """Let `model` name what is in `images`, shown as they were when it was trained.

    The authors decode the last layer from the step after the image has reached it; a presentation that ends
    before leaves its last step. Settings that were trained with the weights are not looked up: converted
    weights have them in their header, so give
    ``decoder=functools.partial(threshold, **model_zoo.weights.file.read_info(path).decoder)``.

    Parameters
    ----------
    model
        One that is built of nodes, and knows the presentation that it was trained under.
    images
        Pixels in [0, 1], shape (image, 3, image_size, image_size).
    decoder
        A function of this file, or one of the kind.

    Returns
    -------
    Decoded
        Its steps are those of ``model.presentation``.

    Raises
    ------
    ContractError
        If the model is of another kind, the decoder is no function, or the images do not fit.

    Examples
    --------
    >>> import torch
    >>> from model_zoo.networks.feedforward import ff
    >>> classify(ff(image_size=65, channel_divisor=32), torch.zeros(2, 3, 65, 65)).step
    tensor([5, 5])
    """
    if not isinstance(model, GraphModel):
        raise ContractError(
            f"classify takes a GraphModel, which knows how it was shown images, got {type(model).__name__}; "
            "unroll it and give the logits to a decoder"
        )
    if not callable(decoder):
        raise ContractError(
            f"decoder is a function of logits, got {type(decoder).__name__}; "
            "write functools.partial(threshold, threshold=0.9) to give it settings"
        )
    readout = model.layers[-1]
    seen = model.unroll(images, model.presentation, [readout])[readout]
    start = min(len(model.layers), seen.n_steps - 1)
    logits = seen.stacked(len(images))[:, list(seen.index[start:])].movedim(1, 0)
    decoded = decoder(logits)
    return Decoded(decoded.logits, decoded.step + start)


def _confidence(logits: Tensor, beta: float) -> Tensor:
    """Return (time, image): how probable the most probable class is."""
    scaled = number("beta", beta, -1e300, 1e300) * logits
    _check(scaled)
    return scaled.softmax(-1).amax(-1)


def _at(logits: Tensor, step: Tensor) -> Decoded:
    images = range(logits.shape[1])
    return Decoded(logits[step, list(images)], step)


def _check(logits: Tensor) -> None:
    if logits.ndim != 3 or not logits.numel():
        raise ContractError(
            f"a decoder takes logits of shape (time, image, class), none of them 0, got {tuple(logits.shape)}"
        )
    if not logits.isfinite().all():
        raise ContractError("a decoder takes finite logits, beta times them too, got some NaN or infinite")
