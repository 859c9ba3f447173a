"""U: showing images to networks, against doing every step of every node in the plain way.

The times of the authors' own code (U5) were measured elsewhere and are no part of this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import harness  # first: it fixes the threads
import torch
from peaks import peak_gb
from profiles import by_kind
from torch import Tensor

import brainfit
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.trajectory import Trajectory
from brainfit.features.model_contract import unroll
from model_zoo.adapters import ModuleModel
from model_zoo.engine.graph import GraphModel

BATCH = 8
PLAIN = "GraphModel.step for all nodes, contiguous"


def stepwise(
    workload: str,
    name: str,
    size: int,
    presentation: Presentation,
    layers: Sequence[str] | None,
    target: float,
    repeats: int,
) -> list[dict[str, Any]]:
    """U1 and U2: time exact skipping and channels last."""
    model, images = graph(name, size), pixels(size)
    asked = list(model.layers) if layers is None else list(layers)
    peer = contiguous(graph(name, size))
    ours, theirs = unroll(model, images, presentation, asked), step_by_step(peer, images, presentation, asked)
    difference = max(relative(ours[layer], torch.stack(theirs[layer], 1)) for layer in asked)
    del ours, theirs

    def skipping() -> Any:
        return unroll(model, images, presentation, asked)

    def plain() -> Any:
        return step_by_step(peer, images, presentation, asked)

    row = harness.row(
        f"{workload}: {name}, {size} px, {BATCH} images x {presentation.n_steps} steps, "
        f"{'all layers' if layers is None else ' + '.join(asked)}",
        harness.interleaved(skipping, plain, repeats),
        peer=PLAIN,
        version=torch.__version__,
        at_least=target,
        ours_gb=peak_gb(skipping),
        peer_gb=peak_gb(plain),
        also=difference < 1e-4,
        note=f"largest difference {difference:.0e} of a layer's standard deviation, rounding of float32 "
        "through all steps; 1e-12 in float64 (tests)",
        profile=lambda: by_kind({"ours": skipping, "peer": plain}),
    )
    return [row]


def in_bfloat16(size: int, repeats: int) -> list[dict[str, Any]]:
    """U3: U1 in 16 bits against U1 in 32."""
    model, images, shown = graph("rgc_intermediate", size), pixels(size), Presentation(100, 160)
    layers = list(model.layers)
    wide, narrow = (unroll(model, images, shown, layers, precision) for precision in ("float32", "bfloat16"))
    apart = {layer: distance(narrow[layer], wide[layer]) for layer in layers}
    worst = max(apart, key=lambda layer: apart[layer])
    del wide, narrow

    def in_16_bits() -> Any:
        return unroll(model, images, shown, layers, "bfloat16")

    def in_32_bits() -> Any:
        return unroll(model, images, shown, layers)

    row = harness.row(
        f"U3: U1 in bfloat16, {size} px",
        harness.interleaved(in_16_bits, in_32_bits, repeats),
        peer="U1 in float32",
        version=torch.__version__,
        at_least=1.6,
        ours_gb=peak_gb(in_16_bits),
        peer_gb=peak_gb(in_32_bits),
        note="root mean square difference over the standard deviation across images: "
        f"conv7 {apart['conv7']:.3f}, conv8 {apart['conv8']:.3f}, largest {apart[worst]:.3f} ({worst})",
        profile=lambda: by_kind({"bfloat16": in_16_bits, "float32": in_32_bits}),
    )
    return [row]


def each_step(size: int, repeats: int) -> list[dict[str, Any]]:
    """U4: networks without recurrence, one of our own and a torch module."""
    images, shown = pixels(size), Presentation()
    own, spread = graph("ff", size), contiguous(graph("ff", size))
    resnet = brainfit.load_model("resnet18", image_size=size)
    assert isinstance(resnet, ModuleModel)
    module = resnet.module.eval()
    cases: dict[str, tuple[GraphModel | ModuleModel, Callable[[Tensor], Any], str]] = {
        "ff": (own, lambda frame: through(spread, frame), "the network called once a step, contiguous"),
        "resnet18": (resnet, module, "the module called once a step"),
    }
    found = []
    for name, (model, network, peer) in cases.items():
        ours = partial(unroll, model, images, shown, model.layers)
        plain = partial(called_each_step, network, model.normalize, images, shown)
        found.append(
            harness.row(
                f"U4 {name}: {size} px, {BATCH} images x {shown.n_steps} steps, all layers",
                harness.interleaved(ours, plain, repeats),
                peer=peer,
                version=torch.__version__,
                at_least=8,
                note="ours tells when what reaches which layer; the peer does not" if model is own else "",
                profile=partial(by_kind, {"ours": ours, "peer": plain}),
            )
        )
    return found


@torch.inference_mode()
def step_by_step(
    model: GraphModel, images: Tensor, presentation: Presentation, layers: Sequence[str]
) -> dict[str, list[Tensor]]:
    """Run every node at every step for every image; keep the outputs of `layers`."""
    state = model.initial_state(images, batch=len(images))
    kept: dict[str, list[Tensor]] = {layer: [] for layer in layers}
    for frame in every_frame(images, presentation, model.normalize):
        state = model.step(frame, state)
        for layer, steps in kept.items():
            steps.append(state.outputs[layer])
    return kept


@torch.inference_mode()
def called_each_step(
    network: Callable[[Tensor], Any],
    normalize: Callable[[Tensor], Tensor],
    images: Tensor,
    presentation: Presentation,
) -> list[Any]:
    """Return what the network makes of each frame."""
    return [network(frame) for frame in every_frame(images, presentation, normalize)]


def through(model: GraphModel, frame: Tensor) -> dict[str, Tensor]:
    """Send a frame through a network without recurrence at once."""
    outputs: dict[str, Tensor] = {}
    for name, edges in model.edges.items():
        source = frame if edges.feedforward is None else outputs[edges.feedforward]
        outputs[name], _ = model.nodes[name](source, [], ())
    return outputs


def every_frame(
    images: Tensor, presentation: Presentation, normalize: Callable[[Tensor], Tensor]
) -> Iterator[Tensor]:
    """Yield what is seen at each step, spelled out for all images."""
    for frame, steps in presentation.frames(images, normalize):
        for _ in range(steps):
            yield frame.expand_as(images)


def graph(name: str, size: int) -> GraphModel:
    """Return a network with random weights."""
    model = brainfit.load_model(name, image_size=size)
    assert isinstance(model, GraphModel)
    return model


def contiguous(model: GraphModel) -> GraphModel:
    """Return it with its weights in torch's default layout."""
    for parameter in model.parameters():
        parameter.data = parameter.data.contiguous()
    return model


