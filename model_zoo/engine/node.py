"""One layer of a graph: convolution, cell if it is recurrent, and what comes after.

One step of a node is ``out, state = node(ff, fb, state)``:

.. code-block:: text

    x          = activate(pre(ff))
    y, state   = cell(x, fb, state)               y = x without a cell
    out        = finish(post(y) + shortcut(ff))

It comes in two parts, `Node.drive` (all that depends on the feedforward input alone) and `Node.recur`
(the rest), because the input of a node often stays the same for many steps while its state moves on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from brainfit.errors import ContractError
from brainfit.support.suggestions import unknown_name

from .elementwise import plus
from .layers import Conv

Drive = tuple[Tensor, ...]
State = tuple[Tensor, ...]


class CellContext(NamedTuple):
    """Where in a network a cell sits: all that a cell is made from.

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
        For the norms of the cell, if it has any: added to the variance. The published weights need 1e-12, with
        which gradients explode (a map that no image has reached is constant); train with about 0.1.
    """

    layer: str
    inputs: int
    channels: int
    size: int
    feedback: tuple[int, ...] = ()
    norm_epsilon: float = 1e-12


class Cell(nn.Module, ABC):
    """The recurrent part of a node.

    A cell is made from its `CellContext`. Every operation on states must broadcast over a batch of one: what
    no image has reached yet is computed once for all images. So apply a convolution of ``concat(x, h)``
    as the sum of one of x, in `drive`, and one of h, in `forward`: `model_zoo.engine.layers.JointConv`.

    Its random weights are drawn for it: what has two dimensions or more is normal, and what has *bias* in its
    name zero. All other vectors and scalars (the gain of a norm, a rate) stay as the cell made them.

    Attributes
    ----------
    channels
        Of its output.
    loops
        Submodules that see the cell's own state, or feedback; random weights are small there. One that is
        None in some places is left out there.
    takes_feedback
        Whether it has a use for feedback; a node whose cell has none may not be given any.
    tensorflow
        For each submodule (or parameter) of its own, how the names of the authors' variables begin.
    """

    channels: int
    loops: tuple[str, ...] = ()
    takes_feedback: bool = False
    tensorflow: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def drive(self, x: Tensor, ff: Tensor) -> Drive:
        """Return all that depends on the input alone, from it before (`ff`) and after (`x`) the pre-op."""

    @abstractmethod
    def initial_state(self, drive: Drive) -> State:
        """Return zeros of the state's shapes."""

    @abstractmethod
    def forward(self, drive: Drive, fb: list[Tensor], state: State) -> tuple[Tensor, State]:
        """One step: the output before the node's post-op, and the next state.

        `fb` has the outputs of the feedback predecessors, each at its own resolution.
        """

    def finish_init(self) -> None:
        """Set what is not drawn at random, once the weights are; by default all biases stay zero."""

    def check_loops(self) -> None:
        """Raise UnknownNameError if one of `loops` is neither a submodule nor None."""
        known = [name for name, _ in self.named_modules(remove_duplicate=False) if name]
        for part in self.loops:
            if part not in known and getattr(self, part.split(".")[0], self) is not None:
                raise unknown_name(f"submodule in the loops of {type(self).__name__}", part, known)


MakeCell = Callable[[CellContext], Cell]


class NodeDrive(NamedTuple):
    """What depends on the feedforward input alone: for the cell, and to be added after it."""

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
        What makes it recurrent; without one the node has no state and takes no feedback.
    post, shortcut, finish
        Convolution after the cell, if any; what is made of the input to be added to that, if anything; and
        what comes last: activation, pool.
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
        """Do the rest of the step. An empty state is the initial one."""
        if self.cell is None:
            return drive.cell[0], ()
        y, state = self.cell(drive.cell, fb, state or self.cell.initial_state(drive.cell))
        return self._output(y, drive.shortcut), state

    def forward(self, ff: Tensor, fb: list[Tensor], state: State) -> tuple[Tensor, State]:
        """One step, nothing skipped."""
        return self.recur(self.drive(ff), fb, state)

    def _output(self, y: Tensor, shortcut: Tensor | None) -> Tensor:
        out = self.post(y)
        if shortcut is not None:
            # Other modules may return what they were given, or a part of it.
            out = plus(out, shortcut) if isinstance(self.post, Conv) else out + shortcut
        out = self.finish(out)
        if out.shape[1:] != self.out_shape:
            raise ContractError(
                f"a node was given out_shape={self.out_shape}, but its output for an image is of shape "
                f"{tuple(out.shape[1:])}; give it that one"
            )
        return out
