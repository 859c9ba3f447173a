"""Small networks for images of 64 pixels and 64 classes, which a laptop can train.

    name                         layers of       cells  steps  parameters
    median_convrnn_mini          median_convrnn  yes    17     266,472
    median_convrnn_minimal_mini  median_convrnn  yes    12     266,472
    basenet_mini                 basenet         no     11     254,016
    ff_mini                      median_convrnn  no     11      92,032
    ff_wide_mini                 median_convrnn  no     11     266,029

They have an eighth of the channels of those networks, and one pool less (none after conv7), so that the
layers that answer for a region have maps of 4 x 4 or more at 64 pixels. `ff_wide_mini` is as much wider than
`ff_mini` as gives it the parameters of `median_convrnn_mini`: these two differ in recurrence, and not in
size. ``median_convrnn_minimal_mini`` is `median_convrnn_mini` for the least steps in which every parameter
is used; no feedback reaches its last step. The readout begins small, so that a training starts at a
cross-entropy of ln(classes).

Their default weights (``weights="trained"``) come with brainfit. `examples/train_minis.py` trained them, and
the card beside each file states the recipe and the accuracy. The minimally unrolled network never learned to
stay bounded after its 12 steps: later its activity grows until float32 rounding decides it, and a score of a
whole response of 250 ms is refused.

References
----------
.. [1] Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
   NeurIPS. arXiv:1807.00053, Fig. 2b and 4c: the comparisons that these networks repeat at a small scale.
"""

from __future__ import annotations

from collections.abc import Mapping

from brainfit.contracts.presentation import Presentation
from brainfit.errors import ContractError

from ..engine.graph import GraphModel
from ..weights.load import TRAINED, trained_weights
from . import intermediate, median_convrnn
from .stack import Stack

IMAGE_SIZE = 64
N_CLASSES = 64
SMALLEST = 32
CHANNEL_DIVISOR = 8
POOLED = ("conv1", "conv4", "conv6", "conv10")
READOUT_GAIN = 0.01
WIDE = {layer: 8 * round(1.725 * channels / 8) for layer, channels in median_convrnn.CHANNELS.items()}
"""Channels of `ff_wide_mini`, before they are divided."""


def median_convrnn_mini(
    image_size: int | None = IMAGE_SIZE,
    seed: int = 0,
    weights: str = TRAINED,
    *,
    name: str = "median_convrnn_mini",
    on_ms: int = 120,
    off_ms: int = 50,
    n_classes: int = N_CLASSES,
) -> GraphModel:
    """Build the small median ConvRNN.

    Parameters are as for `model_zoo.networks.median_convrnn.median_convrnn`. The default `weights` were
    trained on rendered objects; ``"random"`` draws them from `seed`, ``"random:<seed>"`` from that seed.

    Examples
    --------
    >>> model = median_convrnn_mini()
    >>> model.nodes["conv6"].out_shape, model.nodes["conv8"].out_shape
    ((32, 4, 4), (32, 4, 4))
    """
    return median_convrnn.ten_layers(
        _stack(image_size, weights, name, n_classes),
        median_convrnn.median_cell(CHANNEL_DIVISOR),
        median_convrnn.FEEDBACK,
        seed,
        name=name,
        presentation=Presentation(on_ms, off_ms),
        n_classes=n_classes,
        channel_divisor=CHANNEL_DIVISOR,
        pooled=POOLED,
    )


def basenet_mini(
    image_size: int | None = IMAGE_SIZE,
    seed: int = 0,
    weights: str = TRAINED,
    *,
    n_classes: int = N_CLASSES,
) -> GraphModel:
    """Build the small base net, with shortcuts and without cells; parameters as for `median_convrnn_mini`."""
    return intermediate.residual_layers(
        _stack(image_size, weights, "basenet_mini", n_classes),
        None,
        seed,
        "basenet_mini",
        Presentation(on_ms=110, off_ms=0),
        n_classes,
        CHANNEL_DIVISOR,
        pooled=POOLED,
    )


def ff_mini(
    image_size: int | None = IMAGE_SIZE,
    seed: int = 0,
    weights: str = TRAINED,
    *,
    n_classes: int = N_CLASSES,
) -> GraphModel:
    """Build the layers of `median_convrnn_mini` without cells; parameters as there."""
    stack = _stack(image_size, weights, "ff_mini", n_classes)
    return _feedforward(stack, median_convrnn.CHANNELS, seed, "ff_mini", n_classes)


def ff_wide_mini(
    image_size: int | None = IMAGE_SIZE,
    seed: int = 0,
    weights: str = TRAINED,
    *,
    n_classes: int = N_CLASSES,
) -> GraphModel:
    """Build `ff_mini` with as many parameters as `median_convrnn_mini` has; parameters as there."""
    stack = _stack(image_size, weights, "ff_wide_mini", n_classes)
    return _feedforward(stack, WIDE, seed, "ff_wide_mini", n_classes)


def _stack(image_size: int | None, weights: str, name: str, n_classes: int) -> Stack:
    """Return an empty stack; ``"trained"`` weights are those that come with brainfit for that name."""
    if weights == TRAINED and n_classes != N_CLASSES:
        raise ContractError(
            f"the trained weights of {name!r} name {N_CLASSES} classes, got n_classes={n_classes}; "
            "give weights='random', or those of a training of your own"
        )
    chosen = trained_weights(name) if weights == TRAINED else weights
    return Stack(image_size, chosen, SMALLEST, readout_gain=READOUT_GAIN)


def _feedforward(
    stack: Stack, channels: Mapping[str, int], seed: int, name: str, n_classes: int
) -> GraphModel:
    return median_convrnn.ten_layers(
        stack,
        None,
        {},
        seed,
        name=name,
        presentation=Presentation(on_ms=110, off_ms=0),
        n_classes=n_classes,
        channel_divisor=CHANNEL_DIVISOR,
        channels=channels,
        pooled=POOLED,
    )
