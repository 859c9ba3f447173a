"""The space of cells that the search of [1]_ went through, and a random point of it.

A cell has a state c and an output state h. Each keeps what it had as far as `tau` lets it, and takes in
what is new, `I`, as far as `gate` lets it:

.. code-block:: text

    x   = activation(pre + sum of paths)               pre: the node's convolution; paths: feedback
    s_t = activation(norm(tau s + gate I))             s: c or h; norm: layer norm, or nothing
    tau, gate = offset + multiplier nonlinearity(bias + sum of paths)
    I         = sum of paths

A path is a convolution of the input x, of the raw input ff, of c, of h, or of the feedback fb, which is
resized to the map first; all of c, h and fb are those of the step before. Which paths there are, and how each
is made, is what makes a cell: `SHALLOW` and `MEDIAN` are the two that were published.

The space holds the options of the authors' published configuration, with the choices
of Fig. 3a: a connection or none, its kernel, separable or not, a gate's nonlinearity, and whether one state
gates the other or is added to it. A cell without c, to which their options can also be set, is left out. The
ranges of the search are not part of it: `model_zoo.networks.random_convrnn` has its own.

References
----------
.. [1] Nayebi et al. (2018), Task-driven convolutional recurrent models of the visual system.
   NeurIPS. arXiv:1807.00053, section 3.3, Fig. 3a and supplement 6.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

import torch

from brainfit.errors import ContractError
from brainfit.support.arguments import number, one_of, whole_number

from .reciprocal_gated_median import A_GATE, A_TAU

Source = Literal["x", "ff", "c", "h", "fb"]
SOURCES = ("x", "ff", "c", "h", "fb")
LARGEST_KERNEL = 7
LARGEST_DEPTH = 4096
FUNCTIONS = {
    "identity": torch.nn.Identity(),
    "elu": torch.nn.functional.elu,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}
_LIMIT = 1e3  # of a gate's constants: more is a mistake


@dataclass(frozen=True)
class Path:
    """A convolution of one source.

    Attributes
    ----------
    source
        ``"x"``, ``"ff"``, ``"c"``, ``"h"`` or ``"fb"``.
    kernel
        Its size, 1 to 7; None: the source as it is, or its 1 x 1 projection (no bias) where channels differ.
    separable
        Use a depthwise, then a pointwise convolution, with a bias.
    bias
        Add a bias.
    """

    source: Source
    kernel: int | None = None
    separable: bool = False
    bias: bool = False

    def __post_init__(self) -> None:
        one_of("the source of a path", self.source, SOURCES)
        _of_kind("separable of a path", self.separable, bool)
        _of_kind("bias of a path", self.bias, bool)
        if self.kernel is None:
            if self.separable or self.bias:
                raise ContractError(
                    f"a path of {self.source} as it is has neither bias nor separable; give a kernel"
                )
        elif whole_number("the kernel of a path", self.kernel, 1) > LARGEST_KERNEL:
            raise ContractError(f"the kernel of a path is 1 to {LARGEST_KERNEL}, got {self.kernel}")
        if self.separable and not self.bias:
            raise ContractError(f"a separable path has a bias; give the one of {self.source} bias=True")

    def __str__(self) -> str:
        if self.kernel is None:
            return self.source
        return (
            f"{'ds' if self.separable else 'conv'}{self.kernel}({self.source}){' + b' if self.bias else ''}"
        )


Paths = tuple[Path, ...]


@dataclass(frozen=True)
class Gate:
    """A factor of a state or an input: ``offset + multiplier nonlinearity(bias + sum of paths)``."""

    paths: Paths
    nonlinearity: str = "sigmoid"
    offset: float = 1.0
    multiplier: float = -1.0
    bias: float = 0.0

    def __post_init__(self) -> None:
        _check_paths("paths of a gate", self.paths)
        one_of("the nonlinearity of a gate", self.nonlinearity, tuple(FUNCTIONS))
        for name in ("offset", "multiplier", "bias"):
            number(f"the {name} of a gate", getattr(self, name), -_LIMIT, _LIMIT)

    def __str__(self) -> str:
        terms = [f"{self.bias:.4g}"] * (self.bias != 0) + [str(path) for path in self.paths]
        sign, size = "-" if self.multiplier < 0 else "+", abs(self.multiplier)
        return f"{self.offset:.4g} {sign} {size:.4g} {self.nonlinearity}({' + '.join(terms) or 0})"


@dataclass(frozen=True)
class Update:
    """Compute one step of a state: ``activation(norm(tau state + gate I))``; I is the sum of `inputs`."""

    inputs: Paths
    tau: Gate
    gate: Gate
    activation: str = "elu"

    def __post_init__(self) -> None:
        _check_paths("inputs of a state", self.inputs)
        _of_kind("tau of a state", self.tau, Gate)
        _of_kind("gate of a state", self.gate, Gate)
        one_of("the activation of a state", self.activation, tuple(FUNCTIONS))
        if not any(path.source in ("x", "ff") for path in self.inputs):
            raise ContractError("a state of a cell has no input from below; give inputs a path from x or ff")


@dataclass(frozen=True)
class CellConfig:
    """A point of the search space; printed, it is the equations of the cell.

    Attributes
    ----------
    cell, out
        Updates of c and h.
    depth
        Channels of c, the same in all layers; None: those of h.
    input_activation
        Activation that makes x of the node's convolution.
    to_input
        Paths of feedback that are added before that.
    layer_norm
        Normalise c and h before their activation, as the authors' code can do in this place only.

    Raises
    ------
    ContractError
        For a source, kernel, function or number that there is not, or a state without an input.

    Examples
    --------
    >>> print(MEDIAN)
    x    = elu(pre)
    c_t  = elu(tau c + gate I)
    tau  = 0.9219 - 0.9219 sigmoid(ds7(c) + b)
    gate = 0.7007 - 0.7007 tanh(ds7(h) + b)
    I    = conv2(x) + b
    h_t  = elu(tau h + gate I)
    tau  = 0.9219 - 0.9219 sigmoid(ds7(h) + b)
    gate = 0.7007 - 0.7007 tanh(ds7(c) + b)
    I    = conv3(x) + b + ff + conv1(fb) + b
    c has 64 channels
    """

    cell: Update
    out: Update
    depth: int | None = None
    input_activation: str = "elu"
    to_input: Paths = ()
    layer_norm: bool = False

    def __post_init__(self) -> None:
        _of_kind("cell of a CellConfig", self.cell, Update)
        _of_kind("out of a CellConfig", self.out, Update)
        _check_paths("to_input of a CellConfig", self.to_input)
        _of_kind("layer_norm of a CellConfig", self.layer_norm, bool)
        one_of("the input_activation of a cell", self.input_activation, tuple(FUNCTIONS))
        if self.depth is not None and whole_number("the depth of a cell", self.depth, 1) > LARGEST_DEPTH:
            raise ContractError(f"the depth of a cell is 1 to {LARGEST_DEPTH}, got {self.depth}")
        if wrong := [path.source for path in self.to_input if path.source != "fb"]:
            raise ContractError(
                f"to_input takes paths from fb only, got {', '.join(wrong)}; put them elsewhere"
            )

    def __str__(self) -> str:
        norm = "norm" if self.layer_norm else ""
        lines = [f"x    = {self.input_activation}({' + '.join(map(str, ('pre', *self.to_input)))})"]
        for state, update in (("c", self.cell), ("h", self.out)):
            total = f"tau {state} + gate I"
            lines += [
                f"{state}_t  = {update.activation}({f'norm({total})' if norm else total})",
                f"tau  = {update.tau}",
                f"gate = {update.gate}",
                f"I    = {' + '.join(map(str, update.inputs))}",
            ]
        return "\n".join([*lines, f"c has {self.depth or 'as many'} channels{'' if self.depth else ' as h'}"])


def _of_kind(what: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise ContractError(f"{what} is a {kind.__name__}, got {value!r}")


def _check_paths(what: str, value: object) -> None:
    _of_kind(what, value, tuple)
    for path in cast(tuple, value):
        _of_kind(f"each of the {what}", path, Path)


def _shallow() -> CellConfig:
    conv = partial(Path, kernel=3)
    return CellConfig(
        Update((conv("x"),), Gate((conv("c"),)), Gate((conv("h"),))),
        Update((Path("x"),), Gate((conv("h"),)), Gate((conv("c"), conv("ff")))),
    )


def _median() -> CellConfig:
    wide, plain = (partial(Path, separable=separable, bias=True) for separable in (True, False))
    tau = partial(Gate, offset=A_TAU, multiplier=-A_TAU)
    gate = partial(Gate, nonlinearity="tanh", offset=A_GATE, multiplier=-A_GATE)
    return CellConfig(
        Update((plain("x", 2),), tau((wide("c", 7),)), gate((wide("h", 7),))),
        Update((plain("x", 3), Path("ff"), plain("fb", 1)), tau((wide("h", 7),)), gate((wide("c", 7),))),
        depth=64,
    )


SHALLOW = _shallow()
"""The reciprocal gated cell of section 3.2, which the search extends."""
MEDIAN = _median()
"""The cell that it arrived at: its median model."""
