"""The plain feedforward controls: stacks of convolutions without recurrence or shortcuts.

    name        channels of conv1, conv2, ...                         2x2 pool after   readout
    ff          64, 128, 256, 256, 512                                all              2x2 conv, mean
    ff_wider    128, 512, 512, 512, 1024                              all              2x2 conv, mean
    ff_deeper   64, 64, 64, 128, 128, 256, 256, 512, 512, 512         1, 4, 6, 7, 10   mean, linear

An ELU follows every convolution. `ff` is the shallow network (`model_zoo.networks.shallow`) without cells;
`ff_deeper` is the intermediate one (`model_zoo.networks.intermediate`) without cells and shortcuts, where
`basenet` keeps the shortcuts. An image is on for as many steps as there are layers.

No publication says which of their layers fit a region best: those here have the same depth in the
recurrent networks.

References
----------
.. [1] Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
   NeurIPS. arXiv:1807.00053, Fig. 2b and supplement 6.2.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from brainfit.contracts.presentation import Presentation

from ..engine.graph import GraphModel
from ..engine.layers import ConvReadout, MeanReadout
from . import intermediate, shallow
from .stack import Stack, divide_channels

WIDER = {"conv1": 128, "conv2": 512, "conv3": 512, "conv4": 512, "conv5": 1024}


def ff(
    image_size: int | None = None,
    seed: int = 0,
    weights: str = "random",
    *,
    n_classes: int = 1000,
    channel_divisor: int = 1,
    readout_gain: float = 1.0,
) -> GraphModel:
    """Build the shallow network without cells.

    Parameters are those of `model_zoo.networks.shallow.shallow_convrnn`.

    Examples
    --------
    >>> model = ff(channel_divisor=16)
    >>> model.layers[-2:], model.presentation.n_steps
    (('conv5', 'readout'), 6)
    """
    stack = _convolutions(
        Stack(image_size, weights, shallow.SMALLEST, readout_gain=readout_gain),
        shallow.CHANNELS,
        shallow.CHANNELS,
        channel_divisor,
    )
    return _finish(stack, ConvReadout, n_classes, "ff", shallow.REGION_LAYERS, seed)


def ff_wider(
    image_size: int | None = None,
    seed: int = 0,
    weights: str = "random",
    *,
    n_classes: int = 1000,
    channel_divisor: int = 1,
    readout_gain: float = 1.0,
) -> GraphModel:
    """Build `ff` with more channels; parameters as there."""
    stack = _convolutions(
        Stack(image_size, weights, shallow.SMALLEST, readout_gain=readout_gain), WIDER, WIDER, channel_divisor
    )
    return _finish(stack, ConvReadout, n_classes, "ff_wider", shallow.REGION_LAYERS, seed)


def ff_deeper(
    image_size: int | None = None,
    seed: int = 0,
    weights: str = "random",
    *,
    n_classes: int = 1000,
    channel_divisor: int = 1,
    readout_gain: float = 1.0,
) -> GraphModel:
    """Build the network of ten layers; parameters as for `ff`, but images of 32 pixels or more."""
    stack = _convolutions(
        Stack(image_size, weights, intermediate.SMALLEST, readout_gain=readout_gain),
        intermediate.CHANNELS,
        intermediate.POOLED,
        channel_divisor,
    )
    return _finish(stack, MeanReadout, n_classes, "ff_deeper", intermediate.REGION_LAYERS, seed)


def _convolutions(
    stack: Stack, channels: Mapping[str, int], pooled: Collection[str], channel_divisor: int
) -> Stack:
    for layer, full in channels.items():
        context = stack.context(layer, divide_channels(full, channel_divisor))
        stack.add(context, elu=True, pool=layer in pooled)
    return stack


def _finish(
    stack: Stack,
    readout: type[MeanReadout | ConvReadout],
    n_classes: int,
    name: str,
    region_layers: Mapping[str, str],
    seed: int,
) -> GraphModel:
    """Add the readout; in training an image stays on until it has reached the last layer."""
    shown = Presentation(on_ms=10 * (len(stack.nodes) + 1), off_ms=0)
    return stack.finish(
        readout, n_classes, name=name, seed=seed, region_layers=region_layers, presentation=shown
    )
