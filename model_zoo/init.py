"""Random weights from a seed, without touching the global random numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn


@torch.no_grad()
def fill(model: nn.Module, seed: int, gain: Callable[[str], float]) -> None:
    """Fill all parameters: weights normal with std ``gain(name) / sqrt(fan_in)``, biases zero.

    Parameters
    ----------
    model
        Its vectors are taken for biases; all other parameters have the fan-in behind dimension 0.
    seed
        Of a generator of its own, on the CPU; parameters are drawn in the order of their names in `model`.
    gain
        From a parameter's name; sqrt(2) is that of [1]_.

    References
    ----------
    .. [1] He et al. (2015), Delving deep into rectifiers. ICCV. arXiv:1502.01852, equation 10.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            parameter.zero_()
        else:
            fan_in = parameter[0].numel()
            parameter.normal_(0, gain(name) / math.sqrt(fan_in), generator=generator)
