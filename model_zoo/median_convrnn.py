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
    imnetds  mean, then linear to 1000 classes

Called ``rgc_intermediate`` in the authors' repository (github.com/neuroailab/convrnns). It is trained
on ImageNet with one image shown all the time; here it is shown what an animal was shown.

References
----------
.. [1] Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
   NeurIPS. arXiv:1807.00053, Fig. 4 and 5, supplement 6.3 and 6.6.
.. [2] Nayebi et al. (2022), Recurrent connections in the primate ventral visual stream mediate a
   trade-off between task performance and network size during core object recognition. Neural
   Computation. doi:10.1162/neco_a_01506.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import nn

from brainfit.errors import ContractError

from .cells.reciprocal_gated_median import A_GATE, A_TAU, ReciprocalGatedMedian
from .graph import Edges, GraphModel, Node
from .init import fill
from .layers import Conv, MaxPool, MeanReadout


class _Layer(NamedTuple):
    name: str
    channels: int
    recurrent: bool
    pool: bool
    feedback: tuple[str, ...] = ()  # in the authors' order: names sorted as strings


LAYERS = (
    _Layer("conv1", 64, recurrent=False, pool=True),
    _Layer("conv2", 128, recurrent=False, pool=False),
    _Layer("conv3", 128, recurrent=False, pool=False),
    _Layer("conv4", 128, recurrent=True, pool=True),
    _Layer("conv5", 128, recurrent=True, pool=False, feedback=("conv8",)),
    _Layer("conv6", 256, recurrent=True, pool=True, feedback=("conv7", "conv9")),
    _Layer("conv7", 256, recurrent=True, pool=True, feedback=("conv10",)),
    _Layer("conv8", 256, recurrent=True, pool=False),
    _Layer("conv9", 512, recurrent=True, pool=False, feedback=("conv10",)),
    _Layer("conv10", 512, recurrent=True, pool=True),
)
CELL_DEPTH = 64
CELL_KERNEL = 7

# The layers the authors chose for each region, on other images: [1], supplement 6.6.
REGION_LAYERS = {"V4": "conv6", "pIT": "conv7", "cIT": "conv8", "aIT": "conv8", "IT": "conv8"}


def median_convrnn(
    image_size: int = 128,
    seed: int = 0,
    weights: str = "random",
    *,
    n_classes: int = 1000,
    channel_divisor: int = 1,
    clip_kernels: bool = False,
) -> GraphModel:
    """Build the median ConvRNN with random weights.

    Parameters
    ----------
    image_size
        Height and width of its images in pixels: 128 (the size of [1]) or 224 (the published
        weights); others work, from 32.
    seed
        Of the random weights.
    weights
        ``"random"``: the only ones so far.
    n_classes
        Outputs of ``imnetds``.
    channel_divisor
        Divides all channels, for tests.
    clip_kernels
        Whether depthwise kernels are no larger than the map, as the authors' code does when it
        *builds* a net for small images. The published weights are 7 x 7 at every size.

    Examples
    --------
    >>> model = median_convrnn(channel_divisor=16)
    >>> model.layers[:3], model.region_layers["pIT"], model.weights
    (('conv1', 'conv2', 'conv3'), 'conv7', 'random:0')
    """
    if weights != "random":
        raise ContractError(
            f"median_convrnn has weights='random' only so far, got {weights!r}; choose another one with seed="
        )
    if image_size < 32:
        raise ContractError(f"median_convrnn takes images of 32 pixels or more, got image_size={image_size}")

    channels = {layer.name: layer.channels // channel_divisor for layer in LAYERS}
    nodes: dict[str, Node] = {}
    edges: dict[str, Edges] = {}
    below, inputs, size = None, 3, math.ceil(image_size / 2)  # size: of the map inside the layer
    for name, _, recurrent, pool, feedback in LAYERS:
        outputs = channels[name]
        pre = Conv(inputs, outputs, 3) if below else Conv(inputs, outputs, 7, stride=2)
        cell = None
        if recurrent:
            kernel = min(CELL_KERNEL, size) if clip_kernels else CELL_KERNEL
            sources = tuple(channels[source] for source in feedback)
            cell = ReciprocalGatedMedian(inputs, outputs, CELL_DEPTH // channel_divisor, sources, kernel)
        size = math.ceil(size / 2) if pool else size
        # The cell's output has been through an ELU already.
        post = nn.Sequential(nn.Identity() if recurrent else nn.ELU(), MaxPool() if pool else nn.Identity())
        nodes[name] = Node((outputs, size, size), pre, post, cell)
        edges[name] = Edges(below, feedback)
        below, inputs = name, outputs
    nodes["imnetds"] = Node((n_classes,), MeanReadout(inputs, n_classes), nn.Identity())
    edges["imnetds"] = Edges(below)

    model = GraphModel(
        nodes,
        edges,
        name="median_convrnn",
        image_size=image_size,
        region_layers=REGION_LAYERS,
        weights=f"random:{seed}",
    )
    _initialise(model, seed)
    return model


def _initialise(model: GraphModel, seed: int) -> None:
    """Fill `model` so that activities neither die nor blow up in ten layers and many more steps.

    Weights have a variance of 1 / fan-in, but a hundredth of that where they close a loop: in the
    feedback, and in what a cell's gates see of its own state. The bias of the gates of what is new
    balances what is kept, so that a cell whose gates are at rest comes to pass on a constant input as it is:
    ``A_TAU / 2 + A_GATE (1 - tanh(bias)) = 1``.
    """
    fill(model, seed, lambda name: 0.1 if ".feedback." in name or ".pointwise." in name else 1.0)
    balance = math.atanh(1 - (1 - A_TAU / 2) / A_GATE)
    for name, parameter in model.named_parameters():
        if name.endswith("_gate.pointwise.bias"):
            nn.init.constant_(parameter, balance)
