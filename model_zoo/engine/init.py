"""Random weights from a seed, without touching the global random numbers."""

from __future__ import annotations

import math

import torch
from torch import nn

from .node import Cell, Node

_LOOP_GAIN = 0.1
_RESIDUAL_GAIN = 0.5


@torch.no_grad()
def fill(model: nn.Module, seed: int, readout_gain: float = 1.0) -> None:
    """Draw random weights with which activity neither dies nor explodes over many layers and steps.

    Weights are normal with variance 1 / fan-in, times the square of 0.1 where they close a loop
    (`Cell.loops`), and of 0.5 in the branch that is added to a shortcut. Biases are zero, but for
    what cells set (`Cell.finish_init`). Gains of norms, and rates, stay as they were made.

    Parameters
    ----------
    model
        Parameters with *bias* in their own name are biases; all others of two dimensions or more are
        weights, whose fan-in is the product of all dimensions but the first.
    seed
        Seed of a generator of its own, on the CPU; parameters are drawn in the order of the model's.
    readout_gain
        Factor of the weights of readout layers. With 0.01, say, a training starts at a cross-entropy
        of ln(classes).
    """
    generator = torch.Generator().manual_seed(seed)
    gains = _gains(model)
    gains |= {f"nodes.{layer}.": readout_gain for layer in getattr(model, "readout_layers", ())}
    for name, parameter in model.named_parameters():
        if "bias" in name.rpartition(".")[2]:
            parameter.zero_()
        elif parameter.ndim > 1:
            gain = next((gain for start, gain in gains.items() if name.startswith(start)), 1.0)
            parameter.normal_(0, gain / math.sqrt(parameter[0].numel()), generator=generator)
    for module in model.modules():
        if isinstance(module, Cell):
            module.finish_init()


def _gains(model: nn.Module) -> dict[str, float]:
    """Return the gains that are not 1, by the beginning of the parameters' names."""
    gains = {}
    for name, module in model.named_modules():
        if isinstance(module, Cell):
            gains |= {f"{name}.{part}.": _LOOP_GAIN for part in module.loops}
        elif isinstance(module, Node) and module.shortcut is not None:
            gains[f"{name}.post."] = _RESIDUAL_GAIN
    return gains
