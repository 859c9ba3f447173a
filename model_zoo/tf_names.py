"""The authors' TensorFlow variables, by their names, into our parameters.

A published checkpoint names every variable ``tnn_model/<layer>/...``. Kernels are stored as (height,
width, in, out), depthwise ones as (height, width, channel, 1), the classifier as (in, out).

The order of the axes, and the names, are those of github.com/neuroailab/convrnns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

import numpy as np
import torch

from brainfit.errors import ContractError

from .graph import GraphModel

_PREFIX = "tnn_model"

# Axes of the stored variable in the order of our parameter.
_KERNEL = (3, 2, 0, 1)
_DEPTHWISE = (2, 3, 0, 1)
_MATRIX = (1, 0)
_VECTOR = (0,)

# Ends of the names within a layer: theirs, ours, axes.
_Row = tuple[str, str, tuple[int, ...]]


def _conv(theirs: str, ours: str, weight: str = "weights") -> list[_Row]:
    return [(f"{theirs}{weight}", f"{ours}.weight", _KERNEL), (f"{theirs}bias", f"{ours}.bias", _VECTOR)]


def _separable(theirs: str, ours: str) -> list[_Row]:
    return [
        (f"{theirs}/depthwise_weights", f"{ours}.depthwise.weight", _DEPTHWISE),
        *_conv(f"{theirs}/", f"{ours}.pointwise", weight="pointwise_weights"),
    ]


_MEDIAN = "ReciprocalGateCell"
_CONV_LAYER: list[_Row] = [
    *_conv("pre_0/", "pre", weight="weights_basenet"),
    *_conv(f"{_MEDIAN}/cell/input_to_cell_", "cell.input_to_cell"),
    *_separable(f"{_MEDIAN}/cell/tau", "cell.cell_tau"),
    *_separable(f"{_MEDIAN}/cell/out_to_cell", "cell.cell_gate"),
    *_conv(f"{_MEDIAN}/out/input_to_out_", "cell.input_to_out"),
    (f"{_MEDIAN}/out/residual_add_weights", "cell.shortcut.weight", _KERNEL),
    *_conv(f"{_MEDIAN}/out/feedback_to_out_", "cell.feedback"),
    *_separable(f"{_MEDIAN}/out/tau", "cell.out_tau"),
    *_separable(f"{_MEDIAN}/out/gate", "cell.out_gate"),
]
_CLASSIFIER: list[_Row] = [("pre_3/weights", "pre.weight", _MATRIX), ("pre_3/bias", "pre.bias", _VECTOR)]


def _is_training_only(name: str) -> bool:
    return name == "global_step" or name.endswith("/Momentum")


def _map(model: GraphModel) -> Iterator[tuple[str, torch.Tensor, tuple[int, ...]]]:
    """Yield for each parameter of `model`: their name, the parameter, and the axes of theirs."""
    parameters = dict(model.named_parameters())
    for layer in model.layers:
        for theirs, ours, axes in _CLASSIFIER if layer == "imnetds" else _CONV_LAYER:
            parameter = parameters.get(f"nodes.{layer}.{ours}")
            if parameter is not None:  # only some layers have a cell, a projection, feedback
                yield f"{_PREFIX}/{layer}/{theirs}", parameter, axes


@torch.no_grad()
def load_variables(model: GraphModel, variables: Mapping[str, np.ndarray], weights: str) -> None:
    """Replace all parameters of `model` by the authors' variables.

    Parameters
    ----------
    model
        A median ConvRNN.
    variables
        By their TensorFlow names, in TensorFlow's layout. Those of the optimiser are ignored.
    weights
        Where they came from, for results: the sha256 of their file.

    Raises
    ------
    ContractError
        If a variable is missing, is one too many, or has another shape. The model is then unchanged.
    """
    rows = list(_map(model))
    wanted = {name: _stored_shape(parameter, axes) for name, parameter, axes in rows}
    got = {name: values.shape for name, values in variables.items() if not _is_training_only(name)}
    # Layers without a state are stored as ones whose memory decays at once.
    decays = {f"{_PREFIX}/{layer}/memory_decay" for layer in model.layers} & got.keys()
    misshapen = [name for name, shape in wanted.items() if name in got and got[name] != shape]
    _refuse("without", wanted.keys() - got.keys())
    _refuse("with unknown", got.keys() - wanted.keys() - decays)
    _refuse("with nonzero", {name for name in decays if np.any(variables[name])})
    _refuse("with misshapen", {f"{name} ({got[name]}, wanted {wanted[name]})" for name in misshapen})
    for name, parameter, axes in rows:
        parameter.copy_(torch.from_numpy(np.transpose(variables[name], axes).copy()))
    model.weights = weights


def _stored_shape(parameter: torch.Tensor, axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(parameter.shape[axes.index(k)] for k in range(len(axes)))


def _refuse(what: str, names: Set[str]) -> None:
    if names:
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        raise ContractError(
            f"weights {what} variable {', '.join(sorted(names)[:4])}{more}; "
            "they must be those of the same model, built with the same options"
        )
