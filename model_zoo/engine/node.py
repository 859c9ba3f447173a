"""One layer of a graph: convolution, cell if it is recurrent, and what comes after.

One step of a node is ``out, state = node(ff, fb, state)``:

.. code-block:: text

    x          = activate(pre(ff))
    y, state   = cell(x, fb, state)               y = x without a cell
    out        = finish(post(y) + shortcut(ff))

A step has two parts, `Node.drive` (all that depends on the feedforward input alone) and `Node.recur`
(the rest), because the input of a node often stays the same for many steps while its state moves on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from brainfit.errors import ContractError
from brainfit.support.suggestions import unknown_name

from .elementwise import add
from .layers import Conv

Drive = tuple[Tensor, ...]
State = tuple[Tensor, ...]


class CellContext(NamedTuple):
    """Position of a cell in a network: everything that a cell is made from.

    Attributes
    ----------
    layer
        Name of the node.
    inputs, channels
        Channels of the node's input ff, and of x, what its convolution makes of it.
    size
        Height and width of x.
    feedback
        Channels of each feedback source, in the order of the edges.
    norm_epsilon
        Number that norms in the cell add to the variance. The published weights need 1e-12, with which
        gradients explode (a map that no image has reached is constant); train with about 0.1.
    """

    layer: str
    inputs: int
    channels: int
    size: int
    feedback: tuple[int, ...] = ()
    norm_epsilon: float = 1e-12


class Cell(nn.Module, ABC):
    """The recurrent part of a node.

    A cell is made from its `CellContext`. Every operation on states must broadcast over a batch of one: a
    layer that no image has reached yet is computed once for all images. So compute a convolution of
    ``concat(x, h)`` as a convolution of x in `drive` plus one of h in `forward`
    (`model_zoo.engine.layers.JointConv`).

    Its random weights are drawn for it: parameters with *bias* in their name are zero, and all others of two
    dimensions or more are normal. Other vectors and scalars (the gain of a norm, a rate) stay as the cell
    made them.

    Attributes
    ----------
    channels
        Number of channels of its output.
    loops
        Submodules that read the cell's own state or feedback; their random weights are small. Parts that
        are None are ignored.
    takes_feedback
        True if the cell uses feedback; otherwise its node may have none.
    tensorflow
        Beginning of the names of the authors' variables, for each submodule or parameter of the cell.
    """

    channels: int
    loops: tuple[str, ...] = ()
    takes_feedback: bool = False
    tensorflow: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def drive(self, x: Tensor, ff: Tensor) -> Drive:
        """Return all that depends on the input alone: before (`ff`) and after (`x`) the node's `pre`."""

    @abstractmethod
    def initial_state(self, drive: Drive) -> State:
        """Return zeros of the state's shapes."""

    @abstractmethod
    def forward(self, drive: Drive, fb: list[Tensor], state: State) -> tuple[Tensor, State]:
        """Compute one step: the output before the node's `post` operation, and the next state.

        `fb` holds the outputs of the feedback predecessors, each at its own resolution.
        """

    def finish_init(self) -> None:
        """Set parameters that are not random, after the others are drawn; by default biases stay zero."""

    def check_loops(self) -> None:
        """Raise UnknownNameError if one of `loops` is neither a submodule nor None."""
        known = [name for name, _ in self.named_modules(remove_duplicate=False) if name]
        for part in self.loops:
            if part not in known and getattr(self, part.split(".")[0], self) is not None:
                raise unknown_name(f"submodule in the loops of {type(self).__name__}", part, known)


MakeCell = Callable[[CellContext], Cell]


class NodeDrive(NamedTuple):
    """The parts of a step that depend on the feedforward input alone: for the cell, and added after it."""

    cell: Drive
    shortcut: Tensor | None


class Node(nn.Module):
    """One layer of a graph; see the top of this file for what it computes.

    Parameters
    ----------
    out_shape
        Shape of one image's output, (channel, height, width) or (class,).
    pre, activate
        The convolution (or readout) of the input, and the activation after it, if any.
    cell
        The recurrent part; a node without one has no state and takes no feedback.
    post, shortcut, finish
        Convolution after the cell, if any; the path from the input whose result is added to that, if any;
        and the last operations, such as an activation and a pool.
    """

    def __init__(
        self,
        out_shape: tuple[int, ...],
        pre: nn.Module,
        *,
        activate: nn.Module | None = None,
        cell: Cell | None = None,
        post: nn.Module | None = None,
        shortcut: nn.Module | None = None,
        finish: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.out_shape = tuple(out_shape)
        self.pre = pre
        self.activate = activate or nn.Identity()
        self.cell = cell
        self.post = post or nn.Identity()
        self.shortcut = shortcut
        self.finish = finish or nn.Identity()

    def drive(self, ff: Tensor) -> NodeDrive:
        """Return all that depends on the feedforward input alone; without a cell that is the output."""
        x = self.activate(self.pre(ff))
        shortcut = None if self.shortcut is None else self.shortcut(ff)
        if self.cell is None:
            return NodeDrive((self._output(x, shortcut),), None)
        return NodeDrive(self.cell.drive(x, ff), shortcut)

    def recur(self, drive: NodeDrive, fb: list[Tensor], state: State) -> tuple[Tensor, State]:
        """Compute the rest of the step. An empty state is the initial one."""
        if self.cell is None:
            return drive.cell[0], ()
        y, state = self.cell(drive.cell, fb, state or self.cell.initial_state(drive.cell))
        return self._output(y, drive.shortcut), state

    def forward(self, ff: Tensor, fb: list[Tensor], state: State) -> tuple[Tensor, State]:
        """Compute one step, skipping nothing."""
        return self.recur(self.drive(ff), fb, state)

    def _output(self, y: Tensor, shortcut: Tensor | None) -> Tensor:
        out = self.post(y)
        if shortcut is not None:
            # Other modules may return what they were given, or a part of it.
            out = add(out, shortcut) if isinstance(self.post, Conv) else out + shortcut
        out = self.finish(out)
        if out.shape[1:] != self.out_shape:
            raise ContractError(
                f"a node was given out_shape={self.out_shape}, but its output for one image has shape "
                f"{tuple(out.shape[1:])}; give that shape"
            )
        return out
