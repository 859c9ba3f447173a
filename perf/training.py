"""T: steps of training against the plain loop with autograd, and how fast images are made."""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import harness  # first: it fixes the threads
import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F
from unroll import every_frame, graph

from brainfit.contracts.task import Task
from data_loaders.tasks.image_folder import image_folder
from data_loaders.tasks.objects import Objects
from model_zoo.engine.graph import GraphModel

BATCH = 128


def step(quick: bool) -> list[dict[str, Any]]:
    """T1: seconds a training step of the small median ConvRNN."""
    model, n = graph("median_convrnn_mini", 64), 8 if quick else BATCH
    rng = torch.Generator().manual_seed(0)
    images, labels = torch.rand(n, 3, 64, 64, generator=rng), torch.randint(64, (n,), generator=rng)

    def ours() -> torch.Tensor:
        return gradient(model, ours_logits(model, images), labels)

    def plain() -> torch.Tensor:
        return gradient(model, plain_logits(model, images), labels)

    mine, theirs = ours(), plain()
    difference = float((mine - theirs).norm() / theirs.norm())
    timing = harness.interleaved(ours, plain, 1 if quick else 3)
    floor = 3 * multiplications(model, images) * 2 / peak_flops()
    return [
        harness.row(
            f"T1: a training step of median_convrnn_mini, 64 px, batch {n}",
            timing,
            peer="GraphModel.step for all nodes, with autograd",
            version=torch.__version__,
            at_least=1.5,
            also=difference < 1e-4,
            note=f"gradients differ by {difference:.0e} of their norm; ours takes "
            f"{timing['ours'] / floor:.2g} times the arithmetic floor: its multiplications, three times "
            "(forward, and two products backward), at the speed of a product of matrices",
        )
    ]


def gradient(model: GraphModel, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the gradient of the loss, as one vector."""
    model.zero_grad(set_to_none=True)
    F.cross_entropy(logits, labels).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def ours_logits(model: GraphModel, images: torch.Tensor) -> torch.Tensor:
    """Return the logits of the last step, with the work that does not repeat left out."""
    readout = model.readout_layers[-1]
    seen = model.unroll_training(images, model.presentation, [readout])[readout]
    return seen.blocks[seen.index[-1]]


def plain_logits(model: GraphModel, images: torch.Tensor) -> torch.Tensor:
    """Return the logits of the last step, from every node at every step."""
    state = model.initial_state(images, batch=len(images))
    for frame in every_frame(images, model.presentation, model.normalize):
        state = model.step(frame, state)
    return state.outputs[model.readout_layers[-1]]


def multiplications(model: GraphModel, images: torch.Tensor) -> float:
    """Count the multiplications of the convolutions in a forward pass of ours."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        ours_logits(model, images)
    return counter.get_total_flops() / 2


def peak_flops(size: int = 1024) -> float:
    """Return the operations a second of a product of matrices here, the best of several."""
    a, best = torch.rand(size, size), float("inf")
    for _ in range(5):
        started = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def images_a_second(quick: bool) -> list[dict[str, Any]]:
    """T2: images a second of each task, on one core."""
    n, found = 8 if quick else 400, []
    for options in ({}, {"clutter": 2, "occlusion": 0.5, "noise": 0.1}):
        for size in (64, 128):
            task = Objects(image_size=size, sprites=4 if quick else 32, **options)
            task.train_example(0, 0)
            seconds = harness.seconds(partial(take, task, n))
            knobs = ", ".join(f"{name}={value}" for name, value in options.items())
            name = f"T2 objects: {n} images, {size} px{knobs and ', ' + knobs}"
            found.append(
                harness.alone(name, seconds, target="", missed=[], note=f"{n / seconds:,.0f} images/s a core")
            )
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), 4 if quick else 50)
        task = image_folder(folder, 128)
        timing = harness.interleaved(
            partial(take, task, task.n_train), partial(decode_alone, task), 1 if quick else 7
        )
        rate = task.n_train / timing["ours"]
        found.append(
            harness.row(
                f"T2 imagefolder: {task.n_train} JPEGs of 500 x 375, to 128 px",
                timing,
                peer="Pillow: decode, crop and resize alone",
                version=Image.__version__,
                at_least=1 / 1.15,
                note=f"{rate:,.0f} images/s a core",
            )
        )
    return found


def take(task: Task, n: int) -> None:
    """Make training images."""
    for k in range(n):
        task.train_example(0, k)


def decode_alone(task: Any) -> None:
    """Decode each image with Pillow, and resize a crop of half its area."""
    for path, _ in task.train:
        with Image.open(task.folder / path) as file:
            image = file.convert("RGB")
        width, height = image.size
        box = (0.15 * width, 0.15 * height, 0.85 * width, 0.85 * height)
        np.asarray(image.resize((task.image_size,) * 2, Image.Resampling.BILINEAR, box=box))


def write_images(folder: Path, n: int) -> None:
    """Write JPEGs of two classes, as large as those of ImageNet and as smooth as photographs."""
    rng = np.random.default_rng(0)
    for part, count in (("train", n), ("val", 2)):
        for name in ("a", "b"):
            (folder / part / name).mkdir(parents=True)
            for k in range(count):
                coarse = Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
                coarse.resize((500, 375), Image.Resampling.BICUBIC).save(
                    folder / part / name / f"{k}.jpg", quality=90
                )


WORKLOADS = {"T1": step, "T2": images_a_second}
