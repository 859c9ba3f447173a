"""What the networks of the paper have in common: layers one upon the other, each a convolution at first."""

from __future__ import annotations

import math

from torch import nn

from .graph import Edges
from .layers import Conv, ConvReadout, MaxPool, MeanReadout
from .node import Cell, Node, Place


class Stack:
    """Nodes and edges of a network while it is built, from the input up.

    The first layer has a 7 x 7 convolution with stride 2, all others a 3 x 3 one.

    Attributes
    ----------
    nodes, edges, image_size
        What `model_zoo.graph.GraphModel` takes.
    below, channels, size
        The last layer, and its output's channels and map; at first those of the image.
    """

    def __init__(self, image_size: int) -> None:
        self.nodes: dict[str, Node] = {}
        self.edges: dict[str, Edges] = {}
        self.below: str | None = None
        self.image_size = image_size
        self.channels = 3
        self.size = image_size

    def place(self, layer: str, channels: int, feedback: tuple[int, ...] = ()) -> Place:
        """Return the place of a cell in the layer that comes next."""
        size = self.size if self.below else math.ceil(self.size / 2)
        return Place(layer, self.channels, channels, size, feedback)

    def add(
        self,
        place: Place,
        cell: Cell | None = None,
        *,
        elu: bool,
        pool: bool,
        feedback: tuple[str, ...] = (),
        activate: nn.Module | None = None,
        post: nn.Module | None = None,
        shortcut: nn.Module | None = None,
    ) -> None:
        """Add the layer at `place`, which `elu` and `pool` finish; the rest is as in `Node`."""
        channels = cell.channels if cell and post is None else place.channels
        self.size = math.ceil(place.size / 2) if pool else place.size
        first = self.below is None
        self.nodes[place.layer] = Node(
            (channels, self.size, self.size),
            Conv(place.inputs, place.channels, 7, stride=2)
            if first
            else Conv(place.inputs, place.channels, 3),
            activate=activate,
            cell=cell,
            post=post,
            shortcut=shortcut,
            finish=nn.Sequential(*[nn.ELU()] * elu, *[MaxPool()] * pool),
        )
        self.edges[place.layer] = Edges(self.below, feedback)
        self.below, self.channels = place.layer, channels

    def read_out(self, readout: type[MeanReadout | ConvReadout], n_classes: int) -> None:
        """Add the readout to classes, which the authors call imnetds."""
        self.nodes["imnetds"] = Node((n_classes,), readout(self.channels, n_classes))
        self.edges["imnetds"] = Edges(self.below)
