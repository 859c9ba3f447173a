"""Build the common structure of the paper's networks: a stack of layers that begin with a convolution."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import nn

from brainfit.contracts.presentation import Presentation
from brainfit.errors import ContractError
from brainfit.support.arguments import number, whole_number

from ..engine.graph import Edges, GraphModel
from ..engine.init import fill
from ..engine.layers import Conv, ConvReadout, MaxPool, MeanReadout
from ..engine.node import Cell, CellContext, Node
from ..weights.load import choose_image_size, set_random_or_loaded, weights_source

READOUT = "readout"
"""Name of the layer that gives the classes; the authors of the published weights call it ``imnetds``."""


def divide_channels(channels: int, channel_divisor: int) -> int:
    """Divide a number of channels; raise ContractError if there is a remainder."""
    divisor = whole_number("channel_divisor", channel_divisor, 1)
    if channels % divisor:
        raise ContractError(
            f"channel_divisor must divide all channels, got {divisor} where there are {channels}; "
            "take a smaller power of 2"
        )
    return channels // divisor


class Stack:
    """Nodes and edges of a network while it is built, from the input up.

    The first layer has a 7 x 7 convolution with stride 2, all others a 3 x 3 one.

    Parameters
    ----------
    image_size
        Height and width of its images in pixels; None: the size that the weights were trained on, or 128.
    weights
        As in `model_zoo.weights.load.set_weights`.
    least
        Size in pixels of the smallest image that the network can take.
    norm_epsilon
        As in `CellContext`.
    readout_gain
        As for `model_zoo.engine.init.fill`.

    Attributes
    ----------
    nodes, edges, image_size
        The arguments of `model_zoo.engine.graph.GraphModel`.
    below, channels, size
        Name of the last layer, and the channels and size of its output; at first those of the image.
    """

    def __init__(
        self,
        image_size: int | None,
        weights: str,
        least: int,
        *,
        norm_epsilon: float = 1e-12,
        readout_gain: float = 1.0,
    ) -> None:
        self.nodes: dict[str, Node] = {}
        self.edges: dict[str, Edges] = {}
        self.below: str | None = None
        self.weights = weights
        self.norm_epsilon = number("norm_epsilon", norm_epsilon, 1e-12, 1)
        self.readout_gain = readout_gain
        self.image_size = choose_image_size(image_size, weights, least)
        self.channels = 3
        self.size = self.image_size

    def context(self, layer: str, channels: int, feedback: tuple[int, ...] = ()) -> CellContext:
        """Return the context of a cell in the next layer."""
        size = self.size if self.below else math.ceil(self.size / 2)
        return CellContext(layer, self.channels, channels, size, feedback, self.norm_epsilon)

    def add(
        self,
        context: CellContext,
        cell: Cell | None = None,
        *,
        elu: bool,
        pool: bool,
        feedback: tuple[str, ...] = (),
        activate: nn.Module | None = None,
        post: nn.Module | None = None,
        shortcut: nn.Module | None = None,
    ) -> None:
        """Add a layer, with an ELU and a pool at its end if asked for; the rest is as in `Node`."""
        channels = cell.channels if cell and post is None else context.channels
        self.size = math.ceil(context.size / 2) if pool else context.size
        first = self.below is None
        self.nodes[context.layer] = Node(
            (channels, self.size, self.size),
            Conv(context.inputs, context.channels, 7, stride=2)
            if first
            else Conv(context.inputs, context.channels, 3),
            activate=activate,
            cell=cell,
            post=post,
            shortcut=shortcut,
            # The output of a cell is its state, which must not be overwritten.
            finish=nn.Sequential(
                *[nn.ELU(inplace=cell is None or post is not None)] * elu, *[MaxPool()] * pool
            ),
        )
        self.edges[context.layer] = Edges(self.below, feedback)
        self.below, self.channels = context.layer, channels

    def finish(
        self,
        readout: type[MeanReadout | ConvReadout],
        n_classes: int,
        *,
        name: str,
        seed: int,
        region_layers: Mapping[str, str],
        presentation: Presentation,
    ) -> GraphModel:
        """Add the layer `READOUT`, and return the model with its weights."""
        n_classes = whole_number("n_classes", n_classes, 1)
        self.nodes[READOUT] = Node((n_classes,), readout(self.channels, n_classes))
        self.edges[READOUT] = Edges(self.below)
        model = GraphModel(
            self.nodes,
            self.edges,
            name=name,
            image_size=self.image_size,
            region_layers=region_layers,
            presentation=presentation,
            readout_layers=(READOUT,),
        )
        model.weights = set_random_or_loaded(model, self.weights, seed, fill, self.readout_gain)
        model.weights_source = weights_source(self.weights)
        return model
