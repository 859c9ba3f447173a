"""Set the weights of a model of the zoo: random, or from a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from torch import nn

from brainfit.contracts.vocabulary import RANDOM_WEIGHTS
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
TRAINED = "trained"
"""The weights that come with brainfit for a model of that name."""
_SHIPPED = Path(__file__).with_name("trained")
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
        ``"random"``, ``"random:<seed>"``, the path of a ``.safetensors`` file, the name of a model whose
        weights come with brainfit, or the name of published weights that were fetched.
    seed
        Seed of ``"random"`` weights, 0 to 2**64 - 1.
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
    seed = _seed_of(weights, seed)
    if is_random(weights):
        initialise(module, seed)
        return f"{RANDOM_WEIGHTS}:{seed}"
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
    """Set weights as `set_weights` does; a factor of the random readout becomes part of the name."""
    gain = number("readout_gain", readout_gain, 0, 1)
    name = set_weights(module, weights, seed, lambda each, drawn: initialise(each, drawn, gain))
    return f"{name}, readout x {gain:g}" if is_random(weights) and gain != 1 else name


def is_random(weights: str) -> bool:
    """Return True for ``"random"`` and ``"random:<seed>"``."""
    return str(weights).partition(":")[0] == RANDOM_WEIGHTS


def _seed_of(weights: str, seed: int) -> int:
    """Return the seed that random weights name, otherwise `seed`."""
    _, colon, digits = weights.partition(":") if is_random(weights) else ("", "", "")
    if colon and not (digits.isascii() and digits.isdecimal()):
        raise ContractError(f"random weights are random or random:SEED, such as random:1, got {weights!r}")
    seed = whole_number("seed", int(digits) if colon else seed)
    if seed > _LARGEST_SEED:
        raise ContractError(f"seed is a whole number of at most {_LARGEST_SEED}, got {seed}")
    return seed


def shipped(model: str) -> Path | None:
    """Return the file of the trained weights that come with brainfit for `model`; None if there are none."""
    path = _SHIPPED / f"{model}{SUFFIX}"
    return path if path.parent == _SHIPPED and path.is_file() else None


def trained_weights(model: str) -> str:
    """Return the path of the weights that come with brainfit for `model`.

    Raises
    ------
    IntegrityError
        If they are not there.
    """
    if (path := shipped(model)) is None:
        raise IntegrityError(
            f"the trained weights of {model!r} are not in {_SHIPPED}; install brainfit again, or give "
            "weights='random'"
        )
    return str(path)


def weights_source(weights: str) -> str:
    """Return the origin of weights, as their file states it; empty for random ones and if it states none."""
    return "" if is_random(weights) else read_info(find_weights(weights)).source


def _check_cached(weights: str, path: Path, sha256: str) -> None:
    """Raise IntegrityError unless fetched weights are those that were converted when they were fetched."""
    from .published import PUBLISHED

    if weights in PUBLISHED and check_file(path) != sha256:
        raise IntegrityError(f"{path} changed while it was read; try again")


def choose_image_size(asked: int | None, weights: str, least: int) -> int:
    """Return the size that was asked for, if any; else that on which the weights were trained, or 128."""
    if asked is not None or is_random(weights):
        return whole_number("image_size", DEFAULT_SIZE if asked is None else asked, least)
    trained = read_info(find_weights(weights)).image_size
    return whole_number(f"image_size in {weights}", trained or DEFAULT_SIZE, least)


def find_weights(weights: str) -> Path:
    """Return the file that a path, or the name of shipped or published weights, stands for.

    Raises as `set_weights`.
    """
    name = str(weights)
    if os.path.isdir(name):  # noqa: PTH112 - a run of `brainfit train`
        name = os.path.join(name, f"weights{SUFFIX}")  # noqa: PTH118
    if name.lower().endswith(SUFFIX):
        if not os.path.isfile(name):  # noqa: PTH113 - unlike Path, it takes any name
            raise IntegrityError(f"there is no file of weights {name}")
        return Path(name)
    if os.path.basename(name) == name and (path := shipped(name)):  # noqa: PTH119
        return path
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
    raise unknown_name(
        "weights",
        name,
        [RANDOM_WEIGHTS, *sorted(path.stem for path in _SHIPPED.glob(f"*{SUFFIX}")), *PUBLISHED],
    )
