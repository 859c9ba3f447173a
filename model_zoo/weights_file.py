"""Files of weights: safetensors, in which no code can hide, with a word on where the weights came from.

The header says under the key ``brainfit`` what `WeightsInfo` has, all in one JSON text: several keys would be
written in an order that changes from run to run, and with it the sha256 by which results name the weights.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from brainfit.errors import ContractError, IntegrityError

SUFFIX = ".safetensors"
_KEY = "brainfit"


@dataclass(frozen=True)
class WeightsInfo:
    """What the header of a file of weights says of them; a file that is not ours says nothing.

    Attributes
    ----------
    model
        The name of the model that it was converted for.
    image_size
        In pixels, of the images that it was trained on.
    parameters
        Numbers that training changes.
    source, source_sha256
        Where it came from, and the sha256 of each file that it was converted from, by their names.
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
    """Return what the header of a safetensors file says of its weights, without reading them.

    Raises
    ------
    IntegrityError
        If the file or what it says is damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(_KEY, "{}")
        info = WeightsInfo(**json.loads(text))
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise IntegrityError(f"{path}: what its header says under {_KEY!r} is damaged: {error}") from error
    types = {"model": str, "source": str, "source_sha256": dict, "decoder": dict}
    wrong = [name for name, wanted in types.items() if not isinstance(getattr(info, name), wanted)]
    wrong += [name for name in ("image_size", "parameters") if not _is_count(getattr(info, name))]
    if wrong:
        raise IntegrityError(f"{path}: what its header says of {' and '.join(wrong)} is of the wrong type")
    return info


def read_tensors(path: Path) -> tuple[dict[str, Tensor], str]:
    """Return what a safetensors file holds, and the sha256 of just these bytes; raises as `read_info`."""
    try:
        data = path.read_bytes()
        return safetensors.torch.load(data), hashlib.sha256(data).hexdigest()
    except (OSError, SafetensorError, KeyError) as error:  # KeyError: a type that torch does not have
        raise _unreadable(path, error) from error


def save_weights(
    module: nn.Module,
    path: Path,
    *,
    model: str,
    image_size: int,
    source: str,
    source_sha256: Mapping[str, str],
    decoder: Mapping[str, float] | None = None,
) -> str:
    """Write parameters and buffers of `module` to a new file, and return its sha256.

    The same weights and the same facts make the same file, byte by byte. It is there only once it is whole.

    Parameters
    ----------
    module
        Whose ``state_dict()`` is written.
    path
        Ends on ``.safetensors``; nothing may be there.
    model, image_size, source, source_sha256, decoder
        As in `WeightsInfo`.

    Raises
    ------
    ContractError
        If the name ends otherwise, or is taken.
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
        os.replace(part, path)
    except OSError as error:
        raise IntegrityError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return hashlib.sha256(data).hexdigest()


def check_target(path: Path) -> None:
    """Raise ContractError unless a file of weights may be written to `path`."""
    if path.suffix != SUFFIX:
        raise ContractError(f"weights are written to a file that ends on {SUFFIX}, got {path}")
    if path.exists():
        raise ContractError(f"{path} is there already; remove it, or choose another name")


def _is_count(value: object) -> bool:
    return value is None or (type(value) is int and value >= 0)


def _unreadable(path: Path, error: Exception) -> IntegrityError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else error
    return IntegrityError(f"cannot read the weights in {path}: {why}")
