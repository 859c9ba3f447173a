"""The shallow networks: five convolutional layers and a readout, recurrent from the third on or not at all.

    layer    kernel  channels  cell  pool  map (224 px)  output
    conv1    7 / 2         64        2x2   112           56
    conv2    3            128        2x2   56            28
    conv3    3            256  yes   2x2   28            14
    conv4    3            256  yes   2x2   14            7
    conv5    3            512  yes   2x2   7             4
    readout  2x2, without padding, to 1000 classes, then the mean over the map

Layers 1 and 2 have an ELU after the convolution; the others leave it to the cell. With another cell
this is another model: ``gru_shallow`` and so on, as in the authors' repository
(github.com/neuroailab/convrnns).

References
----------
.. [1] Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
   NeurIPS. arXiv:1807.00053, Fig. 2b and supplement 6.2.
.. [2] Nayebi et al. (2022), Recurrent connections in the primate ventral visual stream mediate a
   trade-off between task performance and network size during core object recognition. Neural
   Computation. doi:10.1162/neco_a_01506.
"""

from __future__ import annotations

from brainfit.contracts.presentation import Presentation

from ..cells import find_cell
from ..engine.graph import GraphModel
from ..engine.layers import ConvReadout
from ..engine.node import MakeCell
from .stack import Stack, divide_channels

CHANNELS = {"conv1": 64, "conv2": 128, "conv3": 256, "conv4": 256, "conv5": 512}
RECURRENT = ("conv3", "conv4", "conv5")
SMALLEST = 65  # pixels: then the last map is 2 x 2, the least that the readout takes

# The layers that were best for each region: [2].
REGION_LAYERS = {"V4": "conv3", "pIT": "conv4", "cIT": "conv5", "aIT": "conv5", "IT": "conv5"}


def shallow_convrnn(
    cell: str | MakeCell,
    image_size: int | None = None,
    seed: int = 0,
    weights: str = "random",
    *,
    name: str = "shallow",
    n_classes: int = 1000,
    channel_divisor: int = 1,
    norm_epsilon: float = 1e-12,
    readout_gain: float = 1.0,
) -> GraphModel:
    """Build the shallow network with a cell of your choice in its last three layers.

    Parameters
    ----------
    cell
        Maker of a cell from its `CellContext`: a class such as `GRU`, or its name, ``"gru:GRU"``.
    image_size
        Height and width of its images in pixels, 65 or more. Default: the size that the weights were
        trained on (224 for the published ones), or 128.
    seed
        Seed of random weights.
    weights
        ``"random"``, the path of a ``.safetensors`` file, or the name of published weights that were fetched.
    name
        Name in results.
    n_classes
        Number of outputs of the readout.
    channel_divisor
        Divisor of all channels, without remainder: for small networks.
    norm_epsilon
        For the norms of cells that have them (`model_zoo.engine.node.CellContext`): 1e-12 for the published
        weights, about 0.1 for a training.
    readout_gain
        Factor of the readout's random weights. Take 0.01 for a training: its loss then starts at ln(classes).
    """
    make_cell = find_cell(cell)
    stack = Stack(image_size, weights, SMALLEST, norm_epsilon=norm_epsilon, readout_gain=readout_gain)
    for layer, channels in CHANNELS.items():
        context = stack.context(layer, divide_channels(channels, channel_divisor))
        recurrent = make_cell(context) if layer in RECURRENT else None
        stack.add(context, recurrent, elu=recurrent is None, pool=True)
    return stack.finish(
        ConvReadout,
        n_classes,
        name=name,
        seed=seed,
        region_layers=REGION_LAYERS,
        presentation=Presentation(on_ms=120, off_ms=40),
    )
