"""The intermediate networks: ten convolutional layers with shortcuts, recurrent from the fourth on or not.

    layer    kernel  channels  cell  pool  map (224 px)  output
    conv1    7 / 2         64        2x2   112           56
    conv2-3  3, 3          64              56            56
    conv4    3, 3         128  yes   2x2   56            28
    conv5    3, 3         128  yes         28            28
    conv6    3, 3         256  yes   2x2   28            14
    conv7    3, 3         256  yes   2x2   14            7
    conv8-9  3, 3         512  yes         7             7
    conv10   3, 3         512  yes   2x2   7             4
    readout  mean over the map, then linear to 1000 classes

From conv2 on a layer is a residual block, ``pool(ELU(conv(cell(ELU(conv(ff)))) + shortcut(ff)))``. With
another cell this is another model: ``gru_intermediate`` and so on, as in the authors' repository
(github.com/neuroailab/convrnns); without one it is ``basenet``, the feedforward network that the search
of [1]_ started from. (Its median model has other layers: `model_zoo.networks.median_convrnn`.)

References
----------
.. [1] Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
   NeurIPS. arXiv:1807.00053, section 3.3, Fig. 4c and supplement 6.3.
.. [2] Nayebi et al. (2022), Recurrent connections in the primate ventral visual stream mediate a
   trade-off between task performance and network size during core object recognition. Neural
   Computation. doi:10.1162/neco_a_01506.
"""

from __future__ import annotations

from collections.abc import Collection

from torch import nn

from brainfit.contracts.presentation import Presentation

from ..cells import find_cell
from ..engine.graph import GraphModel
from ..engine.layers import Conv, MeanReadout
from ..engine.node import MakeCell
from .stack import Stack, divide_channels

CHANNELS = dict(
    zip((f"conv{k}" for k in range(1, 11)), (64, 64, 64, 128, 128, 256, 256, 512, 512, 512), strict=True)
)
RECURRENT = tuple(CHANNELS)[3:]
POOLED = ("conv1", "conv4", "conv6", "conv7", "conv10")
SMALLEST = 32

# Best layer of each region according to [2]; of two equal layers, the lower one.
REGION_LAYERS = {"V4": "conv5", "pIT": "conv7", "cIT": "conv9", "aIT": "conv9", "IT": "conv9"}


def intermediate_convrnn(
    cell: str | MakeCell,
    image_size: int | None = None,
    seed: int = 0,
    weights: str = "random",
    *,
    name: str = "intermediate",
    on_ms: int = 120,
    off_ms: int = 50,
    n_classes: int = 1000,
    channel_divisor: int = 1,
    norm_epsilon: float = 1e-12,
    readout_gain: float = 1.0,
) -> GraphModel:
    """Build the intermediate network with a cell of your choice in its last seven layers.

    Parameters
    ----------
    cell, seed, weights, name, n_classes, channel_divisor, norm_epsilon, readout_gain
        As for `model_zoo.networks.shallow.shallow_convrnn`.
    image_size
        As there, but 32 or more.
    on_ms, off_ms
        Duration of the image and of the gray after it in training, in ms.
    """
    presentation = Presentation(on_ms, off_ms)
    stack = Stack(image_size, weights, SMALLEST, norm_epsilon=norm_epsilon, readout_gain=readout_gain)
    return residual_layers(stack, find_cell(cell), seed, name, presentation, n_classes, channel_divisor)


def basenet(
    image_size: int | None = None,
    seed: int = 0,
    weights: str = "random",
    *,
    n_classes: int = 1000,
    channel_divisor: int = 1,
    readout_gain: float = 1.0,
) -> GraphModel:
    """Build the feedforward network of the same layers; parameters as for `intermediate_convrnn`."""
    presentation = Presentation(on_ms=110, off_ms=0)
    stack = Stack(image_size, weights, SMALLEST, readout_gain=readout_gain)
    return residual_layers(stack, None, seed, "basenet", presentation, n_classes, channel_divisor)


def residual_layers(
    stack: Stack,
    make_cell: MakeCell | None,
    seed: int,
    name: str,
    presentation: Presentation,
    n_classes: int,
    channel_divisor: int,
    *,
    pooled: Collection[str] = POOLED,
) -> GraphModel:
    """Build these ten layers on an empty `stack`, with any cell or none, and with pools after any of them."""
    for layer, full in CHANNELS.items():
        context = stack.context(layer, divide_channels(full, channel_divisor))
        pool = layer in pooled
        if stack.below is None:
            stack.add(context, elu=True, pool=pool)
            continue
        recurrent = make_cell(context) if make_cell and layer in RECURRENT else None
        same = context.inputs == context.channels
        stack.add(
            context,
            recurrent,
            elu=True,
            pool=pool,
            activate=nn.ELU(inplace=True),
            post=Conv(recurrent.channels if recurrent else context.channels, context.channels, 3),
            shortcut=nn.Identity() if same else Conv(context.inputs, context.channels, 1, bias=False),
        )
    return stack.finish(
        MeanReadout,
        n_classes,
        name=name,
        seed=seed,
        region_layers=REGION_LAYERS,
        presentation=presentation,
    )
