"""The reciprocal gated cell that the search of [1]_ arrived at: its median model.

A cell state c and an output state h gate each other, each by bypassing (keeping what it had) and by
gating (letting in what is new). `ds7` is a depthwise 7 x 7 then pointwise convolution with a bias.

.. code-block:: text

    x   = ELU(pre)                                                      pre: the node's convolution
    c_t = ELU( a_tau (1 - sigmoid(ds7(c))) c  +  a_gate (1 - tanh(ds7(h))) conv2(x) )
    h_t = ELU( a_tau (1 - sigmoid(ds7(h))) h  +  a_gate (1 - tanh(ds7(c))) o )
    o   = conv3(x) + shortcut(ff) + conv1(feedback)

c and h on the right are those of the step before, both of them.

References
----------
.. [1] Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
   NeurIPS. arXiv:1807.00053, section 3.3, supplement 6.3 and Fig. 4. The constants are those of the
   authors' published configuration of the median model.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import elu

from ..engine import elementwise
from ..engine.layers import Conv, Feedback, SeparableConv
from ..engine.node import Cell, CellContext, Drive, State

A_TAU = 0.9219348064291611
A_GATE = 0.7006566684988862


class ReciprocalGatedMedian(Cell):
    """The median model's cell.

    Parameters
    ----------
    context
        Position in the network.
    depth
        Number of channels of c.
    kernel
        Size of the depthwise kernels.
    """

    loops = (
        "feedback",
        *(f"{part}.pointwise" for part in ("cell_tau", "cell_gate", "out_tau", "out_gate")),
    )
    takes_feedback = True
    tensorflow: ClassVar = {
        "input_to_cell": "ReciprocalGateCell/cell/input_to_cell_",
        "cell_tau": "ReciprocalGateCell/cell/tau/",
        "cell_gate": "ReciprocalGateCell/cell/out_to_cell/",
        "input_to_out": "ReciprocalGateCell/out/input_to_out_",
        "shortcut": "ReciprocalGateCell/out/residual_add_",
        "feedback": "ReciprocalGateCell/out/feedback_to_out_",
        "out_tau": "ReciprocalGateCell/out/tau/",
        "out_gate": "ReciprocalGateCell/out/gate/",
    }

    def __init__(self, context: CellContext, depth: int = 64, kernel: int = 7) -> None:
        super().__init__()
        self.channels = channels = context.channels
        self.input_to_cell = Conv(channels, depth, 2)
        self.cell_tau = SeparableConv(depth, depth, kernel)
        self.cell_gate = SeparableConv(channels, depth, kernel)
        self.input_to_out = Conv(channels, channels, 3)
        self.shortcut = (
            nn.Identity() if context.inputs == channels else Conv(context.inputs, channels, 1, bias=False)
        )
        self.feedback = Feedback(context.feedback, channels) if context.feedback else None
        self.out_tau = SeparableConv(channels, channels, kernel)
        self.out_gate = SeparableConv(depth, channels, kernel)

    def drive(self, x: Tensor, ff: Tensor) -> Drive:
        """Return what comes in from below: for the cell (depth) and for the output (channels)."""
        x = elu(x)
        return self.input_to_cell(x), self.input_to_out(x) + self.shortcut(ff)

    def initial_state(self, drive: Drive) -> State:
        """Return zeros for c (image, depth, height, width) and h (image, channels, height, width)."""
        to_cell, to_out = drive
        return torch.zeros_like(to_cell), torch.zeros_like(to_out)

    def forward(self, drive: Drive, fb: list[Tensor], state: State) -> tuple[Tensor, State]:
        """Compute one step; the output is h."""
        c, h = state
        to_cell, to_out = drive
        if self.feedback is not None:
            to_out = elementwise.add(self.feedback(fb, to_out.shape[2:]), to_out)
        next_c = _renewed(self.cell_tau(c, times=-1), c, self.cell_gate(h, times=-2), to_cell)
        next_h = _renewed(self.out_tau(h, times=-1), h, self.out_gate(c, times=-2), to_out)
        return next_h, (next_c, next_h)

    def finish_init(self) -> None:
        """Let a cell whose gates are at rest come to pass on a constant input as it is.

        That is where the gates of what is new balance what is kept:
        ``A_TAU / 2 + A_GATE (1 - tanh(bias)) = 1``.
        """
        balance = math.atanh(1 - (1 - A_TAU / 2) / A_GATE)
        for gate in (self.cell_gate, self.out_gate):
            gate.pointwise.set_bias(balance)


def _renewed(minus_tau: Tensor, state: Tensor, minus_two_gate: Tensor, new: Tensor) -> Tensor:
    """``ELU(A_TAU (1 - sigmoid(tau)) state + A_GATE (1 - tanh(gate)) new)``, of what is given overwritten."""
    # 1 - sigmoid(z) = sigmoid(-z), and 1 - tanh(z) = 2 sigmoid(-2 z), which is a faster function.
    keep, let_in = elementwise.sigmoid(minus_tau), elementwise.sigmoid(minus_two_gate)
    return elementwise.elu(elementwise.gated_sum(keep, state, let_in, new, A_TAU, 2 * A_GATE))
