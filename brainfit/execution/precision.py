"""Precision of a model's computations: 32 bits, or 16 bits in products of matrices.

In ``"bfloat16"`` torch's autocast runs convolutions and other products with 8 bits of mantissa. The model
itself stays as it is: weights are rounded as they are used, and what it adds up in float32 (a leaky sum)
stays in float32. It is up to twice as fast on processors that have it (AVX-512 BF16, AMX; NVIDIA GPUs from
Ampere on), and slower on others. It has not been tested on a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from brainfit.contracts.vocabulary import DEVICES, PRECISIONS
from brainfit.errors import ContractError
from brainfit.support.arguments import one_of


@contextmanager
def computing_in(precision: str, device: str = "cpu") -> Iterator[None]:
    """Let torch compute in `precision` in this block, whatever autocast is in force around it.

    Parameters
    ----------
    precision
        One of `PRECISIONS`; float32 changes nothing.
    device
        Device of the images: ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    ContractError
        If the precision is unknown, or the GPU cannot compute in it.
    """
    one_of("precision", precision, PRECISIONS)
    narrow = ()
    if precision == "bfloat16":
        has_gpu = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
        if device == "cuda" and not has_gpu:
            raise ContractError("this GPU does not compute in bfloat16; use precision float32")
        # On both: a model may itself move the images to where its weights are.
        narrow = ("cpu", *["cuda"] * has_gpu)
    with ExitStack() as casts:
        for each in DEVICES:
            if each in narrow:
                casts.enter_context(torch.autocast(each, torch.bfloat16))
            elif torch.is_autocast_enabled(each):
                casts.enter_context(torch.autocast(each, enabled=False))
        yield
