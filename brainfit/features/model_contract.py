"""Run a model, and check that its answer keeps the contract; used for every check and every score."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence

import torch

from brainfit.contracts.model import Model
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ContractError
from brainfit.execution.precision import computing_in
from brainfit.support.foreign_errors import foreign_code
from brainfit.support.messages import one_line

_LARGEST_FEATURE = 1e15  # beyond it float32 overflows in squares and their sums
_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
_CLOSE = 1e-4
_CLOSE_ON_GPU = 1e-2  # which multiplies in fewer bits


def unroll(
    model: Model,
    images: torch.Tensor,
    presentation: Presentation,
    layers: Sequence[str],
    precision: str = "float32",
) -> dict[str, Trajectory]:
    """Unroll `model`, and check the trajectories that it returns.

    Parameters
    ----------
    model
        A model whose attributes have been checked (`check_attributes`).
    images, presentation, layers
        As for `brainfit.contracts.model.Model.unroll`.
    precision
        Precision of torch's computations: see `brainfit.execution.precision`.

    Returns
    -------
    dict
        The trajectory of each of `layers`, in their order, without gradients and in the model's own dtype
        (`full_precision` widens it).

    Raises
    ------
    ContractError
        If the model holds a parameter without values, its answer is not finite trajectories of these images
        and steps, or the precision is unknown.
    PluginError
        If the model's code fails.
    ResourceError
        If it runs out of memory.
    """
    require_values(model)
    computing = computing_in(precision, images.device.type)
    with foreign_code(f"{_where(model, *layers)}: unroll failed:"), torch.no_grad(), computing:
        # A copy: the model may write into its input.
        unrolled = model.unroll(images.clone(), presentation, list(layers))
    if isinstance(unrolled, Mapping) and not set(unrolled) <= set(layers):
        raise ContractError(
            f"model {model.name!r} was asked for layers {list(layers)} and returned {_shown(list(unrolled))}"
        )
    return {
        layer: check_trajectory(model, layer, unrolled, len(images), presentation.n_steps) for layer in layers
    }


def require_values(model: Model) -> None:
    """Refuse a model with tensors on the meta device: torch computes with memory that was never written.

    Raises
    ------
    ContractError
        Naming the first parameter or buffer without values.
    PluginError
        If a property of the model fails.
    """
    with foreign_code(f"model {model.name!r}: reading its parameters failed:"):
        held = [model, *getattr(model, "__dict__", {}).values(), getattr(model, "network", None)]
        for module in held:
            if not isinstance(module, torch.nn.Module):
                continue
            for name, tensor in (*module.named_parameters(), *module.named_buffers()):
                if tensor.is_meta:
                    raise ContractError(
                        f"model {model.name!r}: {name!r} is on the meta device and has no values; load the "
                        "weights of the whole network first"
                    )


def check_trajectory(model: Model, layer: str, unrolled: object, n_images: int, n_steps: int) -> Trajectory:
    """Return the trajectory of `layer` from a model's answer, without gradients.

    Raises
    ------
    ContractError
        If there is none, or it does not have `n_images` images and `n_steps` steps in dense blocks of one
        shape, with finite floating-point numbers.
    """
    where = _where(model, layer)
    seen = unrolled.get(layer) if isinstance(unrolled, Mapping) else None
    if not isinstance(seen, Trajectory):
        raise ContractError(
            f"{where}: unroll must return a dict with a Trajectory for it, "
            f"got {type(unrolled if seen is None else seen).__name__}"
        )
    if seen.n_steps != n_steps:
        raise ContractError(f"{where}: {seen.n_steps} steps, wanted {n_steps}")
    index = tuple(int(k) for k in seen.index)
    blocks = tuple(seen.blocks)
    for k, block in enumerate(blocks):
        _check_kind(where, block, blocks[0])
        shape, features = tuple(block.shape), tuple(blocks[0].shape[1:])
        if len(shape) < 2 or shape[0] not in (1, n_images) or shape[1:] != features or not block.numel():
            wanted = ", ".join(map(str, features)) if k and features else "features…"
            raise ContractError(f"{where}: a block has shape {shape}, wanted ({n_images} or 1, {wanted})")
        low, high = map(float, block.detach().aminmax())
        largest = max(-low, high)
        if not largest < float("inf"):
            raise ContractError(
                f"{where}: features are not finite (NaN or infinite) from step {index.index(k)} on; "
                "check its weights and normalisation"
            )
        if largest > _LARGEST_FEATURE:
            raise ContractError(
                f"{where}: features reach {largest:.3g} from step {index.index(k)} on, wanted at most "
                f"{_LARGEST_FEATURE:g} in size; check its weights and normalisation"
            )
    return Trajectory(tuple(block.detach() for block in blocks), index)


def image_of(seen: Trajectory, image: int) -> Trajectory:
    """Return the trajectory of the one image at that position of its batch, copied."""
    rows = (block[0 if len(block) == 1 else image] for block in seen.blocks)
    return Trajectory(tuple(row.unsqueeze(0).clone() for row in rows), seen.index)


def full_precision(seen: Trajectory) -> Trajectory:
    """Return `seen` with blocks of fewer than 32 bits as float32."""
    wide = (block if block.dtype == torch.float64 else block.float() for block in seen.blocks)
    return Trajectory(tuple(wide), seen.index)


def same(a: Trajectory, b: Trajectory, tolerance: float | None = None, steps: int | None = None) -> bool:
    """Return True if two trajectories of a layer agree.

    Parameters
    ----------
    a, b
        Trajectories of the same images.
    tolerance
        Largest allowed difference, in units of the largest activity of `a`. Default: rounding differences
        between batches of different sizes, or with other work skipped.
    steps
        Number of first steps to compare; all by default.
    """
    if a.blocks[0].shape[1:] != b.blocks[0].shape[1:]:
        return False
    if tolerance is None:
        close = _CLOSE if a.blocks[0].device.type == "cpu" else _CLOSE_ON_GPU
        tolerance = max(close, *(4 * torch.finfo(block.dtype).eps for block in a.blocks))
    a, b = full_precision(a), full_precision(b)
    scale = max(float(block.abs().max()) for block in a.blocks)
    pairs = set(zip(a.index[:steps], b.index[:steps], strict=True))
    return all(float((a.blocks[i] - b.blocks[j]).abs().max()) <= tolerance * scale for i, j in pairs)


def _check_kind(where: str, block: object, first: torch.Tensor) -> None:
    if not isinstance(block, torch.Tensor):
        raise ContractError(f"{where}: a block is a {type(block).__name__}, wanted a torch.Tensor")
    if block.layout != torch.strided or block.is_nested or block.is_meta:
        kind = "nested" if block.is_nested else "meta" if block.is_meta else block.layout
        raise ContractError(f"{where}: a block is a {kind} tensor, wanted a dense one with values")
    if block.dtype not in _DTYPES:
        raise ContractError(f"{where}: a block is {block.dtype}, wanted floating-point numbers, as float32")
    if block.device != first.device:
        raise ContractError(f"{where}: blocks are on {first.device} and {block.device}, wanted one device")


def _where(model: Model, *layers: str) -> str:
    return f"model {model.name!r}, layer{'s' * (len(layers) > 1)} {', '.join(map(repr, layers))}"


def _shown(value: object) -> str:
    return one_line(reprlib.repr(value))
