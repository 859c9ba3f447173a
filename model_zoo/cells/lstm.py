"""The long short-term memory of [1]_, with convolutions as in [2]_.

.. code-block:: text

    i, j, f, o = norm( conv([x, h]) + b )          each of the four, in this order, with a norm of its own
    c_t = norm( sigmoid(f + forget_bias + P_f c) c  +  sigmoid(i + P_i c) tanh(j) )
    h_t = sigmoid(o + P_o c) tanh(c_t)

The output is h. Layer norms, which make the c that is kept a normalised one, and the peepholes P are in
shallow networks only. That the output gate peeps at c, and not at c_t as in [2]_, is how the authors of
[3]_ have it.

References
----------
.. [1] Hochreiter & Schmidhuber (1997), Long short-term memory. Neural Computation 9.
.. [2] Shi et al. (2015), Convolutional LSTM network: a machine learning approach for precipitation
   nowcasting. NeurIPS. arXiv:1506.04214, equation 3.
.. [3] Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
   NeurIPS. arXiv:1807.00053, supplement 6.2. The constants are those of the authors' published configuration.
.. [4] Ba, Kiros & Hinton (2016), Layer normalization. arXiv:1607.06450.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ..engine.elementwise import add, gated_sum, sigmoid, tanh
from ..engine.layers import JointConv, LayerNorm
from ..engine.node import Cell, CellContext, Drive, State
from . import shallow_channels

_PARTS = ("input", "transform", "forget", "output")  # i, j, f, o
_NORMS = (*_PARTS, "state")
_GATES = ("input", "forget", "output")
# For each layer the size of the kernel, and the forget bias.
_SHALLOW = {
    "conv3": (2, 1.3561755203084322),
    "conv4": (3, 0.977962918535079),
    "conv5": (4, 0.9249280259963113),
}


class LSTM(Cell):
    """Long short-term memory: gates decide what c forgets, what it takes in, and what of it is seen.

    Parameters
    ----------
    context
        Position in the network.
    channels
        Channels of c and of h; by default those of x.
    kernel
        Size of the convolution's kernel.
    forget_bias
        Added in the forget gate, on top of a bias.
    layer_norm
        Normalise i, j, f, o and c.
    peepholes
        Let the gates read c, with one weight for each pixel and channel: the weights then fit one size of
        map only.
    """

    loops = ("gates.of_state",)
    tensorflow: ClassVar = {
        "gates": "ConvLSTMCell/",
        **{f"norms.{part}": f"ConvLSTMCell/{part}/" for part in _NORMS},
        **{f"peepholes.{gate}": f"ConvLSTMCell/peepholes/w_{gate[0]}_diag" for gate in _GATES},
    }

    def __init__(
        self,
        context: CellContext,
        *,
        channels: int | None = None,
        kernel: int = 3,
        forget_bias: float = 1.0,
        layer_norm: bool = False,
        peepholes: bool = False,
    ) -> None:
        super().__init__()
        self.channels = channels = context.channels if channels is None else channels
        self.forget_bias = forget_bias
        self.gates = JointConv(context.channels, channels, 4 * channels, kernel)
        self.norms = nn.ModuleDict(
            {
                part: LayerNorm(channels, context.norm_epsilon) if layer_norm else nn.Identity()
                for part in _NORMS
            }
        )
        shape = (channels, context.size, context.size)
        self.peepholes = nn.ParameterDict({gate: torch.empty(shape) for gate in _GATES} if peepholes else {})

    def drive(self, x: Tensor, ff: Tensor) -> Drive:
        """Return what comes in from below for i, j, f and o (4 x channels)."""
        return (self.gates.of_input(x),)

    def initial_state(self, drive: Drive) -> State:
        """Return zeros for c and h, both (image, channels, height, width)."""
        zeros = torch.zeros_like(drive[0].chunk(4, dim=1)[0])
        return zeros, zeros

    def forward(self, drive: Drive, fb: list[Tensor], state: State) -> tuple[Tensor, State]:
        """Compute one step; the output is h."""
        c, h = state
        parts = add(self.gates.of_state(h), drive[0]).chunk(4, dim=1)
        normed = (self.norms[name](part) for name, part in zip(_PARTS, parts, strict=True))
        take, new, keep, show = normed
        kept = sigmoid(self._peep("forget", c, add(keep, self.forget_bias)))
        next_c = self.norms["state"](gated_sum(kept, c, sigmoid(self._peep("input", c, take)), tanh(new)))
        h = sigmoid(self._peep("output", c, show)) * torch.tanh(next_c)
        return h, (next_c, h)

    def finish_init(self) -> None:
        """Close the peepholes, as they are before training."""
        for weight in self.peepholes.values():
            nn.init.zeros_(weight)

    def _peep(self, gate: str, c: Tensor, fresh: Tensor) -> Tensor:
        return add(fresh, self.peepholes[gate] * c) if gate in self.peepholes else fresh


def shallow(context: CellContext) -> LSTM:
    """Return the cell of the authors' shallow network, by its layer: normed; 128, 256 and 256 channels."""
    channels = shallow_channels(context)
    kernel, forget_bias = _SHALLOW[context.layer]
    return LSTM(
        context,
        channels=channels,
        kernel=kernel,
        forget_bias=forget_bias,
        layer_norm=True,
        peepholes=context.layer == "conv4",
    )
