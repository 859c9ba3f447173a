"""Read and write files of weights: safetensors, which cannot hold code, with the weights' origin.

The key ``brainfit`` of the header holds a `WeightsInfo` as one JSON text: several keys would be written in
an order that changes from run to run, and with it the sha256 by which results name the weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from brainfit.errors import BrainfitError, ContractError, IntegrityError
from brainfit.storage.atomic_files import regular_file
from brainfit.support.memory import check_memory
from brainfit.support.messages import printable, reason

SUFFIX = ".safetensors"
_KEY = "brainfit"
_TODO = "remove it, and fetch or convert it anew"
_LARGEST_SIZE, _LARGEST_COUNT = 1 << 16, 1 << 48  # pixels; numbers


@dataclass(frozen=True)
class WeightsInfo:
    """Facts in the header of a file of weights; empty for a file that brainfit did not write.

    Attributes
    ----------
    model
        Name of the model that the weights are for.
    image_size
        Size in pixels of the images that the model was trained on.
    parameters
        Number of trainable parameters.
    source, source_sha256
        Origin of the weights, and the sha256 of each file that they were converted from, by name.
    decoder
        Settings of `model_zoo.decoders` that were trained with the model.
    """

    model: str = ""
    image_size: int | None = None
    parameters: int | None = None
    source: str = ""
    source_sha256: Mapping[str, str] = field(default_factory=dict)
    decoder: Mapping[str, float] = field(default_factory=dict)


def read_info(path: Path) -> WeightsInfo:
    """Read the facts in the header of a safetensors file, without reading its weights.

    Raises
    ------
    IntegrityError
        If the file or what it says is damaged.
    """
    regular_file(path)
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(_KEY, "{}")
    except (OSError, SafetensorError, ValueError) as error:  # ValueError: a path that is not UTF-8
        raise _unreadable(path, reason(error)) from error
    try:
        info = WeightsInfo(**json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise IntegrityError(
            f"{path}: what its header says under {_KEY!r} is damaged: {reason(error)}; {_TODO}"
        ) from error
    right = {
        "model": isinstance(info.model, str),
        "image_size": _is_count(info.image_size, 1, _LARGEST_SIZE),
        "parameters": _is_count(info.parameters, 0, _LARGEST_COUNT),
        "source": isinstance(info.source, str),
        "source_sha256": _is_mapping(info.source_sha256, lambda digits: isinstance(digits, str)),
        "decoder": _is_mapping(info.decoder, _is_finite),
    }
    if wrong := [name for name, is_right in right.items() if not is_right]:
        raise IntegrityError(
            f"{path}: what its header says of {' and '.join(wrong)} is not of its kind; {_TODO}"
        )
    return info


def read_tensors(path: Path) -> tuple[dict[str, Tensor], str]:
    """Read the tensors of a safetensors file, and the sha256 of exactly these bytes.

    Raises
    ------
    IntegrityError
        If the file is damaged, or has numbers that torch does not have.
    ResourceError
        If there is not enough memory for it.
    """
    data = read_file(path)
    try:
        return safetensors.torch.load(data), hashlib.sha256(data).hexdigest()
    except KeyError as error:
        raise _unreadable(
            path, f"it has numbers of the type {reason(error)}, wanted floats or ints"
        ) from error
    except (OSError, SafetensorError, RuntimeError) as error:  # RuntimeError: of a shape that cannot be
        raise _unreadable(path, reason(error)) from error


def read_file(path: Path) -> bytes:
    """Read a whole file of weights; raises as `read_tensors`."""
    size = regular_file(path)
    # Twice: its tensors are copied out of it.
    check_memory({str(path): 2 * size}, "wanted a file of weights, which is smaller, or a larger machine")
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, reason(error)) from error


def save_weights(
    module: nn.Module,
    path: Path,
    *,
    model: str,
    image_size: int,
    source: str,
    source_sha256: Mapping[str, str],
    decoder: Mapping[str, float] | None = None,
) -> WeightsInfo:
    """Write parameters and buffers of `module` to a new file, and return the facts in its header.

    The same weights and facts make the same file, byte by byte. The file appears only once it is complete.

    Parameters
    ----------
    module
        Source of the ``state_dict()`` that is written.
    path
        Ends on ``.safetensors`` and is UTF-8; nothing may be there.
    model, image_size, source, source_sha256, decoder
        As in `WeightsInfo`.

    Raises
    ------
    ContractError
        If the name ends otherwise, or is taken, or not UTF-8.
    IntegrityError
        If it cannot be written.
    """
    check_target(path)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    info = WeightsInfo(model, image_size, parameters, source, dict(source_sha256), dict(decoder or {}))
    tensors = {
        name: values.detach().cpu().clone().contiguous() for name, values in module.state_dict().items()
    }
    data = safetensors.torch.save(tensors, {_KEY: json.dumps(asdict(info), sort_keys=True)})
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _give_name(part, path)
    except BrainfitError:
        raise
    except OSError as error:
        raise IntegrityError(
            f"cannot write {printable(path, 300)}: {reason(error)}; choose another name or folder"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return info


def check_target(path: Path) -> None:
    """Raise ContractError unless a file of weights may be written to `path`."""
    name = str(path)
    if path.suffix != SUFFIX:
        raise ContractError(f"weights are written to a file that ends on {SUFFIX}, got {name!r}")
    if "\0" in name or name.encode(errors="replace").decode() != name:
        raise ContractError(f"safetensors only takes paths in UTF-8, got {name!r}; choose another name")
    if os.path.lexists(path):
        raise _taken(path)


def _give_name(part: Path, path: Path) -> None:
    """Give a complete file its name, unless another file took it meanwhile."""
    try:
        os.link(part, path)
    except FileExistsError as error:
        raise _taken(path) from error
    except OSError:  # not every file system has links
        check_target(path)
        os.replace(part, path)


def _taken(path: Path) -> ContractError:
    return ContractError(f"{path} is there already; remove it, or choose another name")


def _is_count(value: object, least: int, most: int) -> bool:
    return value is None or (type(value) is int and least <= value <= most)


def _is_finite(value: object) -> bool:
    most = sys.float_info.max
    return isinstance(value, int | float) and not isinstance(value, bool) and -most <= value <= most


def _is_mapping(value: object, is_right: Callable[[object], bool]) -> bool:
    return isinstance(value, dict) and all(map(is_right, value.values()))


def _unreadable(path: Path, why: str) -> IntegrityError:
    return IntegrityError(f"cannot read the weights in {printable(path, 300)}: {why}; {_TODO}")
