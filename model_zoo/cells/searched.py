"""Any cell of the search space of [1]_, as its configuration defines it.

The equations are in `model_zoo.cells.search_space`; those of one cell are what its configuration prints.

References
----------
.. [1] Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
   NeurIPS. arXiv:1807.00053, section 3.3, Fig. 3a and supplement 6.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..engine import elementwise
from ..engine.layers import Conv, Feedback, LayerNorm, SeparableConv, resize
from ..engine.node import Cell, CellContext, Drive, State
from .search_space import FUNCTIONS, CellConfig, Path, Paths, Update

# The same functions, of what may be overwritten.
_OVERWRITING = {name: getattr(elementwise, name, function) for name, function in FUNCTIONS.items()}


class Searched(Cell):
    """The cell at one point of the search space.

    Its `loops` are the convolutions of c, h and feedback, and besides all that are in a gate: with random
    weights gates then stay near their constants, whatever the input.

    Parameters
    ----------
    context
        Position in the network. Paths of feedback are left out if none arrives there.
    config
        The point.

    Examples
    --------
    >>> from model_zoo.cells.search_space import SHALLOW
    >>> Searched(CellContext("conv4", inputs=8, channels=16, size=14), SHALLOW).config == SHALLOW
    True
    """

    def __init__(self, context: CellContext, config: CellConfig) -> None:
        super().__init__()
        self.config = config
        self.channels = context.channels
        self.depth = config.depth or context.channels
        self.to_input = _Sum(config.to_input, context, self.depth, context.channels)
        self.cell = _Renewal(config.cell, context, self.depth, self.depth, config.layer_norm)
        self.out = _Renewal(config.out, context, self.depth, context.channels, config.layer_norm)
        # Other cells fix these per class; here they differ between points of the space.
        self.takes_feedback = any(isinstance(part, _FeedbackPath) for part in self.modules())
        self.loops = tuple(
            f"{name}.{path}"
            for name, part in self.named_modules()
            if isinstance(part, _Sum)
            for path in part.loops()
        )

    def drive(self, x: Tensor, ff: Tensor) -> Drive:
        """Return x, and what of it and of ff is in each sum of c and h: zero where nothing is.

        If feedback is added to x, x here is the value before that, and paths of x wait for it.
        """
        known = {"ff": ff}
        if not self.to_input.paths:
            x = known["x"] = FUNCTIONS[self.config.input_activation](x)
        nothing = x.new_zeros(1, 1, 1, 1)
        return x, *(total(nothing, known) for part in (self.cell, self.out) for total in part.sums())

    def initial_state(self, drive: Drive) -> State:
        """Return zeros for c (image, depth, height, width) and h (image, channels, height, width)."""
        images, _, height, width = drive[0].shape
        return tuple(
            drive[0].new_zeros(images, channels, height, width) for channels in (self.depth, self.channels)
        )

    def forward(self, drive: Drive, fb: list[Tensor], state: State) -> tuple[Tensor, State]:
        """Compute one step; the output is h."""
        c, h = state
        x, *early = drive
        late: dict[str, Any] = {"c": c, "h": h, "fb": fb}
        if self.to_input.paths:
            late["x"] = FUNCTIONS[self.config.input_activation](self.to_input(x, late))
        next_c = self.cell(c, early[:3], late)
        next_h = self.out(h, early[3:], late)
        return next_h, (next_c, next_h)


class _Renewal(nn.Module):
    """One state's step, ``activation(norm(tau state + gate I))``."""

    def __init__(
        self, update: Update, context: CellContext, depth: int, channels: int, layer_norm: bool
    ) -> None:
        super().__init__()
        self.update = update
        self.tau = _Sum(update.tau.paths, context, depth, channels, multiplies=True)
        self.gate = _Sum(update.gate.paths, context, depth, channels, multiplies=True)
        self.inputs = _Sum(update.inputs, context, depth, channels)
        self.norm = LayerNorm(channels, context.norm_epsilon) if layer_norm else nn.Identity()

    def sums(self) -> tuple[_Sum, _Sum, _Sum]:
        return self.tau, self.gate, self.inputs

    def forward(self, state: Tensor, early: list[Tensor], late: Mapping[str, Any]) -> Tensor:
        """From the state and the two halves of its sums: early, as they are, and late, by source."""
        tau, gate, new = (total(start, late) for total, start in zip(self.sums(), early, strict=True))
        kept, let_in = (
            elementwise.affine(_OVERWRITING[g.nonlinearity](g.bias + z), g.multiplier, g.offset)
            for g, z in ((self.update.tau, tau), (self.update.gate, gate))
        )
        total = self.norm(elementwise.gated_sum(kept, state, let_in, new))
        return _OVERWRITING[self.update.activation](total)


class _Sum(nn.Module):
    """A sum of paths that is made in parts, of those whose sources are at hand; maybe a gate's."""

    def __init__(
        self, paths: Paths, context: CellContext, depth: int, outputs: int, multiplies: bool = False
    ) -> None:
        super().__init__()
        channels = {"x": context.channels, "ff": context.inputs, "c": depth, "h": context.channels}
        self.multiplies = multiplies
        self.paths = tuple(path for path in paths if path.source != "fb" or context.feedback)
        self.convs = nn.ModuleList(
            _FeedbackPath(path, context, outputs)
            if path.source == "fb"
            else _convolution(path, channels[path.source], outputs)
            for path in self.paths
        )

    def forward(self, total: Tensor, sources: Mapping[str, Any]) -> Tensor:
        """Add to `total` the paths from `sources`: maps, or for fb a list of them."""
        for path, conv in zip(self.paths, self.convs, strict=True):
            if path.source in sources:
                part = conv(sources[path.source])
                # Without a convolution it is the source itself.
                total = total + part if isinstance(conv, nn.Identity) else elementwise.add(part, total)
        return total

    def loops(self) -> Iterator[str]:
        """Yield names of convolutions whose random weights are small; of a separable one, its second half."""
        for k, path in enumerate(self.paths):
            if self.multiplies or path.source in ("c", "h", "fb"):
                conv = f"convs.{k}.conv" if path.source == "fb" else f"convs.{k}"
                yield f"{conv}.pointwise" if path.separable else conv


class _FeedbackPath(nn.Module):
    """A path of feedback, from each source's own resolution to the map of the cell."""

    def __init__(self, path: Path, context: CellContext, outputs: int) -> None:
        super().__init__()
        self.size = torch.Size((context.size, context.size))
        # 1 x 1 commutes with the resize, and then is the cheaper of the two ways.
        self.conv = (
            Feedback(context.feedback, outputs)
            if path == Path("fb", 1, bias=True)
            else _convolution(path, sum(context.feedback), outputs)
        )

    def forward(self, fb: list[Tensor]) -> Tensor:
        if isinstance(self.conv, Feedback):
            return self.conv(fb, self.size)
        images = max(map(len, fb))
        return self.conv(torch.cat([resize(f, self.size).expand(images, -1, -1, -1) for f in fb], dim=1))


def _convolution(path: Path, inputs: int, outputs: int) -> nn.Module:
    if path.kernel is None:
        return nn.Identity() if inputs == outputs else Conv(inputs, outputs, 1, bias=False)
    if path.separable:
        return SeparableConv(inputs, outputs, path.kernel)
    return Conv(inputs, outputs, path.kernel, bias=path.bias)
