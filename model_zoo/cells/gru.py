"""The gated recurrent unit of [1]_, with convolutions.

.. code-block:: text

    r, u = conv3([x, h]) + b                       split into two halves, in this order
    c    = tanh( conv3([x, sigmoid(r + 1) h]) + b )
    h_t  = sigmoid(u) h + (1 - sigmoid(u)) c

The output is h. That 1 is added in the reset gate, on top of a bias, is how the authors of [2]_ have it.

References
----------
.. [1] Cho et al. (2014), Learning phrase representations using RNN encoder-decoder for statistical
   machine translation. EMNLP. arXiv:1406.1078, equations 5-8.
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


class GRU(Cell):
    """Gated recurrent unit: h is renewed as far as a gate lets go of it."""

    loops = ("gates.of_state", "candidate.of_state")
    tensorflow: ClassVar = {"gates": "ConvGRUCell/gates/", "candidate": "ConvGRUCell/candidates/"}

    def __init__(self, context: CellContext) -> None:
        super().__init__()
        self.channels = context.channels
        self.gates = JointConv(context.channels, self.channels, 2 * self.channels, 3)
        self.candidate = JointConv(context.channels, self.channels, self.channels, 3)

    def drive(self, x: Tensor, ff: Tensor) -> Drive:
        """Return what comes in from below for the gates (2 x channels) and the candidate (channels)."""
        return self.gates.of_input(x), self.candidate.of_input(x)

    def initial_state(self, drive: Drive) -> State:
        """Return zeros for h (image, channels, height, width)."""
        return (torch.zeros_like(drive[1]),)

    def forward(self, drive: Drive, fb: list[Tensor], state: State) -> tuple[Tensor, State]:
        """Compute one step; the output is h."""
        (h,) = state
        to_gates, to_candidate = drive
        reset, update = add(self.gates.of_state(h), to_gates).chunk(2, dim=1)
        candidate = tanh(add(self.candidate.of_state(sigmoid(add(reset, 1)) * h), to_candidate))
        h = blend(sigmoid(update), h, candidate)
        return h, (h,)

    def finish_init(self) -> None:
        """Let the gates start where their authors start them, at a bias of 1."""
        self.gates.of_input.set_bias(1)
