"""The update gate RNN of [1]_, with convolutions: between a plain network and a GRU.

.. code-block:: text

    g, c = conv3([x, h]) + b                       split into two halves, in this order
    h_t  = sigmoid(g + 1) h + (1 - sigmoid(g + 1)) tanh(c)

The output is h.

References
----------
.. [1] Collins, Sohl-Dickstein & Sussillo (2017), Capacity and trainability in recurrent neural networks.
   ICLR. arXiv:1611.09913.
.. [2] Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
   NeurIPS. arXiv:1807.00053, supplement 6.2.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ..engine.elementwise import add, blend, sigmoid, tanh
from ..engine.layers import JointConv
from ..engine.node import Cell, CellContext, Drive, State


class UGRNN(Cell):
    """Update gate RNN: one gate says how much of h stays."""

    loops = ("mix.of_state",)
    tensorflow: ClassVar = {"mix": "ConvUGRNNCell/"}

    def __init__(self, context: CellContext) -> None:
        super().__init__()
        self.channels = context.channels
        self.mix = JointConv(context.channels, self.channels, 2 * self.channels, 3)

    def drive(self, x: Tensor, ff: Tensor) -> Drive:
        """Return what comes in from below for g and c (2 x channels)."""
        return (self.mix.of_input(x),)

    def initial_state(self, drive: Drive) -> State:
        """Return zeros for h (image, channels, height, width)."""
        return (torch.zeros_like(drive[0].chunk(2, dim=1)[0]),)

    def forward(self, drive: Drive, fb: list[Tensor], state: State) -> tuple[Tensor, State]:
        """Compute one step; the output is h."""
        (h,) = state
        gate, candidate = add(self.mix.of_state(h), drive[0]).chunk(2, dim=1)
        h = blend(sigmoid(add(gate, 1)), h, tanh(candidate))
        return h, (h,)
