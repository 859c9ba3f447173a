"""Make the cache keys of features.

A key hashes everything that can change a feature's bits; model names are never part of it: the images of the
whole batch, whose size may change the order of sums; the presentation, the layer and the precision; the model
with its code (`brainfit.features.content`); and the machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict

import torch

from brainfit import __version__
from brainfit.execution import Execution
from brainfit.features.plan import FeaturePlan
from brainfit.features.store import GROUP

_FORMAT = 3
_SETTINGS = ("ONEDNN_", "DNNL_", "MKL_", "NVIDIA_TF32", "CUBLAS_")
"""Prefixes of the environment variables by which libraries choose their kernels."""


def batch_key(layer_key: str, pixels: bytes, rows: Sequence[int]) -> str:
    """Return the key of a layer's features for some rows of a batch.

    Parameters
    ----------
    layer_key
        Key of the layer (`layer_key`).
    pixels
        Hashes of all images of the batch, in their order (`ImageBatches.batch_hash`).
    rows
        Positions within the batch of the images whose features are kept: batches of equal pixels may keep
        different rows.
    """
    kept = ",".join(map(str, rows)).encode()
    return f"{layer_key[:GROUP]}-{hashlib.sha256(layer_key.encode() + pixels + kept).hexdigest()}"


def layer_key(plan: FeaturePlan, layer: str, execution: Execution) -> str:
    """Hash everything but the images that the bits of a layer's features depend on."""
    facts = {
        "format": _FORMAT,
        "brainfit": __version__,
        "content": plan.content,
        "image_size": plan.model.image_size,
        "presentation": asdict(plan.presentation),
        "layer": layer,
        "precision": execution.precision,
        "machine": _machine(execution.device),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _machine(device: str) -> list[object]:
    """Return the processor, the number of threads and the settings, which change the last bits of sums."""
    precision = [
        torch.get_float32_matmul_precision(),
        str(torch.get_default_dtype()),
        torch.are_deterministic_algorithms_enabled(),
        sorted(item for item in os.environ.items() if item[0].startswith(_SETTINGS)),
    ]
    if device == "cuda":
        cudnn = torch.backends.cudnn
        settings = [cudnn.allow_tf32, cudnn.enabled, cudnn.benchmark, cudnn.deterministic]
        return [
            device,
            torch.cuda.get_device_name(),
            torch.version.cuda,
            torch.backends.cudnn.version(),
            settings,
            precision,
        ]
    capability = torch.backends.cpu.get_cpu_capability()
    onednn = torch.backends.mkldnn.enabled
    return [device, platform.machine(), capability, torch.get_num_threads(), onednn, precision]
