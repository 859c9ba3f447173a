"""The plain feedforward controls: convolutions one upon the other, with nothing recurrent and no shortcut.

    name        channels of conv1, conv2, ...                         2x2 pool after   readout
    ff          64, 128, 256, 256, 512                                all              2x2 conv, mean
    ff_wider    128, 512, 512, 512, 1024                              all              2x2 conv, mean
    ff_deeper   64, 64, 64, 128, 128, 256, 256, 512, 512, 512         1, 4, 6, 7, 10   mean, linear

An ELU follows every convolution. `ff` is the shallow network without cells (`model_zoo.shallow`), `ff_deeper`
has the layers of the intermediate ones (`model_zoo.intermediate`) without cells and without their shortcuts;
with those it is `model_zoo.intermediate.basenet`. An image is on for as many steps as there are layers.

No one published which of their layers fit a region best: those here are the layers of the same depth in
the recurrent networks.

References
----------
.. [1] Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
   NeurIPS. arXiv:1807.00053, Fig. 2b and supplement 6.2.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from brainfit.presentation import Presentation

from . import intermediate, shallow
from .graph import GraphModel
from .layers import ConvReadout, MeanReadout
from .stack import Stack
from .weights import choose_image_size, set_weights

WIDER = {"conv1": 128, "conv2": 512, "conv3": 512, "conv4": 512, "conv5": 1024}


def ff(
    image_size: int | None = None,
    seed: int = 0,
    weights: str = "random",
    *,
    n_classes: int = 1000,
    channel_divisor: int = 1,
) -> GraphModel:
    """Build the shallow network without cells; parameters as for `model_zoo.shallow.shallow_convrnn`.

    Examples
    --------
    >>> model = ff(channel_divisor=16)
    >>> model.layers[-2:], model.presentation.n_steps
    (('conv5', 'imnetds'), 6)
    """
    stack = _convolutions(
        choose_image_size(image_size, weights, shallow.SMALLEST),
        shallow.CHANNELS,
        shallow.CHANNELS,
        channel_divisor,
    )
    stack.read_out(ConvReadout, n_classes)
    return _model(stack, "ff", shallow.REGION_LAYERS, seed, weights)


def ff_wider(
    image_size: int | None = None,
    seed: int = 0,
    weights: str = "random",
    *,
    n_classes: int = 1000,
    channel_divisor: int = 1,
) -> GraphModel:
    """Build `ff` with more channels; parameters as there."""
    stack = _convolutions(
        choose_image_size(image_size, weights, shallow.SMALLEST), WIDER, WIDER, channel_divisor
    )
    stack.read_out(ConvReadout, n_classes)
    return _model(stack, "ff_wider", shallow.REGION_LAYERS, seed, weights)


def ff_deeper(
    image_size: int | None = None,
    seed: int = 0,
    weights: str = "random",
    *,
    n_classes: int = 1000,
    channel_divisor: int = 1,
) -> GraphModel:
    """Build the one of ten layers; parameters as for `ff`, but images of 32 pixels or more."""
    stack = _convolutions(
        choose_image_size(image_size, weights, intermediate.SMALLEST),
        intermediate.CHANNELS,
        intermediate.POOLED,
        channel_divisor,
    )
    stack.read_out(MeanReadout, n_classes)
    return _model(stack, "ff_deeper", intermediate.REGION_LAYERS, seed, weights)


def _convolutions(
    image_size: int, channels: Mapping[str, int], pooled: Collection[str], channel_divisor: int
) -> Stack:
    stack = Stack(image_size)
    for layer, full in channels.items():
        stack.add(stack.place(layer, full // channel_divisor), elu=True, pool=layer in pooled)
    return stack


def _model(stack: Stack, name: str, region_layers: Mapping[str, str], seed: int, weights: str) -> GraphModel:
    model = GraphModel(
        stack.nodes,
        stack.edges,
        name=name,
        image_size=stack.image_size,
        region_layers=region_layers,
        presentation=Presentation(on_ms=10 * len(stack.nodes), off_ms=0),
    )
    model.weights = set_weights(model, weights, seed)
    return model
