"""Draw what makes the task `objects` harder: ``python docs/figures/task_knobs.py``."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure

from brainfit.contracts.presentation import Presentation
from brainfit.figures.style import STYLE
from data_loaders.tasks.objects import Objects

KNOBS = {
    "as it is": {},
    "clutter=2": {"clutter": 2},
    "occlusion=1": {"occlusion": 1.0},
    "noise=0.1": {"noise": 0.1},
}
N_IMAGES = 8
SHOWN = Presentation(on_ms=40, off_ms=80)
"""A brief presentation: ``--set on_ms=40 --set off_ms=80``."""
EVERY = 2
"""One of so many steps has room in the last row."""


def draw() -> Figure:
    """Return a figure with a row of images for each knob, and one of the steps of a brief presentation."""
    tasks = {name: Objects(image_size=64, sprites=8, **options) for name, options in KNOBS.items()}
    rows = {name: [task.train_example(0, k)[0][0] for k in range(N_IMAGES)] for name, task in tasks.items()}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 5.0), layout="constrained")
        axes = figure.subplots(len(rows) + 1, N_IMAGES)
        for line, (name, images) in zip(axes, rows.items(), strict=False):
            fill(line, images, name)
        fill(axes[-1], brief(rows["as it is"][0]), f"on_ms={SHOWN.on_ms},\noff_ms={SHOWN.off_ms}")
        for k, ax in enumerate(axes[-1][: SHOWN.n_steps // EVERY]):
            ax.set_xlabel(f"{k * EVERY * SHOWN.step_ms} ms")
    return figure


def brief(image: np.ndarray) -> list[np.ndarray]:
    """Return what the network sees in every second step of a brief presentation; gray follows the image."""
    pixels = torch.from_numpy(image).float().div(255).expand(1, 3, -1, -1)
    frames = SHOWN.frames(pixels, lambda same: same)
    steps = [frame[0].mean(0).expand(image.shape) for frame, n in frames for _ in range(n)]
    return [(255 * step).numpy().astype(np.uint8) for step in steps[::EVERY]]


def fill(line: np.ndarray, images: list[np.ndarray], name: str) -> None:
    """Draw images side by side, with a name before them."""
    for ax in line:
        ax.set(xticks=[], yticks=[], frame_on=False)
    for ax, image in zip(line, images, strict=False):
        ax.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")


if __name__ == "__main__":
    path = Path(__file__).with_suffix(".svg")
    with mpl.rc_context({"svg.hashsalt": "brainfit", "svg.fonttype": "path"}):
        draw().savefig(path, metadata={"Date": None})
