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

from torch import Tensor, sigmoid, tanh

from ..layers import JointConv
from ..node import Cell, Drive, Place, State


class UGRNN(Cell):
    """Update gate RNN: one gate says how much of h stays."""

    loops = ("mix.of_state",)
    tensorflow: ClassVar = {"mix": "ConvUGRNNCell/"}

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.channels = place.channels
        self.mix = JointConv(place.channels, self.channels, 2 * self.channels, 3)

    def drive(self, x: Tensor, ff: Tensor) -> Drive:
        """Return what comes in from below for g and c (2 x channels)."""
        return (self.mix.of_input(x),)

    def initial_state(self, drive: Drive) -> State:
        """Return zeros for h (image, channels, height, width)."""
        return (drive[0].new_zeros(drive[0].chunk(2, dim=1)[0].shape),)

    def forward(self, drive: Drive, fb: list[Tensor], state: State) -> tuple[Tensor, State]:
        """One step; the output is h."""
        (h,) = state
        gate, candidate = (drive[0] + self.mix.of_state(h)).chunk(2, dim=1)
        keep = sigmoid(gate + 1)
        h = keep * h + (1 - keep) * tanh(candidate)
        return h, (h,)
