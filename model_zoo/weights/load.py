"""Set the weights of a model of the zoo: random, or from a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from torch import nn

from brainfit.errors import ContractError, IntegrityError
from brainfit.storage.checksums import check_file
from brainfit.support.arguments import number, whole_number
from brainfit.support.messages import printable
from brainfit.support.suggestions import unknown_name

from ..engine.init import fill
from .file import SUFFIX, read_info, read_tensors
from .state_dicts import unwrap
from .tensors import load_tensors

DEFAULT_SIZE = 128  # pixels: the training size of Nayebi et al. (2018)
_LARGEST_SEED = 2**64 - 1  # of torch
_OTHERS = {".bin", ".ckpt", ".index", ".pt", ".pth", ".tar"}  # of files that can be converted


def set_weights(
    module: nn.Module, weights: str, seed: int, initialise: Callable[[nn.Module, int], None] = fill
) -> str:
    """Set the weights of `module`, and return their name in results.

    Parameters
    ----------
    module
        Module whose parameters and buffers are replaced.
    weights
        ``"random"``, the path of a ``.safetensors`` file, or the name of published weights that were fetched.
    seed
        Seed of random weights, 0 to 2**64 - 1.
    initialise
        Draws random weights for a module from a seed.

    Returns
    -------
    str
        ``"random:<seed>"``, or ``"sha256:<hash of the file>"``.

    Raises
    ------
    UnknownNameError
        If there are no weights of that name.
    IntegrityError
        If the file is not there, or is damaged.
    ContractError
        If it is of another kind, or does not fit the module, which is then unchanged.
    """
    seed = whole_number("seed", seed)
    if seed > _LARGEST_SEED:
        raise ContractError(f"seed is a whole number of at most {_LARGEST_SEED}, got {seed}")
    if weights == "random":
        initialise(module, seed)
        return f"random:{seed}"
    path = find_weights(weights)
    tensors, sha256 = read_tensors(path)
    _check_cached(weights, path, sha256)
    info = read_info(path)
    label = f"{path} (of model {printable(info.model or 'unknown')})"
    bare, _ = unwrap(tensors, module.state_dict().keys(), label)
    load_tensors(module, bare, label, info.image_size)
    return f"sha256:{sha256}"


def set_random_or_loaded(
    module: nn.Module,
    weights: str,
    seed: int,
    initialise: Callable[[nn.Module, int, float], None],
    readout_gain: float,
) -> str:
    """Do as `set_weights`, with a factor of the random readout, which then becomes part of the name."""
    gain = number("readout_gain", readout_gain, 0, 1)
    name = set_weights(module, weights, seed, lambda each, drawn: initialise(each, drawn, gain))
    return f"{name}, readout x {gain:g}" if weights == "random" and gain != 1 else name


def _check_cached(weights: str, path: Path, sha256: str) -> None:
    """Raise IntegrityError unless fetched weights are those that were converted when they were fetched."""
    from .published import PUBLISHED

    if weights in PUBLISHED and check_file(path) != sha256:
        raise IntegrityError(f"{path} changed while it was read; try again")


def choose_image_size(asked: int | None, weights: str, least: int) -> int:
    """Return the size that was asked for, if any; else that on which the weights were trained, or 128."""
    if asked is not None or weights == "random":
        return whole_number("image_size", DEFAULT_SIZE if asked is None else asked, least)
    trained = read_info(find_weights(weights)).image_size
    return whole_number(f"image_size in {weights}", trained or DEFAULT_SIZE, least)


def find_weights(weights: str) -> Path:
    """Return the file that a path, or the name of published weights, stands for; raises as `set_weights`."""
    name = str(weights)
    if os.path.isdir(name):  # noqa: PTH112 - a run of `brainfit train`
        name = os.path.join(name, f"weights{SUFFIX}")  # noqa: PTH118
    if name.lower().endswith(SUFFIX):
        if not os.path.isfile(name):  # noqa: PTH113 - unlike Path, it takes any name
            raise IntegrityError(f"there is no file of weights {name}")
        return Path(name)
    from .published import PUBLISHED, stored  # which converts what it fetches, with this module

    if name in PUBLISHED:
        if path := stored(name):
            return path
        raise IntegrityError(
            f"the weights {name!r} are not here; fetch them first: brainfit weights fetch {name}"
        )
    if Path(name).suffix in _OTHERS or os.path.exists(name):  # noqa: PTH110
        raise ContractError(
            f"weights {name!r} are not a {SUFFIX} file; convert them first: "
            f"brainfit weights convert {name} --model MODEL -o FILE{SUFFIX}"
        )
    raise unknown_name("weights", name, ["random", *PUBLISHED])