def pixels(size: int) -> Tensor:
    """Draw images of noise; the duration does not depend on the content."""
    return torch.rand(BATCH, 3, size, size, generator=torch.Generator().manual_seed(0))


def relative(ours: Trajectory, plain: Tensor) -> float:
    """Return the largest difference, over the standard deviation."""
    return float((ours.dense(BATCH) - plain.flatten(2)).abs().max() / plain.std())


def distance(narrow: Trajectory, wide: Trajectory) -> float:
    """Return the root mean square difference over that of the images from their mean."""
    a, b = narrow.dense(BATCH).float(), wide.dense(BATCH)
    return float((a - b).square().mean().sqrt() / (b - b.mean(0)).square().mean().sqrt())


def _sizes(quick: bool) -> tuple[int, int, int]:
    """Return the small and large image size in pixels, and the number of repeats."""
    return (72, 72, 1) if quick else (128, 224, 5)


def _stepwise(workload: str, quick: bool) -> list[dict[str, Any]]:
    small, large, repeats = _sizes(quick)
    if workload == "U1":
        return stepwise("U1", "rgc_intermediate", large, Presentation(100, 160), None, 1.55, repeats)
    return stepwise("U2", "rgc_intermediate", small, Presentation(), ("conv7", "conv8"), 1.6, repeats)


WORKLOADS = {
    "U1": lambda quick: _stepwise("U1", quick),
    "U2": lambda quick: _stepwise("U2", quick),
    "U3": lambda quick: in_bfloat16(*_sizes(quick)[1:]),
    "U4": lambda quick: each_step(*_sizes(quick)[::2]),
}
