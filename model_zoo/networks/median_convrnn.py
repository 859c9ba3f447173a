"""The median ConvRNN: ten convolutional layers, seven of them recurrent, five long-range feedbacks.

    layer    kernel  channels  cell  pool  feedback from    map (224 px)  output
    conv1    7 / 2         64        2x2                    112           56
    conv2    3            128                               56            56
    conv3    3            128                               56            56
    conv4    3            128  yes   2x2                    56            28
    conv5    3            128  yes         conv8            28            28
    conv6    3            256  yes   2x2   conv7, conv9     28            14
    conv7    3            256  yes   2x2   conv10           14            7
    conv8    3            256  yes                          7             7
    conv9    3            512  yes         conv10           7             7
    conv10   3            512  yes   2x2                    7             4
    readout  mean, then linear to 1000 classes

Called ``rgc_intermediate`` in the authors' repository (github.com/neuroailab/convrnns). It is trained
on ImageNet with one image shown all the time; in a score it sees what the animals saw.

References
----------
.. [1] Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
   NeurIPS. arXiv:1807.00053, Fig. 4 and 5, supplement 6.3 and 6.6.
.. [2] Nayebi et al. (2022), Recurrent connections in the primate ventral visual stream mediate a
   trade-off between task performance and network size during core object recognition. Neural
   Computation. doi:10.1162/neco_a_01506.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from brainfit.contracts.presentation import Presentation

from ..cells.reciprocal_gated_median import ReciprocalGatedMedian
from ..engine.graph import GraphModel
from ..engine.layers import MeanReadout
from ..engine.node import Cell, CellContext, MakeCell
from .stack import Stack, divide_channels

CHANNELS = {
    "conv1": 64,
    "conv2": 128,
    "conv3": 128,
    "conv4": 128,
    "conv5": 128,
    "conv6": 256,
    "conv7": 256,
    "conv8": 256,
    "conv9": 512,
    "conv10": 512,
}
RECURRENT = tuple(CHANNELS)[3:]
POOLED = ("conv1", "conv4", "conv6", "conv7", "conv10")
# For each target its sources, in the authors' order: names sorted as strings.
FEEDBACK = {"conv5": ("conv8",), "conv6": ("conv7", "conv9"), "conv7": ("conv10",), "conv9": ("conv10",)}
SMALLEST = 32  # pixels
CELL_DEPTH = 64
CELL_KERNEL = 7

# The layers that the authors chose for each region, on other images: [1], supplement 6.6.
REGION_LAYERS = {"V4": "conv6", "pIT": "conv7", "cIT": "conv8", "aIT": "conv8", "IT": "conv8"}


def median_convrnn(
    image_size: int | None = None,
    seed: int = 0,
    weights: str = "random",
    *,
    name: str = "median_convrnn",
    feedback: bool = True,
    on_ms: int = 120,
    off_ms: int = 50,
    n_classes: int = 1000,
    channel_divisor: int = 1,
    clip_kernels: bool = False,
    readout_gain: float = 1.0,
) -> GraphModel:
    """Build the median ConvRNN.

    Parameters
    ----------
    image_size
        Height and width of its images in pixels, 32 or more. Default: what the weights were trained on
        (224 for the published ones), or 128 (the size of [1]).
    seed, weights, name, n_classes, channel_divisor, readout_gain
        As for `model_zoo.networks.shallow.shallow_convrnn`.
    feedback
        Include the long-range feedback; the control of [1]_, Fig. 4c, has none.
    on_ms, off_ms
        Duration of the image and of the gray after it in training, in ms.
    clip_kernels
        Make depthwise kernels no larger than the map, as the authors' code does when it *builds* a net for
        small images. The published weights are 7 x 7 at every size.

    Examples
    --------
    >>> model = median_convrnn(channel_divisor=16)
    >>> model.layers[:3], model.region_layers["pIT"], model.weights
    (('conv1', 'conv2', 'conv3'), 'conv7', 'random:0')
    """
    return ten_layers(
        Stack(image_size, weights, SMALLEST, readout_gain=readout_gain),
        median_cell(channel_divisor, clip_kernels=clip_kernels),
        FEEDBACK if feedback else {},
        seed,
        name=name,
        presentation=Presentation(on_ms, off_ms),
        n_classes=n_classes,
        channel_divisor=channel_divisor,
    )


def median_cell(channel_divisor: int, *, clip_kernels: bool = False) -> MakeCell:
    """Return the function that makes the median model's cell, with fewer channels."""

    def make_cell(context: CellContext) -> Cell:
        kernel = min(CELL_KERNEL, context.size) if clip_kernels else CELL_KERNEL
        return ReciprocalGatedMedian(context, divide_channels(CELL_DEPTH, channel_divisor), kernel)

    return make_cell


def ten_layers(
    stack: Stack,
    make_cell: MakeCell | None,
    feedback: Mapping[str, tuple[str, ...]],
    seed: int,
    *,
    name: str,
    presentation: Presentation,
    n_classes: int,
    channel_divisor: int,
    channels: Mapping[str, int] = CHANNELS,
    pooled: Collection[str] = POOLED,
) -> GraphModel:
    """Build these layers on an empty `stack`.

    Parameters
    ----------
    stack
        Holds the size of the images, and the weights.
    make_cell
        Maker of the cells of the last seven layers; None for a feedforward network.
    feedback
        For each layer that has feedback its sources.
    seed, name, presentation, n_classes, channel_divisor
        As for `median_convrnn`.
    channels, pooled
        Channels of each layer before they are divided, and the layers with a pool.
    """
    for layer, full in channels.items():
        sources = feedback.get(layer, ())
        fed_back = tuple(divide_channels(channels[source], channel_divisor) for source in sources)
        context = stack.context(layer, divide_channels(full, channel_divisor), fed_back)
        cell = make_cell(context) if make_cell and layer in RECURRENT else None
        # The cell's output has been through an ELU already.
        stack.add(context, cell, elu=cell is None, pool=layer in pooled, feedback=sources)
    return stack.finish(
        MeanReadout,
        n_classes,
        name=name,
        seed=seed,
        region_layers=REGION_LAYERS,
        presentation=presentation,
    )
