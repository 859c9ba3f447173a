"""A graph of nodes with feedforward and feedback edges, all stepped at once, 10 ms per step.

At step t every node reads its predecessors' outputs of step t-1 and its own state of step t-1; only the
first node reads the frame of step t itself. At t = 0 all outputs and states are zero, and all nodes are
evaluated, so that a layer that no image has reached yet shows its biases.

The step of a node (`model_zoo.engine.node`) has two parts: the one that depends on its feedforward input
alone, and the rest. The input often stays the same *object* for many steps; its part is then computed once.

References
----------
.. [1] Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
   NeurIPS. arXiv:1807.00053, section 2 and supplement 6.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd
from torch.utils.checkpoint import checkpoint

from brainfit.contracts.diagram import Edge, Part, Wiring, in_words
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ContractError
from brainfit.support.suggestions import unknown_name

from .inputs import check_request, normalizer
from .node import Node, NodeDrive, State
from .weights_name import WeightsName

_VARYING = (_NormBase, _DropoutNd, nn.RReLU)
"""Modules that, in training mode, depend on the whole batch, draw random numbers or count their calls."""


class Edges(NamedTuple):
    """Sources of a node's input; ``None`` is the frame."""

    feedforward: str | None
    feedback: tuple[str, ...] = ()


class GraphState(NamedTuple):
    """Outputs and cell states of all nodes after one step; a cell that has not run yet has ``()``."""

    outputs: dict[str, Tensor]
    cells: dict[str, State]


