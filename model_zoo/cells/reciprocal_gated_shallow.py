"""The reciprocal gated cell as [1]_ first has it, in shallow networks.

A cell state c and an output state h gate each other, each by bypassing (keeping what it had) and by
gating (letting in what is new). No convolution has a bias.

.. code-block:: text

    x   = ELU(pre)                                                      pre: the node's convolution
    c_t = ELU( (1 - sigmoid(conv3(c))) c  +  (1 - sigmoid(conv3(h))) conv3(x) )
    h_t = ELU( (1 - sigmoid(conv3(h))) h  +  (1 - sigmoid(conv3(c) + conv3(ff))) x )

c and h on the right are those of the step before, both of them; ff is the node's input.

References
----------
.. [1] Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
   NeurIPS. arXiv:1807.00053, section 3.2 and supplement 6.2.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import elu

from ..engine import elementwise
from ..engine.layers import Conv
from ..engine.node import Cell, CellContext, Drive, State


class ReciprocalGatedShallow(Cell):
    """The shallow networks' reciprocal gated cell."""

    loops = ("cell_tau", "cell_gate", "out_tau", "out_gate")
    tensorflow: ClassVar = {
        "input_to_cell": "ReciprocalGateCell/cell/input_to_cell/",
        "cell_tau": "ReciprocalGateCell/cell/tau/",
        "cell_gate": "ReciprocalGateCell/cell/gate/",
        "out_tau": "ReciprocalGateCell/out/tau/",
        "out_gate": "ReciprocalGateCell/out/gate/",
        "input_to_gate": "ReciprocalGateCell/out/residual_to_out_gate/",
    }

    def __init__(self, context: CellContext) -> None:
        super().__init__()
        self.channels = channels = context.channels
        self.input_to_cell = Conv(channels, channels, 3, bias=False)
        self.cell_tau = Conv(channels, channels, 3, bias=False)
        self.cell_gate = Conv(channels, channels, 3, bias=False)
        self.out_tau = Conv(channels, channels, 3, bias=False)
        self.out_gate = Conv(channels, channels, 3, bias=False)
        self.input_to_gate = Conv(context.inputs, channels, 3, bias=False)

    def drive(self, x: Tensor, ff: Tensor) -> Drive:
        """Return what comes in from below: x for the output, for the cell and for the gate (all channels)."""
        x = elu(x)
        return x, self.input_to_cell(x), self.input_to_gate(ff)

    def initial_state(self, drive: Drive) -> State:
        """Return zeros for c and h, both (image, channels, height, width)."""
        zeros = torch.zeros_like(drive[0])
        return zeros, zeros

    def forward(self, drive: Drive, fb: list[Tensor], state: State) -> tuple[Tensor, State]:
        """Compute one step; the output is h."""
        c, h = state
        x, to_cell, to_gate = drive
        next_c = _renewed(self.cell_tau(c), c, self.cell_gate(h), to_cell)
        next_h = _renewed(self.out_tau(h), h, elementwise.add(self.out_gate(c), to_gate), x)
        return next_h, (next_c, next_h)


def _renewed(tau: Tensor, state: Tensor, gate: Tensor, new: Tensor) -> Tensor:
    """``ELU((1 - sigmoid(tau)) state + (1 - sigmoid(gate)) new)``; `tau` and `gate` are overwritten."""
    keep, let_in = elementwise.sigmoid(-tau), elementwise.sigmoid(-gate)
    return elementwise.elu(elementwise.gated_sum(keep, state, let_in, new))
