"""The intersection RNN of [1]_, with convolutions: gated in time, and gated in depth.

.. code-block:: text

    g, c, g', y = conv3([x, h]) + b                split into four, in this order
    h_t = sigmoid(g + 1) h  +  (1 - sigmoid(g + 1)) tanh(c)
    out = sigmoid(g' + 1) x  +  (1 - sigmoid(g' + 1)) relu(y)

The output is not the state: by its second gate x can pass the cell as it is.

References
----------
.. [1] Collins, Sohl-Dickstein & Sussillo (2017), Capacity and trainability in recurrent neural networks.
   ICLR. arXiv:1611.09913; there also called +RNN.
.. [2] Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
   NeurIPS. arXiv:1807.00053, supplement 6.2.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ..engine.elementwise import add, blend, relu, sigmoid, tanh
from ..engine.layers import JointConv
from ..engine.node import Cell, CellContext, Drive, State


class IntersectionRNN(Cell):
    """Intersection RNN: one gate says how much of h stays, another how much of x passes."""

    loops = ("mix.of_state",)
    tensorflow: ClassVar = {"mix": "ConvIntersectionRNNCell/"}

    def __init__(self, context: CellContext) -> None:
        super().__init__()
        self.channels = context.channels
        self.mix = JointConv(context.channels, self.channels, 4 * self.channels, 3)

    def drive(self, x: Tensor, ff: Tensor) -> Drive:
        """Return x (channels), and what comes in from below for g, c, g' and y (4 x channels)."""
        return x, self.mix.of_input(x)

    def initial_state(self, drive: Drive) -> State:
        """Return zeros for h (image, channels, height, width)."""
        return (torch.zeros_like(drive[0]),)

    def forward(self, drive: Drive, fb: list[Tensor], state: State) -> tuple[Tensor, State]:
        """Compute one step; the output is made of x and of what the state lets through."""
        x, to_parts = drive
        (h,) = state
        gate, candidate, depth_gate, new = add(self.mix.of_state(h), to_parts).chunk(4, dim=1)
        next_h = blend(sigmoid(add(gate, 1)), h, tanh(candidate))
        return blend(sigmoid(add(depth_gate, 1)), x, relu(new)), (next_h,)