class GraphModel(nn.Module):
    """A graph of nodes that is unrolled in time; satisfies `brainfit.contracts.model.Model`.

    Parameters
    ----------
    nodes
        Nodes by name, from the input up.
    edges
        Sources of the input of each node. Concatenated feedback has the order given here.
    name, image_size, region_layers, readout_layers
        As in `brainfit.contracts.model.Model`.
    presentation
        The presentation of its training; its number of steps is the least with a meaningful last layer.

    Attributes
    ----------
    weights
        Name of its weights in results. It holds for the values that it was set for: if they change, by
        training or `load_state_dict`, it reads ``"unknown, sha256:<hash of the values>"`` until it is set
        again.

    Raises
    ------
    UnknownNameError
        If an edge comes from no node, or a cell's `loops` are no submodules of it.
    ContractError
        If a node has no edges, or feedback that no cell of it takes; or for a name that torch refuses.
    """

    def __init__(
        self,
        nodes: Mapping[str, Node],
        edges: Mapping[str, Edges],
        *,
        name: str,
        image_size: int,
        region_layers: Mapping[str, str],
        presentation: Presentation,
        readout_layers: Sequence[str] = (),
    ) -> None:
        super().__init__()
        _check(nodes, edges)
        self.nodes = nn.ModuleDict(nodes)
        self.edges = dict(edges)
        self.name = name
        self.layers: Sequence[str] = tuple(nodes)
        self.image_size = image_size
        self.region_layers = dict(region_layers)
        self.readout_layers = tuple(readout_layers)
        self._weights_name = WeightsName(None, None)
        self.presentation = presentation
        self.step_ms: int = presentation.step_ms
        self.normalize = normalizer()
        self.eval()  # a user's own cells may have dropout or batch statistics

    @property
    def weights(self) -> str:
        """Name of the weights that it has now; see `brainfit.contracts.model.Model`."""
        return self._weights_name.current(self)

    @weights.setter
    def weights(self, name: str) -> None:
        self._weights_name = WeightsName.of(self, name)

    @property
    def weights_source(self) -> str:
        """Origin of the weights that it has now, such as their training; empty if unknown."""
        return self._weights_name.current_source(self)

    @weights_source.setter
    def weights_source(self, source: str) -> None:
        self._weights_name = self._weights_name._replace(source=source)

    def wiring(self) -> Wiring:
        """Return its layers and edges as plain values, for `brainfit.figures.schematic` to draw."""
        parts, edges = [], []
        for name, node in self._items():
            cell = in_words(type(node.cell).__name__) if node.cell else None
            parameters = sum(parameter.numel() for parameter in node.parameters())
            parts.append(Part(name, cell, node.out_shape, parameters))
            edges.append(Edge(self.edges[name].feedforward, name))
            edges += [Edge(source, name, feedback=True) for source in self.edges[name].feedback]
        return Wiring(self.name, self.image_size, tuple(parts), tuple(edges), self.presentation.n_steps)

    def initial_state(self, like: Tensor, batch: int = 1) -> GraphState:
        """Return zeros with the device and dtype of `like`; a batch of one serves any number of images."""
        outputs = {name: like.new_zeros(batch, *node.out_shape) for name, node in self._items()}
        return GraphState(outputs, dict.fromkeys(outputs, ()))

    def step(self, frame: Tensor, state: GraphState) -> GraphState:
        """Advance every node by one step, skipping nothing.

        Parameters
        ----------
        frame
            Normalised images, (image, 3, image_size, image_size).
        state
            State of the step before; `initial_state` at first.
        """
        outputs, cells = {}, {}
        for name, node in self._items():
            source, feedback = self.edges[name]
            ff = frame if source is None else state.outputs[source]
            fb = [state.outputs[origin] for origin in feedback]
            outputs[name], cells[name] = node(ff, fb, state.cells[name])
        return GraphState(outputs, cells)

    @torch.no_grad()  # not inference mode, in which autocast casts all weights again at every step
    def unroll(
        self, images: Tensor, presentation: Presentation, layers: Sequence[str]
    ) -> dict[str, Trajectory]:
        """Show `images` and return the activity of each of `layers`, equal to that of `step`, with less work.

        Nothing is approximated. A drive is computed again only when its input is another tensor object;
        activity that does not depend on the image (gray, and all before the signal arrives) stays a batch of
        one; and nodes that can no longer reach one of `layers` are left out.

        Parameters
        ----------
        images
            Pixels in [0, 1], shape (image, 3, image_size, image_size); moved to the model's device.
        presentation
            Times at which the image and the gray are on.
        layers
            Some of `self.layers`.

        Raises
        ------
        UnknownNameError, ContractError
            For an unknown layer; for images or a presentation that do not fit.
        """
        layers = check_request(self, images, presentation, layers)
        return self._unroll(images, presentation, layers)

    def unroll_training(
        self,
        images: Tensor,
        presentation: Presentation,
        layers: Sequence[str],
        *,
        recompute: bool = False,
    ) -> dict[str, Trajectory]:
        """Unroll as `unroll` does, with the gradients of the plain loop over `step`, up to rounding.

        A layer without a state, or the part of a layer that depends on its input alone, is computed and
        differentiated once for as long as its input stays the same. On a GPU, nothing waits for the device:
        the range of the pixels is not checked. A network with dropout or batch statistics in training mode
        runs as in torch: every node at every step, for every image.

        Parameters
        ----------
        images, presentation, layers
            As for `unroll`.
        recompute
            Keep only states and outputs for the backward pass, and compute each step's intermediate results
            again in it (activation checkpointing): less memory, for one more forward pass.

        Raises
        ------
        UnknownNameError, ContractError
            As `unroll`, but for the range of the pixels.
        """
        layers = check_request(self, images, presentation, layers, check_pixels=False)
        return self._unroll(images, presentation, layers, recompute=recompute)

    def _unroll(
        self, images: Tensor, presentation: Presentation, layers: tuple[str, ...], *, recompute: bool = False
    ) -> dict[str, Trajectory]:
        images = images.to(next(self.parameters())).contiguous(memory_format=torch.channels_last)
        # Layers that draw numbers or update statistics at every call never repeat their output.
        varies = any(isinstance(part, _VARYING) and part.training for part in self.modules())
        images_shown = len(images) if varies else 1
        frames = (
            frame.expand(len(images), -1, -1, -1) if varies else frame
            for frame, steps in presentation.frames(images, self.normalize)
            for _ in range(steps)
        )
        outputs, cells = self.initial_state(_like(images), images_shown)
        drives: dict[str, tuple[Tensor, NodeDrive]] = {}  # for each node the input it last saw, and its drive
        kept: dict[str, list[Tensor]] = {layer: [] for layer in layers}
        needed = self._needed(self.layers if varies else layers, presentation.n_steps)
        for frame, wanted in zip(frames, needed, strict=True):
            now = {}
            for name, node in self._items():
                if name not in wanted:
                    continue
                source, feedback = self.edges[name]
                ff = frame if source is None else outputs[source]
                if varies or name not in drives or drives[name][0] is not ff:
                    drives[name] = ff, node.drive(ff)
                fb = [outputs[origin] for origin in feedback]
                given = drives[name][1], fb, cells[name]
                if recompute and node.cell is not None:
                    now[name], cells[name] = checkpoint(
                        node.recur, *given, use_reentrant=False, preserve_rng_state=varies
                    )
                else:
                    now[name], cells[name] = node.recur(*given)
            outputs = now
            for layer, steps in kept.items():
                steps.append(outputs[layer])
        return {layer: Trajectory.from_steps(steps) for layer, steps in kept.items()}

    def _needed(self, layers: Sequence[str], n_steps: int) -> list[set[str]]:
        """Return, for each step, the nodes whose output can still reach one of `layers`.

        The sets grow backwards in time, so a node that is needed at a step was needed, and has its
        state, at all steps before.
        """
        needed = [set(layers)]
        for _ in range(n_steps - 1):
            before = set(layers)
            for name in needed[-1]:
                source, feedback = self.edges[name]
                before |= {*feedback} if source is None else {source, *feedback}
            needed.append(before)
        return needed[::-1]

    def _items(self) -> list[tuple[str, Node]]:
        return [(name, cast(Node, node)) for name, node in self.nodes.items()]


def _like(images: Tensor) -> Tensor:
    """Return an empty tensor of the dtype of the layers' outputs: wider zeros would widen all sums."""
    device = images.device.type
    return images.new_empty(
        0, dtype=torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else images.dtype
    )


def _check(nodes: Mapping[str, Node], edges: Mapping[str, Edges]) -> None:
    """Check that nodes and edges form a graph."""
    if odd := nodes.keys() ^ edges.keys():
        raise ContractError(f"nodes and edges must have the same names; only one of them has {sorted(odd)}")
    reserved = nn.ModuleDict()
    for name, node in nodes.items():
        if not name or "." in name or hasattr(reserved, name):
            raise ContractError(f"a node cannot be called {name!r}, which torch does not take; rename it")
        source, feedback = edges[name]
        for origin in (*feedback, *([] if source is None else [source])):
            if origin not in nodes:
                raise unknown_name(f"source of node {name!r}", origin, nodes)
        if feedback and not (node.cell and node.cell.takes_feedback):
            raise ContractError(f"node {name!r} is given feedback, but has no cell that takes it")
        if node.cell:
            node.cell.check_loops()
