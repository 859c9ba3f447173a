"""The plain recurrent network of [1]_, with convolutions, an ELU, and in shallow networks layer norm.

.. code-block:: text

    h_t = ELU( norm( conv3(h) + b  +  conv3(x) + b' ) )

The output is h.

References
----------
.. [1] Elman (1990), Finding structure in time. Cognitive Science 14.
.. [2] Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
   NeurIPS. arXiv:1807.00053, supplement 6.2.
.. [3] Ba, Kiros & Hinton (2016), Layer normalization. arXiv:1607.06450.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ..engine.elementwise import add, elu
from ..engine.layers import Conv, LayerNorm
from ..engine.node import Cell, CellContext, Drive, State
from . import shallow_channels


class SimpleRNN(Cell):
    """Plain recurrent cell: the new state is made of the input and the one before.

    Parameters
    ----------
    context
        Position in the network.
    channels
        Channels of h; by default those of x.
    layer_norm
        Normalise the sum before the ELU.
    """

    loops = ("of_state",)
    tensorflow: ClassVar = {
        "of_input": "ConvNormBasicCell/i/",
        "of_state": "ConvNormBasicCell/s/",
        "norm": "ConvNormBasicCell/layer_norm/",
    }

    def __init__(
        self, context: CellContext, *, channels: int | None = None, layer_norm: bool = False
    ) -> None:
        super().__init__()
        self.channels = context.channels if channels is None else channels
        self.of_input = Conv(context.channels, self.channels, 3)
        self.of_state = Conv(self.channels, self.channels, 3)
        self.norm = LayerNorm(self.channels, context.norm_epsilon) if layer_norm else nn.Identity()

    def drive(self, x: Tensor, ff: Tensor) -> Drive:
        """Return what comes in from below (channels)."""
        return (self.of_input(x),)

    def initial_state(self, drive: Drive) -> State:
        """Return zeros for h (image, channels, height, width)."""
        return (torch.zeros_like(drive[0]),)

    def forward(self, drive: Drive, fb: list[Tensor], state: State) -> tuple[Tensor, State]:
        """Compute one step; the output is h."""
        h = elu(self.norm(add(self.of_state(state[0]), drive[0])))
        return h, (h,)


def shallow(context: CellContext) -> SimpleRNN:
    """Return the cell of the authors' shallow network, by its layer: normed; 128, 256 and 256 channels."""
    return SimpleRNN(context, channels=shallow_channels(context), layer_norm=True)
