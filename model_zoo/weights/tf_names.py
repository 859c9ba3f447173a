"""Map the authors' TensorFlow variables to the parameters here, by name.

A published checkpoint names every variable ``tnn_model/<layer>/...``. Kernels are stored as (height,
width, in, out), depthwise ones as (height, width, channel, 1), the classifier as (in, out).

The order of the axes, and the names, are those of github.com/neuroailab/convrnns.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from brainfit.errors import ContractError
from brainfit.support.messages import printable

from ..engine.graph import GraphModel
from ..engine.layers import Conv, ConvReadout, MeanReadout
from ..engine.node import Node

_PREFIX = "tnn_model"
_LAYERS = {"readout": "imnetds"}
"""The authors' names of layers that have another name here."""
_PRE: dict[type[nn.Module], str] = {Conv: "pre_0/", ConvReadout: "pre_1/", MeanReadout: "pre_3/"}
"""Beginning of the variables' names of a node's first operation, by its class."""
_ENDS = {
    "": "",
    "weight": "weights",
    "bias": "bias",
    "depthwise.weight": "depthwise_weights",
    "pointwise.weight": "pointwise_weights",
    "pointwise.bias": "bias",
    "of_input.weight": "weights",
    "of_input.bias": "bias",
    "of_state.weight": "weights",
    "gamma": "gamma",
    "beta": "beta",
}
"""End of the variable's name for each parameter of a module of `model_zoo.engine.layers`."""
_AXES = {1: (0,), 2: (1, 0), 3: (2, 0, 1), 4: (3, 2, 0, 1)}
"""Axes of the stored variable in the order of the parameter, by their number."""
_DEPTHWISE = (2, 3, 0, 1)
_DECODER = ("probs/softmax_beta", "alpha/softmax_beta", "normalize/softmax_beta", "decoder_threshold")


class Variable(NamedTuple):
    """One of the authors' variables.

    Attributes
    ----------
    name
        Its full name.
    parameters
        The corresponding parameters by their names in the model; several if the variable is a convolution of
        concatenated inputs.
    axes
        Its axes in the order of those of the parameters.
    """

    name: str
    parameters: dict[str, Tensor]
    axes: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the variable."""
        ours = list(next(iter(self.parameters.values())).shape)
        if len(ours) > 1:
            ours[1] = sum(parameter.shape[1] for parameter in self.parameters.values())
        return tuple(ours[self.axes.index(k)] for k in range(len(self.axes)))


def variables_of(model: GraphModel) -> list[Variable]:
    """Return the authors' variables that make up all parameters of `model`.

    Raises
    ------
    ContractError
        If it has a parameter that the authors' networks do not have.
    """
    found: dict[str, Variable] = {}
    for ours, parameter in model.named_parameters():
        theirs = _their_name(model, ours)
        axes = _DEPTHWISE if theirs.endswith("depthwise_weights") else _AXES[parameter.ndim]
        found.setdefault(theirs, Variable(theirs, {}, axes)).parameters[ours] = parameter
    return list(found.values())


def their_layer(layer: str) -> str:
    """Return the authors' name of a layer."""
    return _LAYERS.get(layer, layer)


def _their_name(model: GraphModel, ours: str) -> str:
    _, layer, inside = ours.split(".", 2)
    node = cast(Node, model.nodes[layer])
    cell = node.cell.tensorflow if node.cell else {}
    starts = {
        "pre": _PRE.get(type(node.pre), ""),
        "post": "post_0/",
        "shortcut": "post_1/residual_add_",
        **{f"cell.{part}": theirs for part, theirs in cell.items()},
    }
    for start, theirs in starts.items():
        end = _ENDS.get(inside.removeprefix(start).removeprefix("."))
        if theirs and inside.startswith(start) and end is not None:
            name = f"{_PREFIX}/{their_layer(layer)}/{theirs}{end}"
            return name + "_basenet" if name.endswith("/pre_0/weights") else name
    raise ContractError(
        f"the authors' networks have no variable for the parameter {ours!r} of {model.name}; "
        "only theirs can be converted from TensorFlow"
    )


@torch.no_grad()
def load_variables(model: GraphModel, variables: Mapping[str, np.ndarray]) -> None:
    """Replace all parameters of `model` by the authors' variables.

    Parameters
    ----------
    model
        One of the authors' networks.
    variables
        By their TensorFlow names, in TensorFlow's layout. Those of the optimiser and of the decoder are
        ignored.

    Raises
    ------
    ContractError
        If a variable is missing, is one too many, has another shape, or holds what is no real number, or
        none that is finite in float32.
        The model is then unchanged.
    """
    rows = variables_of(model)
    wanted = {row.name: row.shape for row in rows}
    got = {name: values.shape for name, values in variables.items() if not _is_ignored(name)}
    # Layers without a state are stored as ones whose memory decays at once.
    decays = {
        f"{_PREFIX}/{their_layer(layer)}/memory_decay" for layer in model.layers
    } & got.keys() - wanted.keys()
    misshapen = [name for name, shape in wanted.items() if name in got and got[name] != shape]
    _refuse("without", wanted.keys() - got.keys())
    _refuse("with unknown", got.keys() - wanted.keys() - decays)
    _refuse("with nonzero", {name for name in decays if np.any(variables[name])})
    _refuse(
        "with misshapen", {f"{printable(name)} ({got[name]}, wanted {wanted[name]})" for name in misshapen}
    )
    _refuse("with other than real numbers in", {n for n in wanted if variables[n].dtype.kind != "f"})
    cast = {name: torch.from_numpy(variables[name].copy()).float() for name in wanted}
    _refuse("with a number that is not finite in", {n for n, v in cast.items() if not v.isfinite().all()})
    for row in rows:
        ours = cast[row.name].permute(row.axes)
        if len(row.parameters) == 1:
            parts = (ours,)
        else:
            parts = ours.split([parameter.shape[1] for parameter in row.parameters.values()], dim=1)
        for parameter, part in zip(row.parameters.values(), parts, strict=True):
            parameter.copy_(part)


def decoder_settings(variables: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the settings of `model_zoo.decoders` that were stored with the authors' variables, if any."""
    stored = {"beta": f"{_PREFIX}/normalize/softmax_beta", "threshold": f"{_PREFIX}/decoder_threshold"}
    return {ours: float(variables[name].item()) for ours, name in stored.items() if name in variables}


def _is_ignored(name: str) -> bool:
    if name in {f"{_PREFIX}/{decoder}" for decoder in _DECODER}:
        return True
    return name == "global_step" or name.endswith("/Momentum")


def _refuse(what: str, names: Set[str]) -> None:
    if names:
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        raise ContractError(
            f"weights {what} variable {', '.join(printable(name, 160) for name in sorted(names)[:4])}{more}; "
            "they must be those of the same model, built with the same options"
        )
