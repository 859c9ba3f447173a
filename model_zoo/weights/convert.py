"""Convert files of weights: TensorFlow's checkpoints, torch files and safetensors files."""

from __future__ import annotations

import hashlib
import io
import math
import os
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from brainfit.contracts.model import Model
from brainfit.errors import BrainfitError, ContractError, IntegrityError
from brainfit.support.messages import printable

from ..engine.graph import GraphModel
from .file import SUFFIX, WeightsInfo, check_target, read_file, read_tensors, save_weights
from .state_dicts import unwrap
from .tensors import load_tensors
from .tf_checkpoint import checkpoint_files, read_checkpoint
from .tf_names import decoder_settings, load_variables

# Errors that torch.load raises on damaged files and other bytes; torch does not document them.
_DAMAGED = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError),
    *(RuntimeError, TypeError, ValueError, pickle.UnpicklingError, struct.error, zipfile.BadZipFile),
)


def convert(source: Path, model: Model, out: Path, *, origin: str = "", image_size: int = 224) -> WeightsInfo:
    """Load published weights into a model, and write them to a file for ``weights=``.

    Parameters
    ----------
    source
        A TensorFlow checkpoint (as for `model_zoo.weights.tf_checkpoint.read_checkpoint`) of one of the
        authors' networks; or a torch or safetensors file of a ``state_dict()``, bare or under the key
        ``"state_dict"`` or ``"model"``, with or without ``module.`` before every name. Nothing is unpickled
        but tensors and plain values.
    model
        Model that the weights are for. Its weights are replaced.
    out
        A new file, ending on ``.safetensors``.
    origin
        Origin of `source`, for `WeightsInfo`, which also says what was taken off. Default: its name.
    image_size
        Size in pixels of the images that they were trained on.

    Returns
    -------
    WeightsInfo
        The facts in the header of `out`.

    Raises
    ------
    IntegrityError
        If `source` is not there or damaged or holds other objects, or `out` cannot be written.
    ResourceError
        If there is not enough memory for `source`.
    ContractError
        If the weights do not fit the model, or `out` is there already.
    """
    check_target(out)
    module = model if isinstance(model, nn.Module) else getattr(model, "network", None)
    if not isinstance(module, nn.Module):
        raise ContractError(f"model {model.name!r} has no torch module that could hold weights")
    decoder: Mapping[str, float] = {}
    taken_off = ""
    if _is_tensorflow(source):
        if not isinstance(model, GraphModel):
            raise ContractError(
                f"{source} is a TensorFlow checkpoint; of {model.name!r} only torch files can be converted"
            )
        variables = read_checkpoint(source)
        load_variables(model, variables)
        decoder = _decoder(source, variables)
        hashes = {file.name: _sha256(file) for file in checkpoint_files(source)}
    else:
        tensors, sha256 = read_tensors(source) if source.suffix == SUFFIX else _read_torch(source)
        bare, taken_off = unwrap(tensors, module.state_dict().keys(), str(source))
        load_tensors(module, bare, str(source))
        hashes = {source.name: sha256}
    return save_weights(
        module,
        out,
        model=model.name,
        image_size=image_size,
        source=(origin or source.name) + (f", without {taken_off}" if taken_off else ""),
        source_sha256=hashes,
        decoder=decoder,
    )


def _is_tensorflow(source: Path) -> bool:
    # Unlike Path, os.path takes any name.
    there = os.path.isdir(source) or os.path.isfile(f"{source}.index")  # noqa: PTH112, PTH113
    return there or source.suffix == ".index"


def _decoder(source: Path, variables: Mapping[str, np.ndarray]) -> dict[str, float]:
    try:
        decoder = decoder_settings(variables)
    except ValueError as error:  # of numpy, for what is not one number
        raise ContractError(f"{source} has a setting of the decoder that is not one number") from error
    if wrong := [name for name, value in decoder.items() if not math.isfinite(value)]:
        raise ContractError(f"{source} has no finite number for the decoder's {' and '.join(wrong)}")
    return decoder


def _read_torch(source: Path) -> tuple[Any, str]:
    """Return what a torch file holds, only plain values and tensors, and the sha256 of its bytes."""
    data = read_file(source)
    try:
        _check_zip(source, data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of formats that it then reads or refuses
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except BrainfitError:
        raise
    except _DAMAGED as error:
        other = re.search(r"nsupported (?:\w+: )?GLOBAL (\S+)", str(error))
        why = f"holds {printable(other[1])}" if other else "is damaged or none"
        raise IntegrityError(
            f"cannot read {source} as a torch file: it {why}, "
            "and nothing is unpickled but tensors and plain values, since the rest could run code; wanted a "
            "state_dict() saved with torch.save, or the .index file of a TensorFlow checkpoint"
        ) from error
    return content, hashlib.sha256(data).hexdigest()


def _check_zip(source: Path, data: bytes) -> None:
    """Refuse a zip file that could grow when it is read, or whose contents are not what its checksums say.

    torch.save compresses nothing, and writes nothing before or behind, where a second table of contents
    could lie. torch.load does not look at the checksums.
    """
    if not data.startswith(b"PK\3\4"):  # of a zip file; an older one has no compression
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members, comment = archive.infolist(), archive.comment
    strange = comment or min((member.header_offset for member in members), default=0)
    compressed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
    if strange or compressed or sum(member.file_size for member in members) > len(data):
        raise IntegrityError(
            f"cannot read {source} as a torch file: it is compressed, or several in one; wanted "
            "a state_dict() saved with torch.save"
        )
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise IntegrityError(
            f"cannot read {source} as a torch file: {printable(damaged)} in it is damaged, by its CRC-32; "
            "copy or download it anew (or save it anew, if set_crc32_options(False) was in force)"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
