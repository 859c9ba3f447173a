"""The simplest memory: what came before fades at one rate, the same for the whole layer.

.. code-block:: text

    s_t = memory_decay s + x

The output is s. Nothing bounds the rate, which is learnt.

References
----------
.. [1] Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
   NeurIPS. arXiv:1807.00053, section 2 and supplement 6.2.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ..engine.elementwise import add
from ..engine.node import Cell, CellContext, Drive, State


class TimeDecay(Cell):
    """Time decay: a leaky sum of the input."""

    tensorflow: ClassVar = {"memory_decay": "memory_decay"}

    def __init__(self, context: CellContext) -> None:
        super().__init__()
        self.channels = context.channels
        # The authors start training at 0, which without training would be no memory at all: half stays here.
        self.memory_decay = nn.Parameter(torch.full((1,), 0.5))

    def drive(self, x: Tensor, ff: Tensor) -> Drive:
        """Return x itself."""
        return (x,)

    def initial_state(self, drive: Drive) -> State:
        """Return zeros for s (image, channels, height, width)."""
        return (torch.zeros_like(drive[0]),)

    def forward(self, drive: Drive, fb: list[Tensor], state: State) -> tuple[Tensor, State]:
        """Compute one step; the output is s."""
        s = add(self.memory_decay * state[0], drive[0])
        return s, (s,)
